"""What a result was made from: by this, a run goes on where another one ended."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from napari_unet.data.source import Box, ImageSource
from napari_unet.models.model import Model
from napari_unet.segmentation.settings import ObjectSettings
from napari_unet.workflows.preparation import Options

IMAGE_COMPARED = 64
"""Edge in voxels of the parts of an image that are compared."""
MASK_COMPARED = 1024
"""… and of a mask."""


def fingerprint(
    model: Model, source: ImageSource, options: Options, mask: ImageSource | None
) -> str:
    """What has to be the same for a run to go on where another one ended."""
    digest = hashlib.sha256()
    digest.update(model.info.model_dump_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    shapes = [tuple(int(n) for n in a.shape) for a in source.arrays]
    how = (options.views, options.resample and source.voxel_size, source.unit)
    digest.update(repr((shapes, source.axes, source.ndim, how)).encode())
    digest.update(options.objects.model_dump_json(exclude_none=True).encode())
    # Images of one name and shape are told apart by some of their pixels.
    digest.update(_some_pixels(source, IMAGE_COMPARED))
    if mask is not None:
        digest.update(_some_pixels(mask, MASK_COMPARED))
    return digest.hexdigest()


def maps_fingerprint(model: Model, source: ImageSource, options: Options) -> str:
    """The same for the network's maps, from which any objects can be cut."""
    info = model.info.model_copy(update={"decoder": None})
    plain = replace(options, objects=ObjectSettings())
    return fingerprint(Model(model.network, info), source, plain, None)


def _some_pixels(source: ImageSource, edge: int) -> bytes:
    """Those in the middle of three of the samples."""
    middle: Box = tuple(
        (max(0, n // 2 - edge // 2), min(n, n // 2 + edge // 2))
        for n in source.spatial_shape
    )
    chosen = sorted({0, source.n_samples // 2, source.n_samples - 1})
    return b"".join(
        np.ascontiguousarray(source.read(sample, middle)).tobytes() for sample in chosen
    )
