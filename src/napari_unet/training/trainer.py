"""The training loop: a generator of events around one optimiser step after another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.config import TrainingConfig
from napari_unet.data.augmentation import Augmentation
from napari_unet.data.sampling import PatchSampler
from napari_unet.device import autocast, deterministic, memory_format, seed_devices
from napari_unet.losses.objectives import ObjectiveSettings, make_objective
from napari_unet.metrics.values import ValueErrors
from napari_unet.models.info import CalibrationInfo
from napari_unet.networks.registry import build_network
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.stopping import Stop, never
from napari_unet.training.auxiliary import widened, without_extra
from napari_unet.training.averaging import WeightAverage
from napari_unet.training.checkpoint import (
    Checkpoint,
    restore_optimizer,
    run_tensors,
    without_prefix,
)
from napari_unet.training.events import (
    Finished,
    Notice,
    StepDone,
    TrainingEvent,
    Validated,
)
from napari_unet.training.plan import TrainingPlan
from napari_unet.training.prior import begin_with_shares, measure_shares
from napari_unet.training.team import ALONE, Team
from napari_unet.training.transfer import Transfer, begin_with, freeze_encoder
from napari_unet.training.validation import Validation

WARMUP = 0.03
"""Share of the run in which the learning rate rises."""
FINAL_RATE = 0.01
"""Learning rate at the end, as a share of the highest."""
MAX_GRADIENT_NORM = 5.0
HEAD_RATE = 8.0
"""How much faster the last layer learns: Adam moves each weight by about the learning
rate, and from small logits the first hundred steps would go into growing them."""
VALIDATIONS = 20
"""Validations in a run whose steps are counted."""
VALIDATION_SHARE = 0.08
"""Share of the time that validation may take in a run whose minutes are counted."""
MIN_SECONDS_BETWEEN = 5.0
PATIENCE_SHARE = 0.3
"""Share of the budget without a better score before a run may end early."""
DIVERGED = (
    "the loss became infinite or not a number; the last good weights are kept: try a "
    "lower learning rate"
)
NOT_SAME = (
    "This device cannot repeat some operations exactly: results will differ a little "
    "from run to run."
)


def objective_settings(plan: TrainingPlan, config: TrainingConfig) -> ObjectiveSettings:
    """What the loss of a run has to know."""
    scale = 1.0 if plan.spread is None else plan.spread.scale
    return ObjectiveSettings(config.loss, plan.class_weights, scale)


@dataclass
class Progress:
    """Where a run stands; goes into checkpoints."""

    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_loss: float = math.inf
    """Of the held-out part, where the best score was reached."""
    validations: int = 0
    since_best: int = 0
    best_share: float = 0.0


class Trainer:
    """One training run.

    Parameters
    ----------
    plan : TrainingPlan
    config : TrainingConfig
    sampler : PatchSampler
    validation : Validation or None
    device, precision
        From :mod:`napari_unet.device`.
    begin : callable, optional
        Finds weights to begin with for a network that was just made.
    team : Team, optional
        Processes that train the same network; all of them run this.

    Raises
    ------
    ConfigError
        If the encoder is to be kept and there is none.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        config: TrainingConfig,
        sampler: PatchSampler,
        validation: Validation | None,
        device: torch.device,
        precision: torch.dtype,
        begin: Callable[[nn.Module], Transfer] | None = None,
        team: Team = ALONE,
    ) -> None:
        self.plan, self.config, self.team = plan, config, team
        self.sampler, self.validation = sampler, validation
        self.device, self.precision = device, precision
        self._format = memory_format(device, len(plan.patch_size))
        self.generator = torch.Generator().manual_seed(team.seed(config.seed))
        # Only what the initial weights draw from: the caller's random state stays.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network: Any = build_network(widened(plan.network, plan.auxiliary))
        self.transfer = None if begin is None else begin(network)
        if self.transfer is not None:
            begin_with(network, self.transfer)
        kept = self.transfer is not None and self.transfer.kept_outputs > 0
        if config.task == "classes" and not plan.coarse and not kept:
            self._begin_with_shares(network)
        self._frozen: list[nn.Module] = []
        if config.freeze_encoder:
            self._frozen = freeze_encoder(network, self.transfer)
        self.network: nn.Module = network.to(
            device=device, memory_format=self._format
        ).train()
        for module in self._frozen:
            module.eval()
        self.average = WeightAverage(self.network)
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(),
            weight_decay=config.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self._scaler = torch.amp.GradScaler(
            device.type, enabled=precision == torch.float16
        )
        self.augmentation = Augmentation(
            config.augmentation, plan.patch_size, plan.turnable
        )
        self.objective = make_objective(config.task, objective_settings(plan, config))
        self.progress = Progress()
        self._not_deterministic = False
        self.best: dict[str, Tensor] | None = None
        self.score_interval: tuple[float, float] | None = None
        """95 % interval of the score at the end, where it could be told."""

    def _begin_with_shares(self, network: nn.Module) -> None:
        plan = self.plan
        # The same patches in all processes of a team: they begin with one network.
        shares = measure_shares(
            self.sampler,
            plan.batch_size,
            self.config.seed,
            plan.class_weights,
            plan.network.arguments["n_out"],
        )
        begin_with_shares(network, shares)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        head: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            if not parameter.requires_grad:
                continue
            (head if name.startswith("head.") else others).append(parameter)
        return [
            {"params": others, "rate": self.plan.learning_rate},
            {"params": head, "rate": self.plan.learning_rate * HEAD_RATE},
        ]

    def run(self, stop: Stop = never) -> Generator[TrainingEvent, None, None]:
        """Train until the budget is used, nothing improves, or `stop` says so.

        Yields an event after every step; closing the generator ends the run at once.
        """
        p, plan = self.progress, self.plan
        begun = time.monotonic() - p.seconds
        next_validation = p.seconds + self._seconds_between(0.0)
        reason, failed, warned = None, False, False
        while reason is None:
            loss = self._step()
            if not math.isfinite(loss):
                reason, failed = DIVERGED, True
                break
            p.step += 1
            self.average.update(self.network, p.step)
            # One clock for all: the learning rate follows it.
            p.seconds, asked = self.team.told([time.monotonic() - begun, stop()])
            share = self._share()
            left = max(0.0, p.seconds / share - p.seconds) if share else math.inf
            yield StepDone(p.step, loss, min(1.0, share), left)
            if self._not_deterministic and not warned:
                warned = True
                yield Notice(NOT_SAME)
            if share >= 1:
                reason = "all steps are done" if plan.max_steps else "time is up"
            elif asked:
                reason = "stopped"
            if self.validation and (reason or self._validation_due(next_validation)):
                started = time.monotonic()
                if self.team.leads:
                    yield self._validate()
                taken = time.monotonic() - started
                p.seconds, taken, stuck = self.team.told(
                    [time.monotonic() - begun, taken, self._is_stuck()]
                )
                next_validation = p.seconds + self._seconds_between(taken)
                if reason is None and stuck:
                    reason = "the score no longer improves"
        p.seconds = time.monotonic() - begun
        yield Finished(p.step, reason, p.best_score, p.seconds, failed)

    def _is_stuck(self) -> bool:
        """Whether the score has not improved for long.

        A part of the budget, too, and not only validations: while the learning rate is
        high, scores wander, and most of the gain comes as it falls.
        """
        p = self.progress
        waited = self._share() - p.best_share
        return p.since_best >= self.config.patience and waited >= PATIENCE_SHARE

    def _share(self) -> float:
        """Share of the budget that is used."""
        if self.plan.max_steps is not None:
            return self.progress.step / self.plan.max_steps
        return self.progress.seconds / (60 * self.plan.minutes)

    def _seconds_between(self, validation_seconds: float) -> float:
        if self.plan.max_steps is None:
            budget = 60 * self.plan.minutes
            least = min(MIN_SECONDS_BETWEEN, budget / 4)
            return max(least, validation_seconds / VALIDATION_SHARE)
        return math.inf

    def _validation_due(self, next_validation: float) -> bool:
        if self.plan.max_steps is None:
            return self.progress.seconds >= next_validation
        every = max(1, self.plan.max_steps // VALIDATIONS)
        return self.progress.step % every == 0

    def _rate_factor(self) -> float:
        """Linear rise, then half a cosine (Loshchilov and Hutter 2017)."""
        share = min(1.0, self._share())
        if share < WARMUP:
            return (share + 1e-3) / (WARMUP + 1e-3)
        phase = (share - WARMUP) / (1 - WARMUP)
        cosine = 0.5 * (1 + math.cos(math.pi * phase))
        return FINAL_RATE + (1 - FINAL_RATE) * cosine

    def _step(self) -> float:
        with deterministic(self.device, wanted=self.config.deterministic) as told:
            loss = self._learn()
        self._not_deterministic |= bool(told)
        return loss

    def _learn(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self._rate_factor()
        batch = self.sampler.draw(self.plan.batch_size, self.generator)
        batch = self.augmentation(batch.to(self.device), self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        image: Any = batch.image
        image = image.contiguous(memory_format=self._format)
        with self._random_layers(), autocast(self.device, self.precision):
            logits = self.network(image)
        loss = self.objective(logits, batch)
        value = self.team.mean(float(loss.detach()))
        if not math.isfinite(value):
            return value
        torch.autograd.backward(self._scaler.scale(loss))
        self.team.average_gradients(self.network)
        self._scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.team.share_statistics(self.network)
        return value

    @contextmanager
    def _random_layers(self) -> Generator[None]:
        """What dropout draws: from the seed and the step, so that runs repeat."""
        devices = seed_devices(self.device)
        with torch.random.fork_rng(devices=devices, device_type="cuda"):
            seed = self.team.seed(self.config.seed)
            torch.manual_seed((seed * 1_000_003 + self.progress.step) % 2**63)
            yield

    def _validate(self) -> Validated:
        p = self.progress
        if self.validation is None:
            raise RuntimeError("there is no held-out part")
        maps = self.validation.maps(self.average.network, self.device, self.precision)
        score, loss = self.validation.score(maps, None), self.validation.loss(maps)
        p.validations += 1
        # A few held-out objects are soon all found, long before the rest of the image
        # is learnt: among equal scores the loss decides.
        best = p.best_score is None or (score, -loss) > (p.best_score, -p.best_loss)
        if best:
            p.best_score, p.best_loss = score, loss
            p.best_share, p.since_best = self._share(), 0
            self.best = _copied(self.average.network)
        else:
            p.since_best += 1
        return Validated(p.step, loss, score, best)

    def best_network(self) -> nn.Module:
        """The weights to keep, on the CPU: best by score, else the running average."""
        # The weights that it starts from are drawn, and soon replaced.
        with torch.random.fork_rng(devices=[]):
            network = build_network(self.plan.network)
        state = self.best or _copied(self.average.network)
        network.load_state_dict(without_extra(state, network))
        return network.eval()

    def fit_outputs(
        self, network: nn.Module
    ) -> tuple[CalibrationInfo, DecoderInfo | None, float | None]:
        """How sure `network` may be, its decoder, and the score with them.

        Everything is fitted on the held-out part, the decoder to probabilities that
        are calibrated.
        """
        objects = self.config.task == "objects"
        if self.validation is None:
            return CalibrationInfo(), DecoderInfo() if objects else None, None
        maps = self.validation.maps(network, self.device, self.precision)
        calibration = self.validation.calibrate(maps)
        if not objects:
            self.score_interval = self.validation.interval(maps, None)
            return calibration, None, self.progress.best_score
        decoder = self.validation.fit_decoder(maps)
        self.score_interval = self.validation.interval(maps, decoder)
        return calibration, decoder, self.validation.score(maps, decoder)

    def value_errors(self, network: nn.Module) -> ValueErrors | None:
        """Errors of a regression on the held-out part; ``None`` without one."""
        if self.validation is None:
            return None
        maps = self.validation.maps(network, self.device, self.precision)
        return self.validation.value_errors(maps)

    def checkpoint(self) -> Checkpoint:
        """Everything needed to go on from here."""
        tensors = run_tensors(
            self.network,
            self.average.network,
            self.best,
            self.optimizer,
            self.generator,
        )
        plain = {
            "progress": vars(self.progress).copy(),
            "plan": self.plan.as_dict(),
            "scaler": self._scaler.state_dict(),
        }
        return Checkpoint(plain, tensors)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of a run with the same plan.

        Raises
        ------
        RuntimeError
            If the network differs.
        """
        tensors = checkpoint.tensors
        self.network.load_state_dict(without_prefix("network", tensors))
        self.average.network.load_state_dict(without_prefix("average", tensors))
        self.best = without_prefix("best", tensors) or None
        self.generator.set_state(tensors["random"])
        if not self.team.leads:
            # What was kept is the random state of the first process.
            done = int(checkpoint.plain["progress"]["step"])
            self.generator.manual_seed(self.team.seed(self.config.seed) + done)
        restore_optimizer(self.optimizer, tensors)
        if checkpoint.plain["scaler"]:
            self._scaler.load_state_dict(checkpoint.plain["scaler"])
        self.progress = Progress(**checkpoint.plain["progress"])


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
