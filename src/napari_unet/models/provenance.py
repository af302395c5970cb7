"""What a model was trained on, by a number that only the same data has."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from napari_unet.data.annotation import Annotation
from napari_unet.data.source import Box

MAX_VOXELS = 2**24
"""Of a sample with more voxels than this only a part in its middle is looked at."""
MAX_SAMPLES = 16


def data_fingerprint(annotations: Sequence[Annotation]) -> str:
    """SHA-256 of images and annotation, whatever they are called and in which order.

    Of large ones a part is looked at: it tells whether two models may have learnt from
    the same data, and is no proof.
    """
    parts = sorted(_fingerprint(annotation) for annotation in annotations)
    return sha256("".join(parts).encode()).hexdigest()


def _fingerprint(annotation: Annotation) -> str:
    source = annotation.source
    digest = sha256(repr((source.labels_shape, source.n_channels)).encode())
    count = min(source.n_samples, MAX_SAMPLES)
    for sample in np.linspace(0, source.n_samples - 1, count).astype(int):
        box = _looked_at(source.spatial_shape)
        pixels = source.read(int(sample), box)
        digest.update(pixels.dtype.str.encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
        digest.update(annotation.read(int(sample), box).tobytes())
    return digest.hexdigest()


def _looked_at(shape: Sequence[int]) -> Box:
    """As much of the middle as may be looked at."""
    edge = int(MAX_VOXELS ** (1 / len(shape)))
    if int(np.prod(shape)) <= MAX_VOXELS:
        return tuple((0, n) for n in shape)
    return tuple(
        (max(0, n // 2 - edge // 2), min(n, n // 2 + edge // 2)) for n in shape
    )
