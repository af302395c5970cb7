"""What ilastik-like tools give: a random forest on multiscale features of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier


def pixel_features(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intensity, edges and texture at scales of 1 to 16 pixels, ``(Z) Y X F``.

    Parameters
    ----------
    image : ndarray, C (Z) Y X
    """
    features = partial(multiscale_basic_features, sigma_min=1, sigma_max=16)
    return np.concatenate([features(channel) for channel in image], axis=-1)


class Forest:
    """A hundred trees, fitted to annotated pixels."""

    def __init__(self, seed: int = 0) -> None:
        self._trees = RandomForestClassifier(
            100, min_samples_leaf=2, n_jobs=2, random_state=seed
        )

    def fit(
        self, features: Sequence[NDArray[np.float32]], strokes: NDArray[np.int32]
    ) -> None:
        """Learn from sparse strokes (0 not annotated, 1 background, 2, … classes)."""
        values = np.concatenate(
            [f[s > 0] for f, s in zip(features, strokes, strict=True)]
        )
        self._trees.fit(values, strokes[strokes > 0] - 1)

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int32]:
        """Classes 0, 1, … of every pixel."""
        flat = features.reshape(-1, features.shape[-1])
        return self._trees.predict(flat).reshape(features.shape[:-1]).astype(np.int32)
