"""A folder from which a live run goes on after a crash, or on another day.

``annotation.npz`` holds the annotation, ``run.checkpoint`` weights, optimiser and what
was held out. Each file is replaced only once the new one is complete.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.training.checkpoint import Checkpoint, with_prefix, without_prefix

if TYPE_CHECKING:
    from napari_unet.live.session import LiveSession

ANNOTATION_NAME = "annotation.npz"
RUN_NAME = "run.checkpoint"


class Project:
    """What a live run keeps in a folder.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def can_continue(self) -> bool:
        """Whether a run was kept here."""
        return (self.folder / RUN_NAME).is_file()

    def save(self, session: LiveSession) -> None:
        """Keep the annotation and the run as they are now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_annotation(self.folder, np.asarray(session.annotation.labels[...]))
        learner = session.learner
        if learner is None:
            return
        state = learner.checkpoint()
        state.plain |= {
            "learning_seconds": session.learning_seconds,
            "held_out": session.book.counters(),
        }
        for number, sample in session.book.samples.items():
            held = np.flatnonzero(sample.stroke < 0)
            numbers = sample.stroke.ravel()[held]
            pair = np.stack([held.astype(np.int64), numbers.astype(np.int64)])
            state.tensors |= with_prefix(
                "held_out", {str(number): torch.from_numpy(pair)}
            )
        state.save(self.folder / RUN_NAME)

    def load(self, session: LiveSession) -> Checkpoint:
        """Read the run, and tell the session's stroke book what was held out.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        state = Checkpoint.load(self.folder / RUN_NAME)
        shape = session.source.spatial_shape
        strokes: dict[int, NDArray[np.int32]] = {}
        for number, pair in without_prefix("held_out", state.tensors).items():
            where, numbers = pair.numpy()
            if where.size and where.max() >= math.prod(shape):
                raise DataError(
                    f"The project {self.folder.name!r} belongs to another image: "
                    "choose that image, or start a new project."
                )
            stroke = np.zeros(math.prod(shape), np.int32)
            stroke[where] = numbers
            strokes[int(number)] = stroke.reshape(shape)
        session.book.restore(state.plain["held_out"], strokes)
        return state


def save_annotation(folder: Path, labels: NDArray[np.integer]) -> None:
    """Write the annotation; strokes are few, so the file is small."""
    with atomic_file(folder / ANNOTATION_NAME) as file:
        np.savez_compressed(file, labels=labels)


def load_annotation(folder: Path) -> NDArray[np.integer]:
    """The annotation that a project holds.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    path = folder / ANNOTATION_NAME
    try:
        with np.load(path, allow_pickle=False) as archive:
            labels: NDArray[np.integer] = archive["labels"]
            return labels
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(
            f"The annotation in {folder} cannot be read: the project is damaged."
        ) from error
