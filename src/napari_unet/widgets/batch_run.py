"""A batch as the *Batch* widget shows it. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.models.library import model_name
from napari_unet.widgets.runs import EngineRun

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


@dataclass(frozen=True)
class BatchRequest:
    """All that a batch needs, frozen when the button was pressed."""

    inputs: str
    """A folder, a file, or a pattern."""
    output: Path
    model_path: Path
    store: bool = False
    separate: bool = False
    """Labels of OME-Zarr images do not go into the images."""
    probabilities: bool = False
    views: bool = False
    resample: bool = False
    overwrite: bool = False
    objects: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ObjectSettings`: what to change of how objects are told apart."""
    masks: Path | None = None
    """A file, or a folder of files named like the images."""
    allow_code: bool = False
    """Whether the person let the model run code that comes with it."""


@dataclass(frozen=True)
class BatchLine:
    """What became of one image."""

    image: Path
    result: Path
    status: str
    reason: str
    objects: int | None


class BatchRun(EngineRun):
    """Segments the images of a folder in the engine."""

    task = "batch"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.lines: list[BatchLine] = []
        """Images that were looked at, in the order of the folder."""
        self.output: Path | None = None
        self._image = ""
        self._share = (0, 1)

    def start(self, request: BatchRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.lines = []
        self.output = request.output
        self._image, self._share = "", (0, 1)
        self._submit(
            {
                "inputs": request.inputs,
                "output": str(request.output),
                "model_path": str(request.model_path),
                "model_name": model_name(request.model_path),
                "allow_code": request.allow_code,
                "store": request.store,
                "separate": request.separate,
                "probabilities": request.probabilities,
                "views": request.views,
                "resample": request.resample,
                "overwrite": request.overwrite,
                "objects": dict(request.objects),
                "masks": str(request.masks or ""),
            },
            {},
            {},
        )

    def _on_task_event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "ImageBegun":
            number, total = int(event["number"]), max(int(event["total"]), 1)
            self._share = (number - 1, total)
            self._image = f"Image {number:,} of {total:,}: {event['name']}"
            self._show(0.0)
        elif kind == "TileDone":
            self._show(int(event["done"]) / max(int(event["total"]), 1))

    def _show(self, share: float) -> None:
        before, total = self._share
        self.progress = (before + share) / total
        if self.state == "running":
            self.message = self._image

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        self.lines = [
            BatchLine(
                Path(r["image"]),
                Path(r["result"]),
                r["status"],
                r["reason"],
                r["objects"],
            )
            for r in result.get("rows", [])
        ]
        done = sum(line.status == "done" for line in self.lines)
        total = int(result.get("total", len(self.lines)))
        text = f"{done:,} of {total:,} images are segmented."
        if stopped:
            return f"Stopped: {text} The same folders go on from there."
        return text
