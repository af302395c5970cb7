"""Train several networks on the same images for the same time, and compare them."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.normalization import measure_range
from napari_unet.data.source import ImageSource
from napari_unet.device import autocast, device_for, is_out_of_memory, pick_precision
from napari_unet.errors import ConfigError, UserError
from napari_unet.models.model import Model
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.catalogue import known_networks, operations_of
from napari_unet.networks.facts import network_facts
from napari_unet.prediction.memory import measure_bytes_per_voxel
from napari_unet.prediction.predictor import Predictor, TileMaps
from napari_unet.stopping import Stop, never
from napari_unet.training.events import Finished, StepDone, TrainingEvent, Validated
from napari_unet.training.validation import SCORE_NAMES
from napari_unet.workflows.training import train

PATIENT = 10**6
"""Validations without a better score: nobody ends early, so that times are equal."""
TIMED_RUNS = 3


@dataclass(frozen=True)
class NetworkResult:
    """What became of one network."""

    network: str
    title: str
    score: float | None = None
    """On the held-out part at the end; ``None`` without one."""
    score_name: str = ""
    steps: int = 0
    seconds: float = 0.0
    """Of training."""
    parameters: int = 0
    flops_per_pixel: float = 0.0
    """Of a prediction; a multiplication and an addition are two operations."""
    seconds_per_megapixel: float = math.nan
    """Of a prediction, the fastest of a few."""
    bytes_per_pixel: float = math.nan
    """Largest memory that a prediction holds at one time."""
    curve: list[tuple[float, float]] = field(default_factory=list)
    """Seconds and score of every validation."""
    ended: str = ""
    """Why training ended, in words."""
    problem: str = ""
    """Why there is no score, in a sentence; empty where all went well."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values; ``None`` for what is not known, since JSON has no NaN."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class NetworkStarted:
    """A network is about to learn."""

    network: str
    number: int
    """1 for the first."""
    total: int


@dataclass(frozen=True)
class NetworkDone:
    """A network has learnt and was measured."""

    result: NetworkResult
    model: Model | None
    """``None`` where something went wrong."""


CompareEvent = NetworkStarted | NetworkDone | TrainingEvent


def compare(
    pairs: Sequence[Annotation],
    config: TrainingConfig,
    networks: Sequence[str],
    *,
    validation: Sequence[Annotation] = (),
    classes: Sequence[ClassInfo] | None = None,
    stop: Stop = never,
) -> Generator[CompareEvent, None, list[NetworkResult]]:
    """Train `networks` one after the other; a generator of events.

    Each has the time of `config`, and none ends early. One that cannot be trained is
    told in its result, and the others go on.

    Parameters
    ----------
    pairs, config, validation, classes
        As for :func:`napari_unet.workflows.train`.
    networks : sequence of str
        Names, see :mod:`napari_unet.networks.catalogue`.
    stop : callable
        Asked after every step; when it returns True, the network that is learning is
        measured, and no other one begins.

    Raises
    ------
    ConfigError
        If a network is not known.
    AnnotationError, DataError
        If the images or the annotation cannot be used.
    """
    names = list(dict.fromkeys(networks))
    known = known_networks()
    for name in names:
        if name not in known:
            raise ConfigError(
                f"There is no network {name!r}: choose among {', '.join(known)}."
            )
    if not names:
        raise ConfigError("No network was named: give at least one.")
    results: list[NetworkResult] = []
    for number, name in enumerate(names, start=1):
        if stop():
            break
        yield NetworkStarted(name, number, len(names))
        wishes = {"network": name, "patience": PATIENT}
        one = config.model_copy(update=wishes)
        try:
            done = yield from _trained(pairs, one, validation, classes, stop)
        except ConfigError as error:
            done = NetworkDone(_failed(name, str(error)), None)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            sentence = "Memory ran out: try fewer --base-channels."
            done = NetworkDone(_failed(name, sentence), None)
        results.append(done.result)
        yield done
    if all(r.problem for r in results) and results:
        raise UserError(results[0].problem)
    return results


def _failed(name: str, problem: str) -> NetworkResult:
    return NetworkResult(name, known_networks()[name].title, problem=problem)


def _trained(
    pairs: Sequence[Annotation],
    config: TrainingConfig,
    validation: Sequence[Annotation],
    classes: Sequence[ClassInfo] | None,
    stop: Stop,
) -> Generator[TrainingEvent, None, NetworkDone]:
    """Train and measure one network."""
    curve: list[tuple[float, float]] = []
    end: Finished | None = None
    begun = time.monotonic()
    events = train(
        pairs,
        config,
        validation=validation,
        classes=classes,
        name=config.network,
        stop=stop,
    )
    while True:
        try:
            event = next(events)
        except StopIteration as finished:
            model: Model = finished.value
            break
        if isinstance(event, StepDone) and event.step == 1:
            begun = time.monotonic()
        if isinstance(event, Validated):
            curve.append((time.monotonic() - begun, event.score))
        if isinstance(event, Finished):
            end = event
        yield event
    if end is None:
        raise RuntimeError("training ended without saying so")
    source = (list(validation) or list(pairs))[0].source
    return NetworkDone(_measured(config, model, end, curve, source), model)


def _measured(
    config: TrainingConfig,
    model: Model,
    end: Finished,
    curve: list[tuple[float, float]],
    source: ImageSource,
) -> NetworkResult:
    operations = operations_of(config.network)
    device, _ = device_for(config.device, source.ndim, operations)
    precision = pick_precision(device, config.precision)
    predictor = Predictor(model.network, config.task, device, precision)
    intensity = measure_range(source, model.info.normalization)
    times = []
    for _ in range(TIMED_RUNS):
        begun = time.perf_counter()
        for part in predictor.run(source, intensity, 0):
            if isinstance(part, TileMaps) and device.type == "cuda":
                torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begun)
    voxels = math.prod(source.spatial_shape)
    folded: Any = fold_batch_norm(deepcopy(model.network)).to(device)

    def forward(image: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(device, precision):
            logits: Tensor = folded(image)
            return logits

    memory = measure_bytes_per_voxel(
        forward, source.n_channels, predictor.divisor, device
    )
    facts = network_facts(model.info.network)
    return NetworkResult(
        network=config.network,
        title=known_networks()[config.network].title,
        score=end.score,
        score_name=SCORE_NAMES[config.task] if end.score is not None else "",
        steps=end.step,
        seconds=end.seconds,
        parameters=facts.parameters,
        flops_per_pixel=facts.flops_per_voxel,
        seconds_per_megapixel=min(times) / voxels * 1e6,
        bytes_per_pixel=memory,
        curve=curve,
        ended=end.reason,
        problem="The loss became infinite or not a number." if end.failed else "",
    )
