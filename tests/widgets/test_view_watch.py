"""What the canvas shows, cut to what a preview may hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from napari.components import Dims
from napari.layers import Labels

from napari_unet.live.messages import PREVIEW_VOXELS
from napari_unet.widgets.view_watch import MAX_EDGE, clipped, shown_planes

Box = tuple[tuple[int, int], ...]


@pytest.mark.parametrize(
    "box",
    [
        ((0, 100), (50, 300)),
        ((3, 4), (0, 5000), (100, 9000)),
        ((0, 300), (0, 700), (0, 900)),
        ((0, 4), (0, 4000), (0, 4000)),
        ((0, 1), (0, 100_000)),
        ((0, 20), (0, 60), (0, 2048), (0, 2048)),
    ],
)
def test_boxes_are_cut_to_their_middle(box: Box) -> None:
    cut = clipped(box)
    sizes = [stop - start for start, stop in cut]
    assert 0 < math.prod(sizes) <= PREVIEW_VOXELS
    assert max(sizes) <= MAX_EDGE
    for (start, stop), (a, b) in zip(box, cut, strict=True):
        assert start <= a < b <= stop
        assert abs((a - start) - (stop - b)) <= 1


def test_small_boxes_and_thin_axes_stay_as_they_are() -> None:
    small = ((3, 4), (10, 500), (0, 700))
    assert clipped(small) == small
    deep = clipped(((0, 8), (0, 2000), (0, 2000)))
    assert deep[0] == (0, 8)
    assert math.prod(b - a for a, b in deep) > 0.99 * PREVIEW_VOXELS


def test_planes_on_screen_are_whole() -> None:
    layer = Labels(np.zeros((5, 7, 30, 40), np.uint8), scale=(1, 2, 1, 1))
    dims = Dims(
        ndim=4, ndisplay=2, range=((0, 4, 1), (0, 12, 2), (0, 29, 1), (0, 39, 1))
    )
    dims.set_point((0, 1), (3, 8))
    assert shown_planes(layer, dims) == ((3, 4), (4, 5), (0, 30), (0, 40))
    dims.ndisplay = 3
    assert shown_planes(layer, dims) == ((3, 4), (0, 7), (0, 30), (0, 40))
