"""Pairs of a truth and a prediction, from layers, arrays or folders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_unet.data.annotation import UNANNOTATED
from napari_unet.data.source import ArrayLike, ImageSource, sample_index
from napari_unet.errors import DataError
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.image_io import display_name, pair_folders, read_image, read_labels

BACKGROUND_IN_SPARSE = 1
BYTES_PER_VOXEL = 48
"""About the most that comparing takes: labels, distances, and where they lead."""


@dataclass(frozen=True)
class Frame:
    """One plane or volume of a pair: (Z) Y X."""

    index: tuple[int, ...]
    """Position along the axes that are not spatial, such as time."""
    truth: NDArray[np.int64]
    """Background 0, unannotated pixels -1."""
    prediction: NDArray[Any]
    image: NDArray[Any] | None
    """C (Z) Y X."""
    probabilities: NDArray[Any] | None
    """K (Z) Y X."""


@dataclass(frozen=True)
class Pair:
    """A prediction and the truth that it is compared with.

    Parameters
    ----------
    truth : ImageSource
        Labels as they are stored, with the axes of the labels.
    prediction : array of int
        Axes as `truth`; background is 0.
    image : ImageSource, optional
        For pictures.
    probabilities : array of float, optional
        First axis K, one map a class, then the axes of `truth`.
    """

    name: str
    truth: ImageSource
    prediction: ArrayLike
    image: ImageSource | None = None
    probabilities: ArrayLike | None = None
    map_values: tuple[int, ...] = ()
    temperature: float = 1.0
    """By which the probabilities were cooled."""
    """Label value of each map; those of the reference's classes by default."""

    @property
    def n_frames(self) -> int:
        return self.truth.n_samples

    def frames(self, settings: EvaluationSettings) -> Iterator[Frame]:
        """Planes or volumes one after the other, read when they are needed."""
        truth = self.truth
        _check_memory(truth)
        made = ImageSource((self.prediction,), truth.axes, ndim=truth.ndim)
        for sample in range(truth.n_samples):
            yield Frame(
                index=sample_index(truth.sample_shape, sample),
                truth=true_values(truth.read(sample)[0], settings),
                prediction=made.read(sample)[0],
                image=None if self.image is None else self.image.read(sample),
                probabilities=self._maps(sample),
            )

    def _maps(self, sample: int) -> NDArray[Any] | None:
        if self.probabilities is None:
            return None
        source = ImageSource(
            (self.probabilities,), "C" + self.truth.axes, ndim=self.truth.ndim
        )
        return source.read(sample)


def _check_memory(truth: ImageSource) -> None:
    """Say beforehand what would end in a crash.

    Raises
    ------
    DataError
        If a frame is larger than the free memory allows.
    """
    voxels = math.prod(truth.spatial_shape)
    if voxels * BYTES_PER_VOXEL > psutil.virtual_memory().available:
        size = " × ".join(str(n) for n in truth.spatial_shape)
        raise DataError(
            f"{truth.name!r} is too large to be compared in one piece ({size}): "
            "compare a part of it, or plane by plane."
        )


def true_values(
    values: NDArray[Any], settings: EvaluationSettings
) -> NDArray[np.int64]:
    """True labels with background 0 and unannotated pixels -1."""
    truth = values.astype(np.int64)
    if settings.annotation == "sparse" or not settings.background:
        truth[values == 0] = UNANNOTATED
    if settings.annotation == "sparse" and settings.background:
        # Predictions write background as 0.
        truth[values == BACKGROUND_IN_SPARSE] = 0
    return truth


def make_pair(
    truth: ArrayLike,
    prediction: ArrayLike,
    axes: str,
    *,
    name: str = "image",
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
    ndim: int = 0,
    image: ImageSource | None = None,
    probabilities: ArrayLike | None = None,
) -> Pair:
    """A pair of arrays with the axes `axes`.

    Raises
    ------
    DataError
        If the shapes differ or one of them holds no labels.
    """
    if tuple(truth.shape) != tuple(prediction.shape):
        raise DataError(
            f"The prediction of {name!r} has the shape {tuple(prediction.shape)}, but "
            f"its reference has {tuple(truth.shape)}: compare labels of the same image."
        )
    for array, what in ((truth, "reference"), (prediction, "prediction")):
        if np.dtype(array.dtype).kind not in "bui":
            raise DataError(
                f"The {what} of {name!r} holds {np.dtype(array.dtype)} values, but "
                "labels are whole numbers: convert it to an integer type."
            )
    source = ImageSource((truth,), axes, tuple(voxel_size), unit, name, ndim)
    if image is not None and image.labels_shape != source.labels_shape:
        raise DataError(
            f"The image {image.name!r} has the shape {image.labels_shape}, but its "
            f"labels have {source.labels_shape}: choose the image of these labels."
        )
    return Pair(name, source, prediction, image, probabilities)


