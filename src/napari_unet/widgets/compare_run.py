"""A comparison of networks as its window shows it. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_unet.widgets.runs import EngineRun, copied, in_words
from napari_unet.widgets.training_run import TrainingRequest, plain_classes


class CompareRun(EngineRun):
    """Trains several networks in the engine, one after the other."""

    task = "compare_networks"

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.results: list[dict[str, Any]] = []
        """Fields of `NetworkResult`, of the networks that are done."""
        self._number, self._total, self._name = 1, 1, ""

    def start(self, request: TrainingRequest, networks: Sequence[str]) -> None:
        """Send a request to the engine; returns at once."""
        self.results = []
        self._number, self._total, self._name = 1, len(networks), ""
        classes = request.classes
        self._submit(
            {
                **request.image.params(),
                "config": request.config.model_dump(mode="json"),
                "classes": None if classes is None else plain_classes(classes),
                "networks": list(networks),
            },
            {**request.image.inputs(), "annotation": copied(request.annotation)},
            {},
        )

    @property
    def best(self) -> str | None:
        """Name of the network with the best score; ``None`` without scores."""
        scored = [r for r in self.results if r["score"] is not None]
        if not scored:
            return None
        return str(max(scored, key=lambda r: float(r["score"]))["network"])

    def _on_task_event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "NetworkStarted":
            self._number, self._total = int(event["number"]), int(event["total"])
            self._name = str(event["network"])
        elif kind == "NetworkDone":
            self.results.append(dict(event["result"]))
        elif kind == "StepDone":
            share = min(max(float(event["progress"]), 0.0), 1.0)
            self.progress = (self._number - 1 + share) / self._total
            if self.state == "running":
                left = in_words(float(event["seconds_left"]))
                self.message = (
                    f"{self._name}, {self._number} of {self._total}: {left} left for it"
                )
        elif kind == "Started":
            for note in event.get("notes", ()):
                self._notice(str(note))

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        self.results = [dict(r) for r in result["networks"]]
        if not self.results:
            return "Stopped before a network had learnt."
        if self.best is None:
            return (
                "There is no score: a held-out part is needed. Annotate more, or set "
                "a held-out part under Advanced."
            )
        return "Pick a network; the training uses it from now on."
