"""Where the time of a training step and of a prediction goes, and what is left over.

    python benchmarks/gpu.py [--ndim 2 3] [--json FILE] [--profile] [--peers]

A step of the U-Net's training is taken apart: reading patches, augmentation, network
and loss forwards, backwards, optimiser. Its convolutions are timed alone, back to back,
on tensors of the same sizes: what they take is what nobody can do without. All figures
of a line come from one run; what counts are the ratios. Targets on an H100 with 32 base
channels in bfloat16: a step at least at 0.5 of the bare convolutions' speed, prediction
at 0.7, patches and augmentation at most 0.1 of a step, three times the steps a second
of a plain MONAI pipeline and of nnU-Net (``--peers``, where they are installed).

With ``--device cpu --quick`` it runs anywhere, in about two minutes.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_peers
import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.normalization import measure_range
from napari_unet.data.source import ImageSource
from napari_unet.device import autocast, describe, memory_format, pick_device
from napari_unet.device import pick_precision as precision_of
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.prediction.predictor import Predictor
from napari_unet.training.trainer import Trainer
from napari_unet.workflows.training import TrainingSetup

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EDGES = {("gpu", 2): 2048, ("gpu", 3): 256, ("cpu", 2): 512, ("cpu", 3): 64}
"""Of the images that are learnt from and predicted, in voxels."""


@dataclass
class Layer:
    """A convolution as it is called, and what it is called with."""

    module: Any
    image: Tensor
    gradient: Tensor

    def forwards(self) -> None:
        """The convolution alone."""
        self.module(self.image)

    def backwards(self, *, first: bool) -> None:
        """Both gradients; the first layer needs none of its input."""
        m = self.module
        turned = isinstance(m, nn.ConvTranspose2d | nn.ConvTranspose3d)
        torch.ops.aten.convolution_backward(
            self.gradient, self.image, m.weight, None, m.stride, m.padding, m.dilation,
            turned, m.output_padding, m.groups, [not first, True, False],
        )  # fmt: skip


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ndim", type=int, nargs="+", choices=(2, 3), default=[2, 3])
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--base-channels", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--quick", action="store_true", help="narrow, half a second")
    parser.add_argument("--profile", action="store_true", help="operators of a step")
    parser.add_argument("--peers", action="store_true", help="MONAI and nnU-Net, too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.base_channels, options.seconds = 8, 0.5
    device = pick_device(options.device)
    precision = precision_of(device, options.precision)
    figures: dict[str, Any] = {
        "device": describe(device, precision),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "base_channels": options.base_channels,
    }
    print(figures["device"], flush=True)
    for ndim in options.ndim:
        bench = Bench(ndim, device, precision, options.base_channels, options.seconds)
        found = bench.training() | bench.prediction()
        if options.peers:
            found |= gpu_peers.measure(bench, found["steps_per_s"])
        figures[f"{ndim}D"] = found
        print(f"\n{ndim}D")
        for name, value in found.items():
            print(f"  {name:<32} {value}", flush=True)
        if options.profile:
            print(bench.profile())
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


class Bench:
    """One U-Net on one device.

    Parameters
    ----------
    ndim : {2, 3}
    device, precision
        From `napari_unet.device`.
    base_channels : int
    seconds : float
        For each figure, at least three rounds.
    """

    def __init__(
        self,
        ndim: int,
        device: torch.device,
        precision: torch.dtype,
        base_channels: int,
        seconds: float,
    ) -> None:
        self.ndim, self.device, self.precision = ndim, device, precision
        self.seconds = seconds
        self.kind = "cpu" if device.type == "cpu" else "gpu"
        self.pixels, self.labels = _image((EDGES[self.kind, ndim],) * ndim)
        self.source = ImageSource((self.pixels,), "ZYX"[-ndim:])
        config = training_config(
            annotation="complete",
            max_steps=10**9,
            base_channels=base_channels,
            validation_fraction=0,
            device=device.type,
            precision=str(precision).removeprefix("torch."),
        )
        annotation = Annotation(self.labels, self.source, "complete")
        setup = TrainingSetup.prepare([annotation], config, (), None, "benchmark")
        self.trainer: Trainer = setup.trainer
        self.plan = setup.plan
        self.layout: Any = memory_format(device, ndim)

    # Training -------------------------------------------------------------------------

    def training(self) -> dict[str, Any]:
        """A step, its parts, and its convolutions alone."""
        t, plan = self.trainer, self.plan
        whole = self.timed(t._step)
        drawn = t.sampler.draw(plan.batch_size, t.generator)
        loading = self.timed(
            lambda: t.sampler.draw(plan.batch_size, t.generator).to(self.device)
        )
        batch = drawn.to(self.device)
        augmenting = self.timed(lambda: t.augmentation(batch, t.generator))
        batch = t.augmentation(batch, t.generator)
        image: Any = batch.image.contiguous(memory_format=self.layout)

        def forwards() -> Tensor:
            with autocast(self.device, self.precision):
                logits = t.network(image)
            return t.objective(logits, batch)

        def both() -> None:
            t.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(forwards())

        forward, back = self.timed(lambda: forwards()), self.timed(both)

        def update() -> None:
            nn.utils.clip_grad_norm_(t.network.parameters(), 5.0)
            t.optimizer.step()
            t.average.update(t.network, 10)

        updating = self.timed(update)
        layers = self.layers(t.network, image)
        bare = self.timed(lambda: _run(layers, backwards=True))
        figures = {
            "patch": list(plan.patch_size),
            "batch": plan.batch_size,
            "kept_on_device": t.sampler._loaded[0].cached is not None,
            "steps_per_s": round(1 / whole, 3),
            "step_ms": _ms(whole),
            "loading_ms": _ms(loading),
            "augmentation_ms": _ms(augmenting),
            "forwards_ms": _ms(forward),
            "backwards_ms": _ms(back - forward),
            "optimiser_ms": _ms(updating),
            "bare_convolutions_ms": _ms(bare),
            "share_of_bare_convolutions": round(bare / whole, 3),
            "share_of_loading_augmentation": round((loading + augmenting) / whole, 3),
        }
        return figures | self.faster_ways(forwards, back)

    def faster_ways(
        self, forwards: Callable[[], Tensor], eager: float
    ) -> dict[str, Any]:
        """What other ways to run forwards and backwards would bring."""
        if self.device.type != "cuda":
            return {}
        found: dict[str, Any] = {}
        zero = self.trainer.optimizer.zero_grad
        compiled = torch.compile(forwards)

        def both(loss: Callable[[], Tensor]) -> None:
            zero(set_to_none=True)
            torch.autograd.backward(loss())

        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            tuned = self.timed(lambda: both(forwards))
        found["cudnn_benchmark_gain"] = round(eager / tuned, 2)
        begun = time.perf_counter()
        both(compiled)
        self.wait()
        found["compile_start_s"] = round(time.perf_counter() - begun, 1)
        found["compile_gain"] = round(eager / self.timed(lambda: both(compiled)), 2)
        try:
            replay = _graph(forwards, self.trainer.network)
        except RuntimeError as error:  # something asks the card in between
            found["cuda_graph_gain"] = str(error).splitlines()[0]
        else:
            found["cuda_graph_gain"] = round(eager / self.timed(replay), 2)
        return found

    # Prediction -----------------------------------------------------------------------

    def prediction(self) -> dict[str, Any]:
        """From pixels to maps over the convolutions of the same tiles alone."""
        network = self.trainer.best_network()
        predictor = Predictor(network, "classes", self.device, self.precision)
        intensity = measure_range(self.source, _percentiles())

        def whole() -> None:
            for _ in predictor.run(self.source, intensity, 0):
                pass

        seconds = self.timed(whole)
        folded: Any = fold_batch_norm(network).to(
            device=self.device, memory_format=self.layout
        )
        bare = 0.0
        sizes: dict[tuple[int, ...], int] = {}
        for tile in predictor.tiles(self.source):
            sizes[tile.outer_size] = sizes.get(tile.outer_size, 0) + 1
        for size, count in sizes.items():
            image = torch.randn(1, 1, *size, device=self.device)
            layers = self.layers(folded, image.contiguous(memory_format=self.layout))
            bare += count * self.timed(lambda found=layers: _run(found))
        return {
            "tiles": sum(sizes.values()),
            "predicted_megavoxels_per_s": round(self.pixels.size / seconds / 1e6, 2),
            "prediction_ms": _ms(seconds),
            "prediction_bare_ms": _ms(bare),
            "prediction_share_of_bare": round(bare / seconds, 3),
        }

    # Tools ----------------------------------------------------------------------------

    def layers(self, network: nn.Module, image: Tensor) -> list[Layer]:
        """All convolutions of a network, in their precision, with tensors of theirs."""
        found: list[Layer] = []

        def keep(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
            copy: Any = type(module).__new__(type(module))
            copy.__dict__ = dict(module.__dict__)
            copy._parameters = {
                k: None if p is None else nn.Parameter(p.detach().to(self.precision))
                for k, p in module._parameters.items()
            }
            given = inputs[0].detach().to(self.precision)
            gradient = torch.randn_like(out, dtype=self.precision)
            found.append(Layer(copy, given, gradient))

        hooks = [
            m.register_forward_hook(keep)
            for m in network.modules()
            if isinstance(m, CONVOLUTIONS)
        ]
        with torch.no_grad(), autocast(self.device, self.precision):
            network(image)
        for hook in hooks:
            hook.remove()
        for layer in found:
            layer.module._forward_hooks = {}
        return found

    def timed(self, work: Callable[[], Any]) -> float:
        """Seconds of one round, the fastest of three thirds of the time."""
        for _ in range(2):
            work()
        self.wait()
        best = float("inf")
        for _ in range(3):
            begun, rounds = time.perf_counter(), 0
            while rounds == 0 or time.perf_counter() - begun < self.seconds / 3:
                work()
                rounds += 1
                if self.device.type != "cpu" and rounds % 8 == 0:
                    self.wait()
            self.wait()
            best = min(best, (time.perf_counter() - begun) / rounds)
        return best

    def wait(self) -> None:
        """Graphics cards answer before they have computed."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def profile(self, steps: int = 5) -> str:
        """The operators of some steps that take longest."""
        from torch.profiler import ProfilerActivity, profile

        kinds = [ProfilerActivity.CPU]
        key = "self_cpu_time_total"
        if self.device.type == "cuda":
            kinds.append(ProfilerActivity.CUDA)
            key = "self_cuda_time_total"
        with profile(activities=kinds) as found:
            for _ in range(steps):
                self.trainer._step()
            self.wait()
        return str(found.key_averages().table(sort_by=key, row_limit=15))