@dataclass(frozen=True)
class PairFiles:
    """Files of a pair."""

    truth: Path
    prediction: Path | None = None
    image: Path | None = None
    probabilities: Path | None = None

    @property
    def name(self) -> str:
        return display_name(self.truth)


def find_pairs(
    labels: Path,
    *,
    predictions: Path | None = None,
    images: Path | None = None,
    probabilities: Path | None = None,
) -> list[PairFiles]:
    """Files that belong together by their names; each may also be a single file.

    Raises
    ------
    DataError
        If a folder is missing or a file has no partner.
    """
    folders = {
        "prediction": (predictions, "prediction"),
        "image": (images, "image"),
        "probabilities": (probabilities, "probability map"),
    }
    columns: dict[str, dict[Path, Path]] = {}
    for name, (folder, noun) in folders.items():
        if folder is None:
            continue
        if folder.is_file() and labels.is_file():
            found = [(folder, labels)]
        else:
            found = pair_folders(folder, labels, noun=noun)
        columns[name] = {truth: path for path, truth in found}
    if not columns:
        raise DataError("No predictions were given: choose a file or a folder.")
    truths = list(next(iter(columns.values())))
    return [
        PairFiles(t, **{n: files[t] for n, files in columns.items()}) for t in truths
    ]


def open_pair(
    files: PairFiles,
    settings: EvaluationSettings,
    *,
    prediction: ArrayLike | None = None,
    voxel_size: tuple[float, ...] | None = None,
    unit: str | None = None,
) -> Pair:
    """Open the files of a pair.

    Parameters
    ----------
    prediction : array of int, optional
        Labels that a model made just now, along the axes of the image's labels.
    voxel_size, unit : optional
        Instead of what the files say.

    Raises
    ------
    DataError
        If a file cannot be read, or they do not belong to the same image.
    """
    image = None
    if files.image is not None:
        image = read_image(files.image)
        source = _labels_source(read_labels(files.truth, image), image)
    else:
        # Only pictures have colours here, and read_labels looks at them.
        source = read_image(files.truth)
        source = _labels_source(read_labels(files.truth, source), source)
    if prediction is None:
        prediction = _read_prediction(files, source)
    for other in (files.truth, files.prediction):
        # Whoever knows the size of a voxel is believed.
        if source.unit == "pixel" and other is not None and not voxel_size:
            source = _with_voxels(source, read_image(other))
    return make_pair(
        source.arrays[0],
        prediction,
        source.axes,
        name=files.name,
        voxel_size=voxel_size or source.voxel_size,
        unit=unit or source.unit,
        ndim=settings.ndim if "Z" in source.axes else 0,
        image=image,
        probabilities=_read_maps(files, source),
    )


def _labels_source(labels: ArrayLike, image: ImageSource) -> ImageSource:
    return ImageSource(
        (labels,), image.labels_axes, image.voxel_size, image.unit, image.name
    )


def _with_voxels(source: ImageSource, other: ImageSource) -> ImageSource:
    if other.unit == "pixel" or len(other.voxel_size) != len(source.voxel_size):
        return source
    return ImageSource(
        source.arrays, source.axes, other.voxel_size, other.unit, source.name
    )


def _read_prediction(files: PairFiles, source: ImageSource) -> ArrayLike:
    if files.prediction is None:
        raise DataError(f"{files.name!r} has no prediction: choose a folder of them.")
    return read_labels(files.prediction, source)


def _read_maps(files: PairFiles, source: ImageSource) -> NDArray[Any] | None:
    if files.probabilities is None:
        return None
    maps = read_image(files.probabilities)
    if "C" not in maps.axes or maps.labels_shape != source.labels_shape:
        raise DataError(
            f"The probabilities {files.probabilities.name} do not fit their labels: "
            "give the files that `napari-unet predict --probabilities` wrote."
        )
    array = np.asarray(maps.arrays[0][...])
    order = [maps.axes.index(letter) for letter in "C" + source.axes]
    return array.transpose(order)
