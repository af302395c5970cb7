"""Measuring and layers: what is measured in, boxes around objects, features."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.measure.table import ObjectTable
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.layers import without_alpha
from napari_unet.widgets.measure_run import MeasuredImage
from napari_unet.widgets.placement import placement
from napari_unet.widgets.readings import layer_shape, level_zero

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels, Layer, Shapes

MOST_BOXES = 5_000
"""More rectangles make a Shapes layer slow."""

SAMPLES = ("frame", "plane")
"""Columns that stand for leading axes of the layer."""

_KEY = "napari_unet"
_MEASURED = "measured"
_PLACES = ("bbox_", "centroid_", "intensity_min", "intensity_max")
"""Columns that would only lengthen the line in the status bar."""

RGB = ("red", "green", "blue")


def fitting_images(viewer: napari.Viewer, labels: Layer) -> list[Image]:
    """Image layers of the shape of `labels`, with or without channels."""
    from napari.layers import Image

    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image)
        and not is_preview(layer)
        and _channels_first(layer, labels) is not None
    ]


def _channels_first(image: Layer, labels: Layer) -> bool | None:
    """Whether the first axis of an image is channels; ``None`` if it does not fit."""
    shape, wanted = layer_shape(image), layer_shape(labels)
    if shape == wanted:
        return False
    return True if shape[1:] == wanted and not image.rgb else None


def measured_image(image: Image, labels: Layer, axes: str) -> MeasuredImage:
    """An image layer as the engine takes it.

    Parameters
    ----------
    image : Image
        One of :func:`fitting_images`.
    labels : Layer
    axes : str
        Axes of `labels`.
    """
    array = level_zero(image)
    if image.rgb:
        array = without_alpha(array)
        names = tuple(f"{image.name} {c}" for c in RGB[: array.shape[-1]])
        return MeasuredImage(array, f"{axes}C", names)
    if _channels_first(image, labels):
        numbers = range(1, layer_shape(image)[0] + 1)
        names = tuple(f"{image.name} {k}" for k in numbers)
        return MeasuredImage(array, f"C{axes}", names)
    return MeasuredImage(array, axes, (image.name,))


def fitting_classes(viewer: napari.Viewer, labels: Layer) -> list[Labels]:
    """Other Labels layers of the same shape."""
    from napari.layers import Labels

    shape = layer_shape(labels)
    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Labels)
        and layer is not labels
        and not is_preview(layer)
        and layer_shape(layer) == shape
    ]


def class_names_of(layer: Labels) -> dict[int, str]:
    """Names of the values of a layer of classes, as far as its features tell."""
    features = layer.features
    if not {"index", "class"} <= set(features):
        return {}
    pairs = zip(features["index"], features["class"], strict=True)
    return {int(v): str(name) for v, name in pairs if isinstance(name, str)}


def layer_box(table: ObjectTable, item: int) -> tuple[tuple[int, int], ...]:
    """Start and stop of an object along each axis of its layer."""
    leading = [int(table[name][item]) for name in SAMPLES if name in table.columns]
    spans = [(k, k + 1) for k in leading]
    spans += [(int(a), int(b)) for a, b in _bounds(table, item)]
    return tuple(spans)


def _bounds(table: ObjectTable, item: int) -> list[tuple[int, int]]:
    return [
        (
            int(table[f"bbox_{a}_start"][item]),
            int(table[f"bbox_{a}_stop"][item]),
        )
        for a in table.spatial.lower()
    ]


def box_layer(table: ObjectTable, items: Iterable[int], labels: Layer) -> Shapes:
    """Rectangles around objects: one a plane, with the object's id as feature.

    Raises
    ------
    DataError
        If there are none, or so many that the viewer would become slow.
    """
    from napari.layers import Shapes

    corners: list[NDArray[np.float64]] = []
    owners: list[int] = []
    for item in items:
        for rectangle in rectangles(layer_box(table, item)):
            corners.append(rectangle)
            owners.append(item)
        if len(corners) > MOST_BOXES:
            raise DataError(
                f"These objects need more than {MOST_BOXES:,} boxes, which would make "
                "the viewer slow: select some rows of the table first."
            )
    if not corners:
        raise DataError("There are no objects to draw boxes around.")
    features = {
        name: table[name][owners]
        for name in ("id", "class", "class_name")
        if name in table.columns
    }
    return Shapes(
        corners,
        shape_type="rectangle",
        edge_color="yellow",
        face_color="transparent",
        edge_width=max(0.5, _typical_edge(corners) / 15),
        features=features,
        name=f"{labels.name} boxes",
        **placement(labels),
    )


def rectangles(box: tuple[tuple[int, int], ...]) -> list[NDArray[np.float64]]:
    """Corners of a box in every plane that it spans, 4 × axes of the layer."""
    *leading, (top, bottom), (left, right) = box
    made = []
    for place in itertools.product(*(range(*span) for span in leading)):
        flat = np.array(
            [(top, left), (top, right), (bottom, right), (bottom, left)], float
        )
        # A voxel reaches half a step to each side of its index.
        lead = np.tile(np.array(place, float), (4, 1))
        made.append(np.column_stack([lead.reshape(4, len(place)), flat - 0.5]))
    return made


def _typical_edge(corners: list[NDArray[np.float64]]) -> float:
    return float(np.median([np.ptp(c[:, -1]) for c in corners[:1000]]))


def put_features(layer: Labels, table: ObjectTable) -> None:
    """Put measurements beside the values of a layer, so that the status bar tells them.

    Columns that are not from here stay as they are. Where an id has several rows, as
    in a time-lapse, nothing is put, since a layer knows one row an id.
    """
    if any(name in table.columns for name in SAMPLES) or not len(table):
        return
    memory = dict(layer.metadata.get(_KEY) or {})
    old = layer.features.drop(columns=memory.get(_MEASURED, []), errors="ignore")
    new = {
        name: column
        for name, column in table.columns.items()
        if name != "id" and not name.startswith(_PLACES) and name not in old
    }
    frame = type(layer.features)  # of pandas, as napari makes them
    made = frame({"index": table["id"], **new})
    if old.shape[1]:
        # Without an index of its own, a row stands for the value of its number.
        if "index" not in old:
            old = old.assign(index=np.arange(len(old)))
        made = old.merge(made, on="index", how="outer")
    layer.features = made
    memory[_MEASURED] = list(new)
    layer.metadata[_KEY] = memory


def lookup(table: ObjectTable) -> Mapping[tuple[int, ...], int]:
    """Row of each object by its frame and plane, where there are some, and its id."""
    names = [*(n for n in SAMPLES if n in table.columns), "id"]
    keys = zip(*(table[name].tolist() for name in names), strict=True)
    return {key: row for row, key in enumerate(keys)}
