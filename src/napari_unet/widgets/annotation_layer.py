"""Labels layers that people paint in: making them, and what their values mean.

A layer made here remembers its annotation rule and the names of its classes in
``layer.metadata["napari_unet"]``, which napari keeps when the layer is duplicated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import AnnotationRule, Task
from napari_unet.data.classes import (
    BACKGROUND_COLOR,
    PALETTE,
    ClassInfo,
    make_classes,
)
from napari_unet.data.source import ArrayLike
from napari_unet.widgets.layers import ImageSnapshot

if TYPE_CHECKING:
    from napari.layers import Labels, Layer
    from napari.utils.colormaps import DirectLabelColormap

METADATA_KEY = "napari_unet"
_RULE = "annotation"
_NAMES = "class_names"
_COLORS = "class_colors"
_PROJECT = "project"
_TASK = "task"
_CHANNELS = "channels_of"
N_COLORS = 200
"""Values with a colour of their own; larger ones share one."""

PIECE = 2**20
"""Pixels that are counted at a time."""

MAX_BRUSH_SHARE = 8
"""The first brush is at most this part of the image's shorter side."""


def annotation_colors() -> DirectLabelColormap:
    """Colours of a sparse annotation: 0 clear, 1 background, 2, 3, … the palette."""
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[int | None, str] = {None: PALETTE[0], 0: "transparent"}
    colors[1] = BACKGROUND_COLOR
    for value in range(2, N_COLORS):
        colors[value] = PALETTE[(value - 2) % len(PALETTE)]
    return DirectLabelColormap(color_dict=colors)


def class_colors(classes: Sequence[ClassInfo]) -> DirectLabelColormap:
    """Colours of a result: those of the classes, background clear."""
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[int | None, str] = {None: "#888888", 0: "transparent"}
    colors.update({c.result_value: c.color for c in classes if c.result_value})
    return DirectLabelColormap(color_dict=colors)


def class_features(names: Mapping[int, str]) -> dict[str, list[Any]]:
    """Layer features that show a value's name in the status bar."""
    return {"index": list(names), "class": list(names.values())}