def _run(layers: list[Layer], *, backwards: bool = False) -> None:
    with nullcontext() if backwards else torch.inference_mode(), torch.no_grad():
        for layer in layers:
            layer.forwards()
        if backwards:
            for number, layer in reversed(list(enumerate(layers))):
                layer.backwards(first=number == 0)


def _graph(forwards: Callable[[], Tensor], network: nn.Module) -> Callable[[], None]:
    """Forwards and backwards as one CUDA graph, to be played again."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            network.zero_grad(set_to_none=True)
            torch.autograd.backward(forwards())
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    network.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        torch.autograd.backward(forwards())
    return graph.replay


def _percentiles() -> Any:
    from napari_unet.data.normalization import NormalizationInfo

    return NormalizationInfo()


def _image(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Small blobs with noise, uint16, and their truth.

    Of large ones a network of another kind would be made, see `TrainingPlan.coarse`.
    """
    rng = np.random.default_rng(0)
    coarse = rng.random([n // 2 for n in shape]) > 0.7
    labels = coarse.astype(np.uint8)
    for axis in range(len(shape)):
        labels = labels.repeat(2, axis)
    noise = rng.normal(500, 120, shape)
    return (noise + 800.0 * labels).clip(0).astype(np.uint16), labels


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)


if __name__ == "__main__":
    main()
