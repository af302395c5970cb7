"""A folder from which a live run goes on after a crash, or on another day.

``annotation.zarr`` holds the annotation, ``run.checkpoint`` weights, optimiser and what
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
from napari_unet.live.annotation_store import AnnotationStore
from napari_unet.live.messages import LabelsBox
from napari_unet.live.project_info import RUN_NAME
from napari_unet.training.checkpoint import Checkpoint, with_prefix, without_prefix

if TYPE_CHECKING:
    from napari_unet.live.session import LiveSession

NEEDED = {"held_out", "learning_seconds", "step_count", "since_strokes", "trust_factor"}
"""What a checkpoint of a live run holds, beside tensors."""


class Project:
    """What a live run keeps in a folder.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store: AnnotationStore | None = None

    @property
    def can_continue(self) -> bool:
        """Whether a run was kept here."""
        return (self.folder / RUN_NAME).is_file()

    def painted(self, box: LabelsBox) -> None:
        """Pixels in a box are others: the next save looks at them."""
        if self._store is not None:  # the first save looks at everything
            self._store.touch(box)

    def save_annotation(self, session: LiveSession, *, everything: bool = True) -> None:
        """Keep the annotation alone, from any thread.

        With `everything`, strokes are found that nobody told of.
        """
        if self._store is None:
            self._store = AnnotationStore(self.folder, session.source.labels_axes)
        self._store.save(session.annotation.labels[...], everything=everything)

    def save(self, session: LiveSession, *, everything: bool = False) -> None:
        """Keep the annotation and the run as they are now."""
        self.save_annotation(session, everything=everything)
        learner = session.learner
        if learner is None:
            return
        state = learner.checkpoint()
        state.plain |= {
            "learning_seconds": session.learning_seconds,
            "head_start": session.progress.head_start,
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
            If the file is damaged, or belongs to another image.
        """
        state = Checkpoint.load(self.folder / RUN_NAME)
        if not NEEDED <= state.plain.keys() or "random" not in state.tensors:
            raise DataError(
                f"The project {self.folder.name!r} is damaged or of another kind: "
                "start a new project."
            )
        source = session.source
        size = math.prod(source.spatial_shape)
        strokes: dict[int, NDArray[np.int32]] = {}
        for number, pair in without_prefix("held_out", state.tensors).items():
            where, numbers = pair.numpy()
            far = where.size and int(where.max()) >= size
            if far or int(number) >= source.n_samples:
                raise DataError(
                    f"The project {self.folder.name!r} belongs to another image: "
                    "choose that image, or start a new project."
                )
            stroke = np.zeros(size, np.int32)
            stroke[where] = numbers
            strokes[int(number)] = stroke.reshape(source.spatial_shape)
        session.book.restore(state.plain["held_out"], strokes)
        return state
