"""What a person looks at, as samples and boxes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import Box, ImageSource
from napari_unet.live.messages import LabelsBox


@dataclass(frozen=True)
class Window:
    """A box along the axes of the labels, in the terms of an image source.

    Parameters
    ----------
    source : ImageSource
    box : LabelsBox
        Start and stop along each of :attr:`ImageSource.labels_axes`.
    """

    source: ImageSource
    box: LabelsBox

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths along the labels' axes."""
        return tuple(b - a for a, b in self.box)

    @property
    def spatial(self) -> Box:
        """The part along (Z) Y X."""
        axes = self.source.labels_axes
        return tuple(self.box[axes.index(a)] for a in self.source.spatial)

    def samples(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each sample, and its position in the box along the sample axes."""
        axes, source = self.source.labels_axes, self.source
        spans = [self.box[axes.index(a)] for a in source.sample_axes]
        for position in np.ndindex(*(b - a for a, b in spans)):
            index = [p + a for p, (a, _) in zip(position, spans, strict=True)]
            sample = 0
            if index:
                sample = int(np.ravel_multi_index(index, source.sample_shape))
            yield sample, position

    def arranged(self, flat: NDArray[Any]) -> NDArray[Any]:
        """A shared flat array as ``… (Z) Y X`` with the sample axes first; a view."""
        axes, source = self.source.labels_axes, self.source
        count = int(np.prod(self.shape))
        order = [axes.index(a) for a in source.sample_axes + source.spatial]
        return flat[:count].reshape(self.shape).transpose(order)

    @staticmethod
    def around(source: ImageSource, sample: int, spatial: Box) -> LabelsBox:
        """The box along the labels' axes of a box in one sample."""
        from napari_unet.data.source import sample_index

        index = sample_index(source.sample_shape, sample)
        spans = dict(zip(source.spatial, spatial, strict=True))
        spans |= {a: (i, i + 1) for a, i in zip(source.sample_axes, index, strict=True)}
        return tuple(spans[a] for a in source.labels_axes)
