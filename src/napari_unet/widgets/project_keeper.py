"""Keeps what only the viewer knows about a live run, on a thread. No Qt here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import Box
from napari_unet.live.annotation_store import save_annotation
from napari_unet.live.project_info import (
    ProjectInfo,
    ViewInfo,
    free_folder,
    mark_closed,
    mark_open,
    remove_old,
    save_pixels,
    write_info,
)
from napari_unet.models.library import project_folder
from napari_unet.widgets.annotation_layer import remember_project
from napari_unet.widgets.project_layers import annotation_info, image_info
from napari_unet.widgets.readings import level_zero
from napari_unet.widgets.training_run import TrainingRequest

if TYPE_CHECKING:
    from napari.layers import Image, Labels

logger = logging.getLogger(__name__)


class ProjectKeeper:
    """Writes the viewer's part of a project, one run at a time.

    The engine writes the annotation and what was learnt into the same folder.
    """

    def __init__(self) -> None:
        self.problem = ""
        """Why nothing is kept; mostly empty."""
        self.folder: Path | None = None
        """The project of the run that goes on."""
        self._info: ProjectInfo | None = None
        self._layer: Labels | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def begin(
        self,
        request: TrainingRequest,
        images: Sequence[Image],
        annotation: Labels,
        folder: Path | None = None,
    ) -> Path:
        """Keep a run that starts now; returns at once.

        Parameters
        ----------
        request : TrainingRequest
        images : sequence of Image
            Channels in order.
        annotation : Labels
        folder : Path, optional
            A project to go on with; by default a new one is made.

        Returns
        -------
        Path
            The project's folder, which may not exist yet.
        """
        now = datetime.now().astimezone()
        if folder is None:
            folder = free_folder(project_folder(), request.image.name, now)
        source = request.image.source
        info = ProjectInfo(
            name=request.image.name,
            date=now.isoformat(timespec="seconds"),
            task=request.config.task,
            config=request.config.model_dump(mode="json", exclude_defaults=True),
            classes=request.classes,
            model_name=request.name,
            axes=source.axes,
            ndim=source.ndim,
            shape=source.labels_shape,
            images=[image_info(layer, i) for i, layer in enumerate(images)],
            annotation=annotation_info(annotation),
        )
        self.problem = ""
        self.folder, self._info, self._layer = folder, info, annotation
        remember_project(annotation, folder)
        pixels = {
            image.copy_name: level_zero(layer)
            for image, layer in zip(info.images, images, strict=True)
            if image.copy_name is not None
        }
        self._start(self._write_first, folder, info, annotation.data, pixels)
        return folder

    def update(
        self,
        classes: list[ClassInfo] | None,
        limit: Box | None = None,
        view: ViewInfo | None = None,
    ) -> None:
        """Keep names, colours, limit and view where they are others than before."""
        info, layer, folder = self._info, self._layer, self.folder
        if info is None or layer is None or folder is None:
            return
        news = {
            "annotation": annotation_info(layer),
            "classes": classes,
            "limit": limit,
            "view": view,
        }
        changed = info.model_copy(update=news)
        if changed != info:
            self._info = changed
            self._start(self._write_info, folder, changed)

    def end(self) -> None:
        """The run is over; its project stays."""
        folder, self.folder = self.folder, None
        self._info = self._layer = None
        if folder is not None:
            self._start(mark_closed, folder)

    def wait(self) -> None:
        """Until all that was begun is written."""
        for thread in list(self._threads):
            thread.join()

    def _start(self, write: Any, *arguments: Any) -> None:
        def run() -> None:
            try:
                with self._lock:
                    write(*arguments)
            except OSError as error:
                logger.warning("The project could not be kept", exc_info=True)
                self.problem = (
                    f"This run cannot be kept for another day "
                    f"({error.strerror or error}): make room on disk."
                )
            finally:
                self._threads.remove(thread)

        # A daemon: quitting must not wait for a large copy, of which nothing is seen
        # before it is complete.
        thread = threading.Thread(target=run, name="unet-project", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _write_first(
        self, folder: Path, info: ProjectInfo, labels: Any, pixels: dict[str, Any]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        mark_open(folder)
        write_info(folder, info)
        # The engine keeps it, too, but may still be starting.
        save_annotation(folder, np.asarray(labels), info.axes.replace("C", ""))
        for name, array in pixels.items():
            if not (folder / name).exists():
                save_pixels(folder / name, np.asarray(array))
        if folder.parent != project_folder():
            return  # what lies beside a project of another place is not ours
        try:
            remove_old(folder.parent, keep=[folder])
        except OSError:
            # Somebody looks into an old one; the next run tries again.
            logger.warning("An old project could not be removed", exc_info=True)

    def _write_info(self, folder: Path, info: ProjectInfo) -> None:
        if info is self._info or folder != self.folder:  # no newer one waits
            write_info(folder, info)