def new_annotation_layer(image: ImageSnapshot, task: Task) -> Labels:
    """An empty sparse annotation for `image`, ready to paint in.

    It lies over the image, has class 2 selected and a brush of 10 pixels.
    """
    from napari.layers import Labels

    shape = image.source.labels_shape
    names = {1: "background"}
    if task == "classes":
        names[2] = "class 2"
    layer = Labels(
        np.zeros(shape, np.int32),
        name=f"{image.name} annotation",
        colormap=annotation_colors(),
        features=class_features(names),
        metadata={METADATA_KEY: {_RULE: "sparse", _NAMES: names}},
        opacity=0.6,
        **image.placement,
    )
    layer.selected_label = 2
    layer.brush_size = max(2, min(10, min(shape[-2:]) // MAX_BRUSH_SHARE))
    layer.mode = "paint"
    return layer


def rule_of(layer: Labels) -> AnnotationRule | None:
    """The rule that this layer is known to follow; ``None`` where nobody said."""
    rule = _memory(layer).get(_RULE)
    return rule if rule in ("sparse", "complete") else None


def remember_rule(layer: Labels, rule: AnnotationRule) -> None:
    """Keep what the user said about a layer."""
    layer.metadata[METADATA_KEY] = {**_memory(layer), _RULE: rule}


def known_task(layer: Layer) -> Task | None:
    """What the layer was annotated for, where that is known."""
    task = _memory(layer).get(_TASK)
    return task if task in get_args(Task) else None


def sample_memory(task: Task, names: Mapping[int, str]) -> dict[str, Any]:
    """Metadata of a sparse annotation that comes ready for a task."""
    return {METADATA_KEY: {_RULE: "sparse", _TASK: task, _NAMES: dict(names)}}


def channel_memory(name: str) -> dict[str, Any]:
    """Metadata of a layer that is one channel of the image `name`."""
    return {METADATA_KEY: {_CHANNELS: name}}


def same_image(layer: Layer) -> str | None:
    """The image that the layer is known to be a channel of."""
    name = _memory(layer).get(_CHANNELS)
    return name if isinstance(name, str) else None


def class_names(layer: Labels) -> dict[int, str]:
    """Names that were given to values of the layer."""
    names = _memory(layer).get(_NAMES)
    return {int(k): str(v) for k, v in names.items()} if isinstance(names, dict) else {}


def name_class(layer: Labels, value: int, name: str) -> None:
    """Give a value of the layer a name."""
    names = {**class_names(layer), value: name}
    names = dict(sorted(names.items()))
    layer.metadata[METADATA_KEY] = {**_memory(layer), _NAMES: names}
    if set(layer.features.columns) <= {"index", "class"}:  # nobody else's
        layer.features = class_features(names)


def forget_class(layer: Labels, value: int) -> None:
    """Drop the name of a value; its pixels stay as they are."""
    names = {v: name for v, name in class_names(layer).items() if v != value}
    layer.metadata[METADATA_KEY] = {**_memory(layer), _NAMES: names}
    if set(layer.features.columns) <= {"index", "class"}:
        layer.features = class_features(names)


def chosen_colors(layer: Labels) -> dict[int, str]:
    """Colours that were given to values of the layer, as ``#rrggbb``."""
    colors = _memory(layer).get(_COLORS)
    if not isinstance(colors, dict):
        return {}
    return {int(value): str(color) for value, color in colors.items()}


def color_class(layer: Labels, value: int, color: str) -> None:
    """Give a value of the layer a colour, ``#rrggbb``, and remember it."""
    colors = {**chosen_colors(layer), value: color}
    layer.metadata[METADATA_KEY] = {**_memory(layer), _COLORS: colors}
    show_chosen_colors(layer)


def show_chosen_colors(layer: Labels) -> None:
    """Show the colours that the layer remembers; all others stay as they are."""
    from napari.utils.colormaps import DirectLabelColormap

    chosen = chosen_colors(layer)
    if not chosen:
        return
    if isinstance(layer.colormap, DirectLabelColormap):
        colors: dict[int | None, Any] = dict(layer.colormap.color_dict)
    else:  # colours without end: keep those that a person can tell apart
        colors = {None: layer.get_color(N_COLORS), 0: "transparent"}
        colors.update({v: layer.get_color(v) for v in range(1, N_COLORS)})
    for value, color in chosen.items():
        colors[value] = color
    layer.colormap = DirectLabelColormap(color_dict=colors)


def remember_project(layer: Labels, folder: Path) -> None:
    """Note the project that keeps the layer."""
    layer.metadata[METADATA_KEY] = {**_memory(layer), _PROJECT: str(folder)}


def project_of(layer: Labels) -> Path | None:
    """Folder of the project that keeps the layer, if one does."""
    folder = _memory(layer).get(_PROJECT)
    return Path(folder) if isinstance(folder, str) else None


def _memory(layer: Layer) -> dict[str, Any]:
    memory = layer.metadata.get(METADATA_KEY)
    return dict(memory) if isinstance(memory, dict) else {}


def classes_of(
    layer: Labels, values: Sequence[int], background: int | None
) -> list[ClassInfo]:
    """Classes for the annotated `values`, named and coloured as the layer shows them.

    Parameters
    ----------
    layer : Labels
    values : sequence of int
        Annotation values that were painted.
    background : int or None
        The value that means background.
    """
    names = class_names(layer)
    return [
        c.model_copy(
            update={
                "name": names.get(c.value, c.name),
                "color": c.color if c.value == 0 else _hex(layer, c.value, c.color),
            }
        )
        for c in make_classes(values, background)
    ]


def _hex(layer: Labels, value: int, default: str) -> str:
    color = layer.get_color(value)
    if color is None:
        return default
    red, green, blue = (round(255 * float(part)) for part in color[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"


def set_pixels(layer: Labels, indices: tuple[Any, ...], values: Any) -> None:
    """Write pixels as one undoable step, also into a hidden layer.

    napari (0.9) fails at drawing into what was shown of a layer before it was hidden,
    once the view is another one.
    """
    if not layer.visible:
        layer.set_view_slice()
    layer.data_setitem(indices, values)


def holds_value(labels: ArrayLike, value: int) -> bool:
    """Whether a value occurs anywhere; plane by plane."""
    return any(
        bool((np.asarray(labels[index]) == value).any())
        for index in np.ndindex(*labels.shape[:-2])
    )


def annotated_values(labels: ArrayLike, unannotated: int | None = 0) -> dict[int, int]:
    """Number of pixels of each value, but for `unannotated`.

    Piece by piece, since a big volume need not fit in memory twice.
    """
    counts: dict[int, int] = {}
    rows = max(1, PIECE // max(1, labels.shape[-1]))
    for index in np.ndindex(*labels.shape[:-2]):
        for start in range(0, labels.shape[-2], rows):
            piece = np.asarray(labels[(*index, slice(start, start + rows))])
            for value, number in _count(piece):
                counts[value] = counts.get(value, 0) + number
    if unannotated is not None:
        counts.pop(unannotated, None)
    return dict(sorted(counts.items()))


def _count(piece: NDArray[Any]) -> list[tuple[int, int]]:
    painted = piece[piece != 0].astype(np.int64, copy=False)  # few in a sparse one
    found = []
    if painted.size and 0 < painted.min() and painted.max() < PIECE:
        numbers = np.bincount(painted)
        values = np.flatnonzero(numbers)
        found = list(zip(values.tolist(), numbers[values].tolist(), strict=True))
    elif painted.size:
        values, numbers = np.unique(painted, return_counts=True)
        found = list(zip(values.tolist(), numbers.tolist(), strict=True))
    if painted.size < piece.size:
        found.append((0, piece.size - painted.size))
    return found
