"""What the engine does with labels and maps that are there: no network is needed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ImageSource, sample_index
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.measure import BlockDone, ObjectTable, measure_blocks
from napari_unet.segmentation.boundaries import boundaries as find_boundaries
from napari_unet.segmentation.superpixels import map_superpixels
from napari_unet.stopping import Stopped, unless_stopped

ROWS_AT_ONCE = 5_000
"""Longest piece of a table that is sent in one message."""


def measure(context: TaskContext) -> dict[str, Any]:
    """Measure objects; the table is sent in ``TableRows`` events.

    Parameters of the task: ``axes``, ``voxel_size``, ``unit``, ``name``, ``ndim``,
    ``image_axes`` (one text an image), ``channels``, ``class_names`` (pairs) and
    ``solidity``. Inputs: ``labels``, ``image0``, … and, where given, ``classes``.
    """
    params = context.params
    labels = _source(context, "labels", params["axes"])
    images = [
        _source(context, f"image{k}", axes)
        for k, axes in enumerate(params["image_axes"])
    ]
    events = measure_blocks(
        labels,
        images,
        classes=context.inputs.get("classes"),
        class_names={int(v): str(name) for v, name in params["class_names"]},
        channels=params["channels"],
        solidity=params["solidity"],
    )
    table = None
    while table is None:
        try:
            event, table = unless_stopped(
                partial(_next, events), context.stop_requested
            )
        except Stopped:
            raise TaskStopped from None
        if event is not None:
            done = {"done": event.done, "total": event.total}
            context.emit({"event": "BlockDone", **done})
    for first in range(0, max(len(table), 1), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        part = {name: _sendable(c[rows]) for name, c in table.columns.items()}
        context.emit({"event": "TableRows", "columns": part})
    return {"objects": len(table), "unit": table.unit}


def _next(
    events: Generator[BlockDone, None, ObjectTable],
) -> tuple[BlockDone, None] | tuple[None, ObjectTable]:
    """The next event, or the table at the end."""
    try:
        return next(events), None
    except StopIteration as end:
        return None, end.value


def boundaries(context: TaskContext) -> dict[str, Any]:
    """Write the boundaries of ``labels`` into the output ``labels``.

    Parameters of the task: ``axes``, ``ndim``, ``name``, ``width``, ``ids``.
    """
    params = context.params
    source = _source(context, "labels", params["axes"])

    def one(labels: NDArray[Any]) -> NDArray[Any]:
        return find_boundaries(labels, params["width"], ids=params["ids"])

    return _each_sample(context, source, one)


def superpixels(context: TaskContext) -> dict[str, Any]:
    """Divide a map (input ``image``) into superpixels (output ``labels``).

    Parameters of the task: ``axes``, ``ndim``, ``voxel_size``, ``name``, ``size``,
    ``of``.
    """
    params = context.params
    source = _source(context, "image", params["axes"])

    def one(probability: NDArray[Any]) -> NDArray[Any]:
        return map_superpixels(
            probability, params["size"], of=params["of"], voxel_size=source.voxel_size
        )

    return _each_sample(context, source, one)


def _each_sample(
    context: TaskContext,
    source: ImageSource,
    work: Callable[[NDArray[Any]], NDArray[Any]],
) -> dict[str, Any]:
    """Fill the output ``labels``, image by image."""
    for sample, where in enumerate(_places(source)):
        pixels = source.read(sample)[0]
        try:
            made = unless_stopped(partial(work, pixels), context.stop_requested)
        except Stopped:
            raise TaskStopped from None
        context.outputs["labels"][where] = made
        done = {"done": sample + 1, "total": source.n_samples}
        context.emit({"event": "BlockDone", **done})
    return {}


def _places(source: ImageSource) -> Iterator[tuple[Any, ...]]:
    """Where each sample lies in an array of the axes of the labels."""
    for sample in range(source.n_samples):
        index = dict(
            zip(
                source.sample_axes,
                sample_index(source.sample_shape, sample),
                strict=True,
            )
        )
        yield tuple(index.get(letter, slice(None)) for letter in source.labels_axes)


def _source(context: TaskContext, key: str, axes: str) -> ImageSource:
    params = context.params
    return ImageSource(
        (context.inputs[key],),
        axes,
        tuple(params.get("voxel_size") or ()),
        params.get("unit") or "pixel",
        params["name"],
        params["ndim"],
    )


def _sendable(column: NDArray[Any]) -> Any:
    """Numbers travel as arrays, names as a list."""
    return column.tolist() if column.dtype == np.dtype(object) else column
