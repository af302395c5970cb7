"""The functions of ``import napari_unet``: arrays or files in, arrays out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import AnnotationRule, Task, TrainingConfig, training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import name_classes
from napari_unet.data.source import ArrayLike, ImageSource, image_source
from napari_unet.data.values import annotation_for
from napari_unet.errors import ConfigError, DataError
from napari_unet.evaluation.renumbering import class_numbers, renumbered
from napari_unet.evaluation.settings import evaluation_settings
from napari_unet.image_io import read_image, read_values
from napari_unet.image_io import read_labels as read_labels_file
from napari_unet.image_io.store import PixelSize
from napari_unet.metrics.classes import class_scores, confusion
from napari_unet.metrics.objects import match_objects, pool
from napari_unet.models.model import Model
from napari_unet.training.events import TrainingEvent
from napari_unet.workflows import exhaust
from napari_unet.workflows import predict as predict_events
from napari_unet.workflows import train as train_events
from napari_unet.workflows.sensitivity import Sensitivity
from napari_unet.workflows.sensitivity import sensitivity as _sensitivity

ImageLike = ArrayLike | ImageSource | str | Path
LabelsLike = ArrayLike | str | Path


def train(
    images: ImageLike | Sequence[ImageLike],
    labels: LabelsLike | Sequence[LabelsLike],
    *,
    annotation: AnnotationRule | None = None,
    task: Task = "classes",
    validation: tuple[Sequence[ImageLike], Sequence[LabelsLike]] | None = None,
    axes: str | None = None,
    voxel_size: Sequence[float] = (),
    ndim: int = 0,
    name: str = "model",
    class_names: Mapping[int, str] | None = None,
    start: Model | str | Path | None = None,
    on_event: Callable[[TrainingEvent], object] | None = None,
    **settings: Any,
) -> Model:
    """Train a U-Net from images and their annotation.

    Parameters
    ----------
    images : array, path, or sequence of them
        Axes out of ``TCZYX``; all with the same channels.
    labels : array of int, path, or sequence of them
        One for each image, with its axes but C. For task ``regression`` the values to
        predict, NaN where they are not known.
    annotation : {"sparse", "complete"}
        Sparse: 0 is not annotated, 1 is background, 2, 3, … are classes or objects.
        Complete: 0 is background, 1, 2, … are classes or objects. Needed for both.
    task : {"classes", "objects", "regression"}
        Label kinds of pixels, or one object after another, or predict a value for
        every pixel.
    validation : tuple of (images, labels), optional
        Images that only measure; a part of the annotation is held out otherwise.
    axes : str, optional
        Letters of the images' axes; guessed from the shape, or read from the file.
    voxel_size : sequence of float, optional
        Along (Z) Y X, in any one unit: its ratios shape the network.
    ndim : {0, 2, 3}
        2 treats the planes of a stack as images of their own; 0 decides by the axes.
    name : str
        Name of the model.
    class_names : mapping, optional
        Names of classes by their value in the labels; for task ``classes``.
    start : Model or path, optional
        What to begin with; classes, channels and dimensions may be others.
    on_event : callable, optional
        Gets every :class:`~napari_unet.training.events.TrainingEvent`.
    **settings
        Fields of :class:`~napari_unet.config.TrainingConfig`, such as ``minutes``,
        ``max_steps``, ``preset``, ``seed`` or ``device``.

    Returns
    -------
    Model

    Raises
    ------
    UserError
        If the images, the annotation or the settings cannot be used; the message says
        what to do.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_unet
    >>> image = np.zeros((64, 64), np.float32)
    >>> image[16:48, 16:48] = 1
    >>> model = napari_unet.train(
    ...     image, (image > 0).astype(int), annotation="complete", max_steps=2,
    ...     batch_size=2, base_channels=4,
    ... )
    >>> napari_unet.predict(model, image).shape
    (64, 64)
    """
    if annotation is None and task != "regression":
        raise ConfigError(
            'Say with annotation="complete" or annotation="sparse" what 0 in the '
            "labels means: background, or not annotated."
        )
    config = training_config(
        task=task, **({"annotation": annotation} if annotation else {}), **settings
    )

    def paired(some: Any, theirs: Any) -> list[Annotation]:
        pairs = _paired(some, theirs)
        return [
            _annotation(a, b, n, axes, voxel_size, ndim, config)
            for n, (a, b) in enumerate(pairs)
        ]

    held_out = paired(*validation) if validation else []
    pairs = paired(images, labels)
    classes = None
    if class_names and config.task == "classes":
        values = sorted({value for pair in pairs for value in pair.count_values()})
        classes = name_classes(values, pairs[0].background_value, class_names)
    begin = Model.load(start) if isinstance(start, str | Path) else start
    events = train_events(
        pairs, config, validation=held_out, classes=classes, name=name, start=begin
    )
    return exhaust(events, on_event)


def predict(
    model: Model | str | Path,
    image: ImageLike,
    *,
    axes: str | None = None,
    probabilities: bool = False,
    on_event: Callable[[Any], object] | None = None,
    **options: Any,
) -> Any:
    """Segment an image.

    Parameters
    ----------
    model : Model or path
    image : array or path
        Of a file in several resolutions, the one is taken whose pixels are nearest to
        those of the model.
    axes : str, optional
        Letters of the image's axes; guessed from the shape, or read from the file.
    probabilities : bool
        Whether the network's maps are returned, too.
    on_event : callable, optional
        Gets a :class:`~napari_unet.workflows.TileDone` after every tile.
    **options
        ``samples``, ``region``, ``views``, ``resample``, ``objects``, ``mask``,
        ``device`` and ``precision`` of :func:`napari_unet.workflows.predict`.

    Returns
    -------
    labels : ndarray of int32
        With the image's axes but C; background is 0.
    probabilities : ndarray of float16
        Only where asked for: ``K`` maps before the axes of `labels`.

    Raises
    ------
    UserError
        If the image does not fit the model; the message says what to do.
    """
    model = model if isinstance(model, Model) else Model.load(model)
    near = PixelSize.known(model.info.voxel_size, model.info.unit)
    source = _source(image, axes, (), model.info.ndim, "image", near)
    events = predict_events(model, source, probabilities=probabilities, **options)
    result = exhaust(events, on_event)
    if probabilities:
        return result.labels, result.probabilities
    return result.labels


def sensitivity(
    model: Model | str | Path,
    image: ImageLike,
    point: Sequence[int],
    *,
    axes: str | None = None,
    **options: Any,
) -> Sensitivity:
    """Which pixels the object or the piece of a class at a point hangs on.

    Parameters
    ----------
    model, image, axes
        As in :func:`predict`.
    point : sequence of int
        A voxel, (Z) Y X.
    **options
        ``sample`` and ``device`` of
        :func:`napari_unet.workflows.sensitivity.sensitivity`.

    Returns
    -------
    Sensitivity
        With the ``map``, 0 to 1, and the ``box`` of the image that it covers.

    Raises
    ------
    UserError
        If there is no object, or the image does not fit the model.
    """
    model = model if isinstance(model, Model) else Model.load(model)
    near = PixelSize.known(model.info.voxel_size, model.info.unit)
    source = _source(image, axes, (), model.info.ndim, "image", near)
    return _sensitivity(model, source, point, **options)


def load_model(path: str | Path, *, allow_code: bool = False) -> Model:
    """Read a model file; nothing in it is executed unless you allow it.

    Parameters
    ----------
    path : path
        A model of ours, or a BioImage.IO package of another program.
    allow_code : bool
        Whether a package of another program may run the Python code that comes with
        it. Only for files of people you trust; models of ours never need it.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, or from a newer program.
    """
    return Model.load(path, allow_code=allow_code)


def evaluate(
    predictions: NDArray[Any] | Sequence[NDArray[Any]],
    labels: NDArray[Any] | Sequence[NDArray[Any]],
    *,
    task: Task,
    renumber: Mapping[int, int] | None = None,
) -> dict[str, Any]:
    """Compare predicted labels with the truth, pooled over images.

    Parameters
    ----------
    predictions, labels : array of int, or sequence of them
        Of equal shapes. 0 is background; true values below 0 are not annotated.
    task : {"classes", "objects"}
    renumber : mapping of int to int, optional
        Task ``classes``: ``{2: 1}`` reads 2 in the predictions as 1. A lone class with
        another number than the lone class of `labels` is taken for it; a warning says
        so, and also where other numbers do not fit.

    Returns
    -------
    dict
        Task ``classes``: Dice and IoU per class and pixel error. Task ``objects``:
        precision, recall, F1 and AP at IoU 0.50, 0.55, … 0.95.
    """
    pairs = [(np.asarray(p), np.asarray(t)) for p, t in _paired(predictions, labels)]
    for predicted, true in pairs:
        if predicted.shape != true.shape:
            raise DataError(
                f"A prediction of shape {predicted.shape} cannot be compared with "
                f"labels of shape {true.shape}: give labels of the same image."
            )
    if task == "objects":
        return pool(match_objects(t, p) for p, t in pairs).as_dict()
    values = sorted({int(v) for _, t in pairs for v in np.unique(t) if v >= 0})
    settings = evaluation_settings(task="classes", renumber=dict(renumber or {}))
    found = {int(v) for p, _ in pairs for v in np.unique(p)}
    numbers, said = class_numbers(values, found, settings)
    if said:
        warnings.warn(said, stacklevel=2)
    tables = [confusion(t, renumbered(p, numbers), values) for p, t in pairs]
    return class_scores(tables, values, 0 if 0 in values else None).as_dict()


def _paired(some: Any, theirs: Any) -> list[tuple[Any, Any]]:
    if not _is_many(some):
        some, theirs = [some], [theirs]
    if not _is_many(theirs) or len(some) != len(theirs):
        count = len(theirs) if _is_many(theirs) else 1
        raise DataError(
            f"{len(some)} images came with {count} labels: give one for each image."
        )
    return list(zip(some, theirs, strict=True))


def _is_many(thing: Any) -> bool:
    return isinstance(thing, Iterable) and isinstance(thing, list | tuple)


def _source(
    image: ImageLike,
    axes: str | None,
    voxel_size: Sequence[float],
    ndim: int,
    name: str,
    near: PixelSize | None = None,
) -> ImageSource:
    if isinstance(image, str | Path):
        return read_image(
            image,
            axes=axes,
            voxel_size=tuple(voxel_size) or None,
            ndim=ndim,
            near=near,
        )
    return image_source(image, axes, voxel_size, ndim=ndim, name=name)


def _annotation(
    image: ImageLike,
    labels: LabelsLike,
    number: int,
    axes: str | None,
    voxel_size: Sequence[float],
    ndim: int,
    config: TrainingConfig,
) -> Annotation:
    source = _source(image, axes, voxel_size, ndim, f"image {number + 1}")
    if isinstance(labels, str | Path):
        opened = read_values if config.task == "regression" else read_labels_file
        labels = opened(labels, source)
    return annotation_for(labels, source, config)
