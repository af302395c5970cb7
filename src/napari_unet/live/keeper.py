"""What is kept on disk while a live run goes on: the model, and the project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import UserError
from napari_unet.live.clock import Clock
from napari_unet.live.messages import LabelsBox
from napari_unet.live.project import Project
from napari_unet.training.events import Notice, Saved, TrainingEvent

if TYPE_CHECKING:
    from napari_unet.live.session import LiveSession

SECONDS_BETWEEN_SAVES = 30.0
SECONDS_BETWEEN_PROJECTS = 60.0


class Keeper:
    """Saves what is new, now and then.

    Parameters
    ----------
    autosave : Path or None
        Where the model is kept.
    project : Project or None
        Where everything is kept that is needed to go on another day.
    """

    def __init__(self, autosave: Path | None, project: Project | None) -> None:
        self.changes = 0
        """Counts up with all that is worth keeping."""
        self._autosave, self._project = autosave, project
        self._saved: dict[str, int] = {}
        """How many changes were there when something was saved last."""
        self._clock = Clock()

    def save(
        self, session: LiveSession, *, final: bool = False
    ) -> Iterator[TrainingEvent]:
        """Keep what is new; while it learns, a full disk is no end."""
        try:
            if self._due("model", SECONDS_BETWEEN_SAVES, final=final):
                yield from self._save_model(session)
                self._saved["model"] = self.changes
            if self._due("project", SECONDS_BETWEEN_PROJECTS, final=final):
                yield from self._save_project(session, final=final)
                self._saved["project"] = self.changes
        except (UserError, OSError) as error:
            if final:
                raise
            yield Notice(f"The work could not be saved ({error}): make room on disk.")

    def painted(self, box: LabelsBox) -> None:
        """Pixels in a box of the annotation are others."""
        if self._project is not None:
            self._project.painted(box)

    def keep_annotation(self, session: LiveSession) -> None:
        """Keep the annotation at once, from any thread."""
        if self._project is not None and session.has_strokes:
            self._project.save_annotation(session)

    def _due(self, what: str, seconds: float, *, final: bool) -> bool:
        if self._saved.get(what, 0) == self.changes:
            return False
        return self._clock.due(what, 0.0 if final else seconds)

    def _save_model(self, session: LiveSession) -> Iterator[TrainingEvent]:
        model = None if self._autosave is None else session.model()
        if self._autosave is None or model is None:
            return
        model.save(self._autosave, quick=True)
        yield Saved(model.info.training.steps, str(self._autosave))

    def _save_project(
        self, session: LiveSession, *, final: bool
    ) -> Iterator[TrainingEvent]:
        if self._project is None or not session.has_strokes:
            return  # without strokes the shared annotation may still be empty
        self._project.save(session, everything=final)
        yield Saved(session.steps, str(self._project.folder))
