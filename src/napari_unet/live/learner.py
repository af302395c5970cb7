"""A network that learns from strokes while more of them come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.config import Task, TrainingConfig
from napari_unet.data.augmentation import Augmentation
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.sampling import Batch
from napari_unet.data.source import Box, ImageSource
from napari_unet.device import (
    autocast,
    is_out_of_memory,
    memory_format,
    pick_precision,
    release_memory,
)
from napari_unet.errors import DataError
from napari_unet.live.classifier import Memory, fit_classifier
from napari_unet.live.features import FeatureTiles
from napari_unet.live.losses import objects_strokes_loss, strokes_loss
from napari_unet.live.patches import LivePatches
from napari_unet.live.plan import live_plan
from napari_unet.live.preview import Previewer
from napari_unet.live.strokes import StrokeBook
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.registry import build_network
from napari_unet.training.averaging import WeightAverage
from napari_unet.training.checkpoint import (
    Checkpoint,
    restore_optimizer,
    run_tensors,
    without_prefix,
)

MEMORY_TILES, MEMORY_PIXELS = 8, 800
"""Tiles, and pixels of a part of each, at which the last answer is remembered."""
RATE = 2e-3
HEAD_RATE = 8.0
WARMUP = 20
"""Steps in which the learning rate rises."""
HALF_RATE = 400
"""Steps after which the learning rate has halved; new strokes take them back."""
MAX_GRADIENT_NORM = 5.0
TRUST = 0.5
"""Share of the U-Net in the answer once it has learnt a while."""
TRUST_STEPS = 60
"""Steps in which that share reaches two thirds of itself."""
FIRST_BELIEF, LAST_BELIEF = 0.5, 3.5
"""Weight of what the classifier holds true where nobody painted, against the strokes:
the U-Net is free at first to find what takes context, and soon knows the strokes by
heart; from then on they would only lead it astray."""
BELIEF_STEPS = 150
"""Steps in which that weight goes two thirds of its way."""


class LiveLearner:
    """Classifier and U-Net, one step at a time.

    Parameters
    ----------
    source : ImageSource
    intensity : IntensityRange
    book : StrokeBook
        Already holds strokes of two classes.
    config : TrainingConfig
        Settings that are filled in count; the rest is chosen for learning live.
    device, precision
        From :mod:`napari_unet.device`.
    """

    def __init__(
        self,
        source: ImageSource,
        intensity: IntensityRange,
        book: StrokeBook,
        config: TrainingConfig,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        self.source, self.book, self.config = source, book, config
        self.task: Task = config.task
        self.device, self.precision = device, precision
        self.plan = live_plan(source, book, config, device)
        self.batch_size = self.plan.batch_size
        self.margin = tuple(
            round(0.22 * p) if turn else 0
            for p, turn in zip(self.plan.patch_size, self.plan.turnable, strict=True)
        )
        self.patches = LivePatches(
            source, intensity, book, self.plan.patch_size, self.margin
        )
        self.augmentation = Augmentation(
            config.augmentation, self.plan.patch_size, self.plan.turnable
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        self.step_count = 0
        self.since_strokes = 0
        """Steps since strokes came last; drives the learning rate."""
        self.trust_factor = 1.0
        """What held-out strokes say about the share of the U-Net."""
        self.memory_note = ""
        """What was done because memory ran out, in a sentence; whoever tells it empties
        it."""
        self.agreement = 1.0
        """Share of the annotated pixels that the classifier gets right."""
        self._weights = torch.ones(book.n_outputs)
        self._best: dict[str, Tensor] | None = None
        self._build()
        self.learn_strokes()

    def _build(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network: Any = build_network(self.plan.network)
        layout = memory_format(self.device, self.source.ndim)
        self.network: PixelUNet = network.to(
            device=self.device, memory_format=layout
        ).train()
        # Features of strokes are few: they stay on the CPU, with a classifier there.
        with torch.random.fork_rng(devices=[]):
            self._small = cast("PixelUNet", build_network(self.plan.network))
        self.features = FeatureTiles(self._small, self.patches)
        self.average = WeightAverage(self.network)
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(),
            weight_decay=self.config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self._scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.precision == torch.float16
        )

    def _parameter_groups(self) -> list[dict[str, Any]]:
        head: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.network.unet.named_parameters():
            (head if name.startswith("head.") else others).append(parameter)
        rate = self.config.learning_rate or RATE
        return [
            {"params": others, "rate": rate},
            {"params": head, "rate": rate * HEAD_RATE},
        ]

    # Strokes -------------------------------------------------------------------------

    def learn_strokes(self) -> None:
        """Fit the classifier to the strokes as they are now."""
        self.agreement = fit_classifier(
            self._small,
            self.book,
            self.features,
            self.config.seed,
            self._memory() if self.step_count else None,
        )
        state = self._small.pixels.state_dict()
        for network in (self.network, self.average.network):
            cast("PixelUNet", network).pixels.load_state_dict(state)
        counts = torch.from_numpy(self.book.voxels()).float()
        # Rare classes count more, but not as much more as they are rarer.
        weights = torch.where(
            counts > 0, (counts.sum() / counts.clamp(min=1)).sqrt(), 0
        )
        self._weights = weights / weights[counts > 0].mean()
        self.since_strokes = min(self.since_strokes, HALF_RATE // 2)

    def _memory(self) -> Memory | None:
        """The answer as it is, at pixels that nobody annotated, near the strokes."""
        cells = self.features.cells()
        drawn = torch.randperm(len(cells), generator=self.generator)[:MEMORY_TILES]
        values, beliefs = [], []
        for number in drawn.tolist():
            sample, box = cells[number]
            box = self._part_of(box)
            index = self.book.samples[sample].index[tuple(slice(*b) for b in box)]
            free = np.argwhere(index < 0)
            if not len(free):
                continue
            pick = torch.randint(len(free), (MEMORY_PIXELS,), generator=self.generator)
            at: Any = (slice(None), *torch.from_numpy(free)[pick].unbind(1))
            features = self.features.block(sample, box)
            values.append(features[at].T)
            beliefs.append(self._answer(features, at))
        if not values:
            return None  # everything around is annotated
        return torch.cat(values), torch.cat(beliefs)

    def _part_of(self, box: Box) -> Box:
        """A draw of a part of a tile that the U-Net answers in no time."""
        part = []
        for (low, high), edge, d in zip(
            box, self.plan.patch_size, self.network.divisor, strict=True
        ):
            size = max(min(edge, (high - low) // d * d), 1)
            spare = torch.randint(high - low - size + 1, (), generator=self.generator)
            part.append((low + int(spare), low + int(spare) + size))
        return tuple(part)

    def _answer(self, features: Tensor, at: Any) -> Tensor:
        """Probabilities ``P K`` at some voxels of a block of features ``F (Z) Y X``."""
        network = cast("PixelUNet", self.average.network)
        fits = all(
            n % d == 0 for n, d in zip(features.shape[1:], network.divisor, strict=True)
        )
        with torch.inference_mode(), autocast(self.device, self.precision):
            pixels = network.pixels(features[at].to(self.device)[None]).float()
            if not fits:  # an image smaller than the U-Net's pooling
                return cast("Tensor", pixels[0].T.exp().cpu())
            unet = network.unet_logits(features[None].to(self.device))[0][at]
            together = network.average(pixels, unet[None])[0]
        if self.task == "classes":
            probability: Tensor = together.softmax(0).T.cpu()
            return probability
        foreground = together[0].sigmoid()
        return torch.stack([1 - foreground, foreground], dim=1).cpu()

    # Learning ------------------------------------------------------------------------

    def step(self) -> float:
        """One optimiser step; returns the loss.

        When the device's memory is full the batch is halved, then the patch, then the
        CPU takes over; `memory_note` says so.
        """
        while True:
            try:
                return self._step()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._make_room(error)

    def _make_room(self, error: BaseException) -> None:
        release_memory(self.device)
        divisor = self.network.divisor
        patch = tuple(
            max(d, p // 2 // d * d)
            for p, d in zip(self.plan.patch_size, divisor, strict=True)
        )
        if self.batch_size > 1:
            self.batch_size //= 2
            self.memory_note = "Memory ran out: smaller batches are used."
        elif patch != self.augmentation.patch_size and self.device.type != "cpu":
            self._shrink(patch)
            self.memory_note = "Memory ran out: smaller patches are used."
        elif self.device.type != "cpu":
            self._move(torch.device("cpu"))
            self.memory_note = "The device's memory is too small: the CPU takes over."
        elif patch != self.augmentation.patch_size:
            self._shrink(patch)
            self.memory_note = "Memory ran out: smaller patches are used."
        else:
            raise error

    def _shrink(self, patch: tuple[int, ...]) -> None:
        self.margin = tuple(m // 2 for m in self.margin)
        self.augmentation = Augmentation(
            self.config.augmentation, patch, self.plan.turnable
        )
        self.patches.resize(patch, self.margin)

    def _move(self, device: torch.device) -> None:
        self.device, self.precision = device, pick_precision(device)
        state = self.optimizer.state_dict()
        self.network.to(device)
        self.average.network.to(device)
        self.optimizer.load_state_dict(state)
        self._scaler = torch.amp.GradScaler(device.type, enabled=False)

    def _step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self._rate_factor()
        batch = self.patches.draw(self.batch_size, self.generator, self.features.belief)
        batch = self.augmentation(_moved(batch, self.device), self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        features = self.network.scale_space(batch.image)
        with autocast(self.device, self.precision):
            logits = self.network.unet_logits(features)
        loss = self._loss(logits, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            return value
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.network.unet.parameters(), MAX_GRADIENT_NORM)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.step_count += 1
        self.since_strokes += 1
        self.average.update(self.network, self.step_count)
        self.set_trust()
        return value

    def _rate_factor(self) -> float:
        rise = min(1.0, (self.step_count + 1) / WARMUP)
        return rise / (1 + self.since_strokes / HALF_RATE)

    def set_trust(self) -> None:
        """The share of the U-Net in the answer: grows as it learns."""
        share = TRUST * (1 - math.exp(-self.step_count / TRUST_STEPS))
        cast("PixelUNet", self.average.network).trust.fill_(
            min(1.0, share * self.trust_factor)
        )

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        if batch.belief is None:
            raise RuntimeError("a patch came without beliefs")
        loss = strokes_loss if self.task == "classes" else objects_strokes_loss
        rise = 1 - math.exp(-self.step_count / BELIEF_STEPS)
        belief_weight = FIRST_BELIEF + rise * (LAST_BELIEF - FIRST_BELIEF)
        return loss(logits, batch, self._weights.to(logits.device), belief_weight)

    # Keeping -------------------------------------------------------------------------

    def remember_best(self) -> None:
        """The averaged network is the best so far."""
        self._best = {
            k: v.detach().clone() for k, v in self.average.network.state_dict().items()
        }

    def return_to_best(self) -> None:
        """Go back to the best U-Net; the classifier stays, it knows all strokes."""
        if self._best is None:
            return
        unet = without_prefix("unet", self._best)
        for network in (self.network, self.average.network):
            cast("PixelUNet", network).unet.load_state_dict(unet)

    def adopt(self, state: dict[str, Tensor], steps: int) -> None:
        """Begin with the U-Net of another network, as far as its tensors fit.

        Parameters
        ----------
        state : dict of str to Tensor
            Of a `PixelUNet`.
        steps : int
            How much the other one had learnt for this task already.
        """
        for network in (self.network, self.average.network):
            own = network.state_dict()
            for name, tensor in state.items():
                fits = name in own and own[name].shape == tensor.shape
                if name.startswith("unet.") and fits:
                    own[name].copy_(tensor)
        self.step_count = steps
        self.set_trust()

    def checkpoint(self) -> Checkpoint:
        """Everything needed to go on from here."""
        tensors = run_tensors(
            self.network,
            self.average.network,
            self._best,
            self.optimizer,
            self.generator,
        )
        plain = {
            "plan": self.plan.as_dict(),
            "step_count": self.step_count,
            "since_strokes": self.since_strokes,
            "trust_factor": self.trust_factor,
        }
        return Checkpoint(plain, tensors)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of a run on the same image.

        Raises
        ------
        DataError
            If the network differs.
        """
        tensors, plain = checkpoint.tensors, checkpoint.plain
        try:
            self.network.load_state_dict(without_prefix("network", tensors))
            self.average.network.load_state_dict(without_prefix("average", tensors))
        except RuntimeError as error:
            raise DataError(
                "The project was made with other settings, channels or classes: choose "
                "those again, or start a new project."
            ) from error
        self._best = without_prefix("best", tensors) or None
        self.generator.set_state(tensors["random"])
        restore_optimizer(self.optimizer, tensors)
        self._small.standardise(self.network.pixels.mean, self.network.pixels.std)
        self.step_count = plain["step_count"]
        self.since_strokes = plain["since_strokes"]
        self.trust_factor = plain["trust_factor"]
        self.learn_strokes()
        self.set_trust()

    # Looking -------------------------------------------------------------------------

    def previewer(self) -> Previewer:
        """The averaged network as it is now."""
        network = cast("PixelUNet", self.average.network)
        return Previewer(network, self.task, self.device, self.precision)


def _moved(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    parts: Sequence[Tensor | None] = (
        batch.image,
        batch.index,
        batch.distance,
        batch.belief,
    )
    moved = [None if p is None else p.to(device, non_blocking=True) for p in parts]
    return Batch(*cast("Any", moved))
