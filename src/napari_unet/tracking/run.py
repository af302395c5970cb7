"""From labels, frame by frame, to labels whose ids last."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import check_axes, spatial_axes
from napari_unet.config import TrackingConfig, checked
from napari_unet.data.source import ArrayLike
from napari_unet.errors import DataError
from napari_unet.generators import exhaust
from napari_unet.stopping import Stop, Stopped, never, unless_stopped
from napari_unet.tracking.frames import FrameObjects, describe, number, overlap
from napari_unet.tracking.joining import Edge, join_pieces
from napari_unet.tracking.linking import DIAMETERS, link_frames
from napari_unet.tracking.tracks import Tracks, assemble


@dataclass(frozen=True)
class FrameDone:
    """Some frames were read (``looking``), linked or written."""

    done: int
    total: int
    doing: str


class Film:
    """Labels as a sequence of frames.

    Parameters
    ----------
    labels : array-like of int
        Only one frame of it is read at a time.
    axes : str
        Letters out of ``TZYX``, one per axis, with T.
    voxel_size : sequence of float
        Along (Z) Y X; ones by default.

    Raises
    ------
    DataError
        If there is no time axis, one frame only, or no whole numbers.
    """

    def __init__(
        self, labels: ArrayLike, axes: str, voxel_size: Sequence[float] = ()
    ) -> None:
        self._labels = labels
        axes = check_axes(axes, labels.shape)
        if "C" in axes:
            raise DataError(
                f"The labels have channels (axes {axes}): choose labels with one "
                "whole number per pixel."
            )
        if "T" not in axes:
            raise DataError(
                f"The labels have no time axis (axes {axes}): objects can be followed "
                "only where one axis is time. Say which one it is, such as TYX."
            )
        self.time = axes.index("T")
        self.length = int(labels.shape[self.time])
        if self.length < 2:
            raise DataError(
                "The labels have one frame only: objects can be followed from two "
                "frames on."
            )
        if np.dtype(labels.dtype).kind not in "ui":
            raise DataError(
                f"The labels hold values of type {labels.dtype}, but labels are whole "
                "numbers: choose the labels of the objects."
            )
        self.axes = axes.replace("T", "")
        letters = spatial_axes(axes)
        sizes = tuple(voxel_size) or (1.0,) * len(letters)
        if len(sizes) != len(letters) or not all(0 < s < np.inf for s in sizes):
            raise DataError(
                f"The voxel size {sizes} does not fit the axes {letters}: give one "
                "positive number per axis."
            )
        by_letter = dict(zip(letters, sizes, strict=True))
        self.spacing = tuple(by_letter[letter] for letter in self.axes)

    def key(self, t: int) -> tuple[Any, ...]:
        """Index of a frame."""
        return (*(slice(None),) * self.time, t)

    def frame(self, t: int) -> NDArray[Any]:
        """The labels of one frame.

        Raises
        ------
        DataError
            If there are labels below 0.
        """
        frame = np.asarray(self._labels[self.key(t)])
        if frame.dtype.kind == "i" and frame.min(initial=0) < 0:
            raise DataError(
                f"Frame {t} has labels below 0: objects are numbered from 1, and 0 is "
                "background."
            )
        return frame


def follow(
    film: Film, config: TrackingConfig | None = None, *, stop: Stop = never
) -> Generator[FrameDone, None, Tracks]:
    """Find out which object is which over time; the labels are only read.

    Parameters
    ----------
    film : Film
    config : TrackingConfig, optional
    stop : callable
        Asked after every frame.

    Yields
    ------
    FrameDone

    Returns
    -------
    Tracks

    Raises
    ------
    Stopped
        If `stop` said so.
    DataError
        If there is no object.
    """
    config = config or TrackingConfig()
    frames: list[FrameObjects] = []
    limit = config.max_distance
    if limit is None:
        for t in range(film.length):
            _ask(stop)
            frames.append(describe(*number(film.frame(t)), film.spacing))
            yield FrameDone(t + 1, film.length, "looking")
        limit = default_distance(frames)
    frames = []
    links: list[Edge] = []
    last: NDArray[np.int32] | None = None
    for t in range(film.length):
        _ask(stop)
        ids, numbered = number(film.frame(t))
        objects = describe(ids, numbered, film.spacing)
        if last is not None:
            shared = overlap(last, numbered, (len(frames[-1]), len(objects)))
            pairs = link_frames(frames[-1], objects, shared, limit)
            links += [((t - 1, i), (t, j)) for i, j in pairs]
        frames.append(objects)
        last = numbered
        yield FrameDone(t + 1, film.length, "linking")
    if not any(len(frame) for frame in frames):
        raise DataError("The labels hold no object: choose the labels of the objects.")
    joined = unless_stopped(
        lambda: join_pieces(
            frames,
            links,
            limit,
            divisions=config.divisions,
            max_gap=config.max_gap,
        ),
        stop,
    )
    return assemble(frames, links + joined, film.spacing, film.axes, limit)


def default_distance(frames: Sequence[FrameObjects]) -> float:
    """Longest distance to look for an object: from the median size of all of them."""
    diameters = np.concatenate([frame.diameters for frame in frames])
    if not len(diameters):
        raise DataError("The labels hold no object: choose the labels of the objects.")
    return DIAMETERS * float(np.median(diameters))


def relabel(
    film: Film, tracks: Tracks, out: Any, *, stop: Stop = never
) -> Generator[FrameDone, None, None]:
    """Write the labels with the ids of the tracks, frame by frame.

    Parameters
    ----------
    film : Film
    tracks : Tracks
        What :func:`follow` found in it.
    out : array-like
        Of the labels' shape, for int32; every frame is assigned once.
    stop : callable
        Asked after every frame.
    """
    for t, table in enumerate(tracks.tables):
        _ask(stop)
        ids, numbered = number(film.frame(t))
        new = np.zeros(len(ids) + 1, np.int32)
        new[1:] = [table[int(label)] for label in ids]
        out[film.key(t)] = new[numbered]
        yield FrameDone(t + 1, film.length, "writing")


def track(
    labels: ArrayLike,
    *,
    axes: str = "",
    voxel_size: Sequence[float] = (),
    on_event: Callable[[FrameDone], object] | None = None,
    **settings: Any,
) -> tuple[NDArray[np.int32], Tracks]:
    """Give objects ids that last over time.

    Parameters
    ----------
    labels : array-like of int
        Ids that are unique within each frame; 0 is background. NumPy, dask or zarr:
        one frame is read at a time.
    axes : str, optional
        Letters out of ``TZYX``; default ``TYX`` or ``TZYX``.
    voxel_size : sequence of float, optional
        Along (Z) Y X.
    on_event : callable, optional
        Gets a :class:`FrameDone` after every frame.
    **settings
        Fields of :class:`~napari_unet.config.TrackingConfig`: ``max_distance``,
        ``divisions``, ``max_gap``.

    Returns
    -------
    labels : array of int32
        Of the shape given. Daughters of a division have ids of their own.
    tracks : Tracks

    Raises
    ------
    UserError
        If the labels or the settings cannot be used; the message says what to do.
    """
    if not axes:
        axes = {3: "TYX", 4: "TZYX"}.get(len(labels.shape), "")
        if not axes:
            raise DataError(
                f"Labels of shape {tuple(labels.shape)} are no time-lapse: give labels "
                "with the axes T (Z) Y X."
            )
    film = Film(labels, axes, voxel_size)
    tracks = exhaust(follow(film, checked(TrackingConfig, settings)), on_event)
    out = np.zeros(labels.shape, np.int32)
    exhaust(relabel(film, tracks, out), on_event)
    return out, tracks


def _ask(stop: Stop) -> None:
    if stop():
        raise Stopped
