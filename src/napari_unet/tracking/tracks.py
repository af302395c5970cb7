"""Tracks: ids that last, the way of each object, and who divided into whom."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.tracking.frames import FrameObjects
from napari_unet.tracking.joining import Edge, Node


@dataclass(frozen=True)
class Tracks:
    """Objects followed over time.

    A track goes from an object's appearance to its end or its division: daughters are
    tracks of their own.

    Parameters
    ----------
    data : array of float, N × (3 or 4)
        A row for each object in each frame: track, frame, (z), y, x, in the order of
        track and frame. Positions are centroids in voxels, as napari's Tracks layer
        wants them.
    graph : dict of int to list of int
        The mother of each daughter.
    sizes : array of float, N
        Area or volume in the unit of the voxel size, a row as in `data`.
    labels : array of int, N
        The label that each object had before.
    axes : str
        Letters of the position columns, such as ``"YX"``.
    frames : int
        Number of frames.
    max_distance : float
        Longest distance between two frames that was allowed, in the unit of the voxel
        size.
    """

    data: NDArray[np.float64]
    graph: Mapping[int, list[int]]
    sizes: NDArray[np.float64]
    labels: NDArray[np.int64]
    axes: str
    frames: int
    max_distance: float
    tables: Sequence[Mapping[int, int]] = field(repr=False, default=())
    """For each frame, the track of each label."""

    @property
    def count(self) -> int:
        """Number of tracks."""
        return len({track for table in self.tables for track in table.values()})

    @property
    def divisions(self) -> int:
        """Number of divisions."""
        return len({parent for parents in self.graph.values() for parent in parents})

    def write_csv(self, path: str | Path) -> None:
        """Write a row for each object in each frame.

        Columns: ``track``, ``frame``, the centroid in voxels, ``size`` in the unit of
        the voxel size, the ``label`` before, and ``parent``, which is empty unless the
        track began with a division.

        Raises
        ------
        DataError
            If the disk refuses.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        letters = [letter.lower() for letter in self.axes]
        writer.writerow(["track", "frame", *letters, "size", "label", "parent"])
        rows = zip(self.data, self.sizes, self.labels, strict=True)
        for (track, frame, *position), size, label in rows:
            parent = self.graph.get(int(track), [""])[0]
            places = [f"{p:.3f}" for p in position]
            writer.writerow(
                [int(track), int(frame), *places, f"{size:.6g}", label, parent]
            )
        try:
            with atomic_file(Path(path)) as file:
                file.write(text.getvalue().encode())
        except OSError as error:
            raise DataError(
                f"The table could not be written to {path}: {error.strerror or error}."
            ) from error


def assemble(
    frames: Sequence[FrameObjects],
    edges: Sequence[Edge],
    spacing: Sequence[float],
    axes: str,
    max_distance: float,
) -> Tracks:
    """Give every object its track.

    Parameters
    ----------
    frames : sequence of FrameObjects
    edges : sequence of Edge
        From earlier to later; two from one object are a division.
    spacing : sequence of float
        Size of a voxel along each of `axes`.
    axes : str
        Letters of the axes of a frame.
    max_distance : float
    """
    later: dict[Node, list[Node]] = defaultdict(list)
    before: dict[Node, Node] = {}
    for start, end in edges:
        later[start].append(end)
        before[end] = start
    track_of: dict[Node, int] = {}
    graph: dict[int, list[int]] = {}
    number = 0
    for t, frame in enumerate(frames):
        for place in range(len(frame)):
            node = (t, place)
            parent = before.get(node)
            if parent is not None and len(later[parent]) == 1:
                track_of[node] = track_of[parent]
                continue
            number += 1
            track_of[node] = number
            if parent is not None:
                graph[number] = [track_of[parent]]
    nodes = sorted(track_of, key=lambda node: (track_of[node], node[0]))
    data = np.array(
        [(track_of[t, i], t, *(frames[t].centroids[i] / spacing)) for t, i in nodes],
        np.float64,
    ).reshape(len(nodes), 2 + len(axes))
    return Tracks(
        data=data,
        graph=graph,
        sizes=np.array([frames[t].sizes[i] for t, i in nodes], np.float64),
        labels=np.array([frames[t].ids[i] for t, i in nodes], np.int64),
        axes=axes,
        frames=len(frames),
        max_distance=max_distance,
        tables=[
            {int(label): track_of[t, i] for i, label in enumerate(frame.ids)}
            for t, frame in enumerate(frames)
        ],
    )
