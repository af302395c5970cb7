"""An engine that does what a test tells it, and layers to point widgets at."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest

from napari_unet.data.classes import make_classes
from napari_unet.engine.client import Engine
from napari_unet.engine.job import Job
from napari_unet.models import rdf_text
from napari_unet.models.info import ModelInfo, NetworkInfo
from napari_unet.models.model_file import RDF_NAME, SUFFIX


@dataclass
class FakeJob:
    """What was submitted, and the way to answer."""

    task: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Any]
    on_event: Callable[[dict[str, Any]], None]
    outputs: dict[str, np.ndarray]
    sent: list[dict[str, Any]] = field(default_factory=list)
    stops: int = 0
    released: bool = False

    def stop(self) -> None:
        self.stops += 1

    def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(dict(message))

    def release(self) -> None:
        self.released = True

    def tell(self, event: str, **values: Any) -> None:
        self.on_event({"event": event, **values})

    def end(self, state: str, **values: Any) -> None:
        self.tell("StateChanged", state=state, **values)


@dataclass
class FakeEngine:
    """Keeps what widgets submit."""

    state: str = "ready"
    device: str | None = "CPU, 1 thread"
    jobs: list[FakeJob] = field(default_factory=list)
    refuse: Exception | None = None
    closed: int = 0

    def start(self) -> None:
        pass

    def poll(self) -> None:
        pass

    def close(self) -> None:
        self.closed += 1

    def submit(
        self,
        task: str,
        params: Mapping[str, Any],
        *,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, tuple[tuple[int, ...], str]],
        on_event: Callable[[dict[str, Any]], None],
    ) -> FakeJob:
        if self.refuse is not None:
            raise self.refuse
        arrays = {name: np.zeros(*spec) for name, spec in outputs.items()}
        job = FakeJob(task, params, inputs, on_event, arrays)
        self.jobs.append(job)
        return job

    @property
    def job(self) -> FakeJob:
        return self.jobs[-1]


@pytest.fixture
def engine() -> FakeEngine:
    # The fake must not drift from the engine it stands for.
    real_engine, real_job = create_autospec(Engine), create_autospec(Job)
    for fake, real in ((FakeEngine, real_engine), (FakeJob, real_job)):
        for name in ("submit", "start", "poll", "close", "stop", "release", "send"):
            assert hasattr(fake, name) == hasattr(real, name), name
    return FakeEngine()


@pytest.fixture
def host(engine: FakeEngine, qtbot: Any) -> Iterator[Any]:
    from napari_unet.widgets.engine_host import EngineHost

    made = EngineHost(engine)  # type: ignore[arg-type]
    made.start()
    yield made
    made.close()


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], host: Any) -> Any:
    return make_napari_viewer()


def described(info: ModelInfo) -> bytes:
    """As much of a package's description as is read before its weights."""
    weights = {"pytorch_state_dict": {"source": "weights.pt", "sha256": ""}}
    own = info.model_dump(mode="json")
    return rdf_text.dump({"weights": weights, "config": {"napari_unet": own}})


@pytest.fixture
def write_model(model_folder: Path) -> Callable[..., Path]:
    """Write a model file whose description is real and whose weights are empty."""

    def write(name: str = "cells", **changes: Any) -> Path:
        values: dict[str, Any] = {
            "name": name,
            "task": "objects",
            "spatial": "YX",
            "n_channels": 1,
            "classes": make_classes([2], 1),
            "network": NetworkInfo(name="unet", arguments={}),
        }
        info = ModelInfo(**{**values, **changes})
        path = model_folder / f"{name}{SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(RDF_NAME, described(info))
        return path

    return write
