"""Prediction: the share of the bare network's speed that is left, and memory.

    python benchmarks/predict.py [--quick] [--json FILE]

All figures of one line are taken in one run, one after the other, on the same pixels;
what counts are the ratios. Sliding windows of MONAI are compared where it is installed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from napari_unet.config import Task
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.source import ImageSource
from napari_unet.device import autocast, memory_format, pick_device, pick_precision
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network, design_network
from napari_unet.prediction.predictor import TILE
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.workflows import TileDone, exhaust, predict
from napari_unet.workflows.block_job import BlockJob
from napari_unet.workflows.blocks import make_blocks
from napari_unet.workflows.grids import BLOCK
from napari_unet.workflows.preparation import Options, prepare

GIGABYTE = 10**9
WIDTHS = [16, 32, 64, 128]


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller, without 200 GB")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=["speed", "memory", "tiles", "cluster"])
    options = parser.parse_args()
    torch.manual_seed(0)
    figures: dict[str, Any] = {"device": str(pick_device())}
    if options.only in (None, "speed"):
        figures |= speed(4096, repeat=1 if options.quick else 3)
        figures |= objects(1024 if options.quick else 2048)
    if options.only in (None, "memory"):
        figures |= memory([0.5, 2, 8] if options.quick else [2, 20, 200])
        figures |= memory([0.25, 1] if options.quick else [0.5, 2], unet=True)
    if options.only in (None, "tiles"):
        figures |= tiles(1 if options.quick else 3)
    if options.only in (None, "cluster"):
        figures |= scaling(4096 if options.quick else 8192, [1, 2])
        figures |= graph(500 if options.quick else 2000, [1, 4, 16, 64])
    for name, value in figures.items():
        print(f"{name:28} {value}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def make_model(task: Task = "classes", widths: Sequence[int] = WIDTHS) -> Model:
    """A U-Net of 16 base channels with random weights."""
    levels = len(widths)
    network = NetworkInfo(
        name="unet",
        arguments={
            "n_in": 1,
            "n_out": 2,
            "channels": list(widths),
            "strides": [[2, 2]] * (levels - 1),
            "kernels": [[3, 3]] * levels,
            "convolutions": [2] * levels,
            "stem": [1, 1],
        },
    )
    net = build_network(network).eval()
    return Model(
        net,
        ModelInfo(
            name="benchmark",
            task=task,
            spatial="YX",
            n_channels=1,
            classes=object_classes(1) if task == "objects" else make_classes([0, 1], 0),
            network=network,
            decoder=DecoderInfo() if task == "objects" else None,
        ),
    )


def timed(work: Callable[[], object], repeat: int) -> float:
    """Shortest time in seconds of some repetitions, after one to warm up."""
    work()
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def speed(edge: int, repeat: int) -> dict[str, Any]:
    """Read to labels over the bare network, and over sliding windows."""
    device = pick_device()
    precision = pick_precision(device)
    model = make_model()
    pixels = np.random.default_rng(0).integers(0, 4000, (edge, edge)).astype(np.uint16)
    source = ImageSource((pixels,), "YX")
    bare_network: Any = fold_batch_norm(make_model().network)
    layout = memory_format(device, 2)
    bare_network = bare_network.to(device=device, memory_format=layout)
    core = 1024
    pieces = [
        torch.randn(1, 1, core, core, device=device).contiguous(memory_format=layout)
        for _ in range(max(1, edge // core) ** 2)
    ]

    def bare() -> None:
        with torch.inference_mode(), autocast(device, precision):
            for piece in pieces:
                bare_network(piece)
        finish(device)

    def ours() -> None:
        exhaust(predict(model, source))

    inner: Any = prepare(model, source, Options()).predictor._folded

    def fused() -> None:
        with torch.inference_mode(), autocast(device, precision):
            for piece in pieces:
                inner(piece)
        finish(device)

    bare_s, ours_s = timed(bare, repeat), timed(ours, repeat)
    figures: dict[str, Any] = {
        "bare_s": round(bare_s, 3),
        "end_to_end_s": round(ours_s, 3),
        "end_to_end_over_bare": round(bare_s / ours_s, 3),
        "megapixels_per_s": round(edge**2 / ours_s / 1e6, 2),
        "fused_over_bare": round(bare_s / timed(fused, repeat), 3),
    }
    trained = make_model().network.to(device=device, memory_format=layout).eval()
    figures |= monai(trained, bare_network, pixels, device, precision, ours_s)
    return figures | nnunet(bare_network, pixels, device, ours_s)


def monai(
    network: nn.Module,
    folded: nn.Module,
    pixels: NDArray[Any],
    device: torch.device,
    precision: torch.dtype,
    ours_s: float,
) -> dict[str, Any]:
    """The same network in MONAI's sliding windows, from pixels to labels.

    It gets the network as it was trained, and once with batch normalisation folded into
    the convolutions, which is our own preparation.
    """
    try:
        from monai.inferers import SlidingWindowInferer
    except ImportError:
        return {"monai": "not installed"}
    image = pixels.astype(np.float32)

    def run(network: nn.Module, dtype: torch.dtype, **how: Any) -> Callable[[], None]:
        inferer = SlidingWindowInferer(**how)

        def work() -> None:
            low, high = np.percentile(image[::4, ::4], [1, 99.8]).astype(np.float32)
            batch = torch.from_numpy((image - low) / (high - low))[None, None]
            batch = batch.to(device).contiguous(memory_format=memory_format(device, 2))
            with torch.inference_mode(), autocast(device, dtype):
                inferer(batch, network).argmax(1).to(torch.uint8).cpu().numpy()

        return work

    # Equal quality: windows whose seams overlap by at least our halo on either side.
    how: dict[str, Any] = {"roi_size": (512, 512), "sw_batch_size": 4, "overlap": 0.25}
    seconds = {
        "fastest": timed(run(network, precision, **how), 2),
        "fastest_folded": timed(run(folded, precision, **how), 2),
        "default": timed(
            run(
                network,
                torch.float32,
                roi_size=(256, 256),
                overlap=0.5,
                mode="gaussian",
            ),
            1,
        ),
    }
    return {f"monai_{name}_s": round(s, 2) for name, s in seconds.items()} | {
        f"times_monai_{name}": round(s / ours_s, 2) for name, s in seconds.items()
    }


def nnunet(
    network: nn.Module, pixels: NDArray[Any], device: torch.device, ours_s: float
) -> dict[str, Any]:
    """The same network in nnU-Net's predictor, without and with mirroring."""
    try:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    except ImportError:
        return {"nnunet": "not installed"}
    network.deep_supervision = False  # type: ignore[assignment]
    low, high = np.percentile(pixels[::4, ::4], [1, 99.8]).astype(np.float32)
    image = torch.from_numpy((pixels.astype(np.float32) - low) / (high - low))
    figures = {}
    for name, mirroring in (("nnunet", False), ("nnunet_mirrored", True)):
        predictor = nnUNetPredictor(
            use_mirroring=mirroring,
            perform_everything_on_device=device.type != "cpu",
            device=device,
            allow_tqdm=False,
        )
        # What it needs to know of a trained nnU-Net.
        predictor.network = network
        predictor.configuration_manager = SimpleNamespace(patch_size=[512, 512])
        predictor.label_manager = SimpleNamespace(num_segmentation_heads=2)
        predictor.allowed_mirroring_axes = (0, 1) if mirroring else None
        begun = time.perf_counter()
        logits = predictor.predict_sliding_window_return_logits(image[None, None])
        logits.argmax(0).to(torch.uint8).cpu().numpy()
        used = time.perf_counter() - begun
        figures[f"{name}_s"] = round(used, 2)
        figures[f"times_{name}"] = round(used / ours_s, 2)
    return figures


def objects(edge: int) -> dict[str, Any]:
    """Read to objects over the network alone, on maps like those of trained ones."""
    from scipy import ndimage

    model = make_model("objects")
    rng = np.random.default_rng(0)
    points = np.zeros((edge, edge), bool)
    points[tuple(rng.integers(0, edge, (2, edge * edge // 900)))] = True
    distance = np.clip(1 - ndimage.distance_transform_edt(~points) / 11, 0, 1)
    wanted = torch.from_numpy(np.stack([distance > 0, distance]).astype(np.float32))
    source = ImageSource((rng.integers(0, 4000, (edge, edge)).astype(np.uint16),), "YX")
    predictor = prepare(model, source, Options()).predictor

    def network_alone() -> None:
        from napari_unet.data.normalization import measure_range

        intensity = measure_range(source, model.info.normalization)
        for _ in predictor.run(source, intensity, 0):
            pass

    from napari_unet.prediction import batches as module

    batch_results = module.Batch.results

    def with_maps(self: Any) -> Any:
        for part in batch_results(self):
            inner = tuple(slice(*b) for b in part.tile.inner)
            yield module.TileMaps(part.work, wanted[(slice(None), *inner)].numpy())

    alone = timed(network_alone, 1)
    with patch.object(module.Batch, "results", with_maps):
        begun = time.perf_counter()
        result = exhaust(predict(model, source))
        both = time.perf_counter() - begun
    return {
        "objects_over_network": round(alone / both, 3),
        "objects": int(result.labels.max()),
    }


class Generated:
    """A picture of any size that is made when it is read, of eight bytes a pixel."""

    dtype = np.dtype(np.float64)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._line = np.random.default_rng(0).random(2**15) * 4000

    def __getitem__(self, key: Any) -> NDArray[np.float64]:
        rows, columns = (k.indices(n) for k, n in zip(key, self.shape, strict=True))
        height, width = rows[1] - rows[0], columns[1] - columns[0]
        begin = (rows[0] + columns[0]) % 4096
        return np.broadcast_to(self._line[begin : begin + width], (height, width))


class Counted:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.voxels = 0

    def is_done(self, block: Any) -> bool:
        return False

    def put(self, block: Any, labels: NDArray[Any], maps: Any) -> None:
        self.voxels += labels.size


class Brightness(nn.Module):
    """The cheapest network: what remains is our own work."""

    divisor, halo = (8, 8), (8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(image)
        return out


def memory(gigabytes: Sequence[float], *, unet: bool = False) -> dict[str, Any]:
    """Largest resident memory by size of the input; a process for each.

    Of the cheapest network, or of a U-Net, for which fewer pixels have to do.
    """
    found = {}
    context = multiprocessing.get_context("spawn")
    for size in gigabytes:
        with context.Pool(1) as pool:
            found[f"{size:g} GB"] = pool.apply(peak_of, (size, unet))
            print("memory", f"{size:g} GB", found[f"{size:g} GB"], flush=True)
    totals = [f["idle"] + f["peak"] for f in found.values()]
    name = "unet_" if unet else ""
    return {
        f"{name}peak_mb": {size: f["peak"] for size, f in found.items()},
        f"{name}memory_mb": found,
        f"{name}peak_growth": round(max(totals) / min(totals) - 1, 3),
    }


class Watch:
    """The largest resident memory of a process in each phase, in megabytes."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.idle = self._now()
        self.phase = "range"
        self.peaks: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _now(self) -> int:
        return round(self._process.memory_info().rss / 2**20)

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            above = self._now() - self.idle
            self.peaks[self.phase] = max(self.peaks.get(self.phase, 0), above)

    def end(self) -> dict[str, int]:
        """Peaks above idle, and idle itself."""
        self._ended.set()
        self._thread.join()
        return {"idle": self.idle, "peak": max(self.peaks.values()), **self.peaks}


def peak_of(gigabytes: float, unet: bool = False) -> dict[str, int]:
    """Megabytes above idle while so many gigabytes of pixels are segmented."""
    torch.set_num_threads(1)
    edge = int((gigabytes * GIGABYTE / 8) ** 0.5)
    source = ImageSource((Generated((edge, edge)),), "YX")
    model = make_model()
    if not unet:
        model.network = Brightness()
    warm = ImageSource((Generated((64, 64)),), "YX")
    exhaust(predict(model, warm))  # loads what is loaded once
    watch = Watch()
    sink: Any = Counted()
    job = store_like(model, source, sink)
    watch.phase = "first"
    # From here on nothing new is needed: the rest of a longer run looks alike.
    for event in make_blocks(job):
        if isinstance(event, TileDone) and event.done == (16 if unet else 64):
            watch.phase = "rest"
    found = watch.end()
    if sink.voxels != edge * edge:
        raise RuntimeError(f"{sink.voxels} voxels instead of {edge * edge}")
    return found


def store_like(model: Model, source: ImageSource, sink: Any) -> BlockJob:
    """A job with the blocks of a store."""
    from napari_unet.data.normalization import measure_range
    from napari_unet.prediction.blocks import BlockGrid

    # In half precision oneDNN makes 16 channels of the stand-in's one, and what is
    # measured would be that.
    alone = isinstance(model.network, Brightness)
    options = Options(precision="float32" if alone else "auto")
    box = tuple((0, n) for n in source.spatial_shape)
    return BlockJob(
        model.info,
        prepare(model, source, options).predictor,
        source,
        measure_range(source, model.info.normalization),
        BlockGrid([0], box, BLOCK[2], (0, 0)),
        sink,
    )


def tiles(rounds: int) -> dict[str, Any]:
    """Read to classes, by edge of the tiles: shortest time of some rounds.

    One size after the other in each round, so that all of them have the same neighbours
    on the machine.
    """
    device = pick_device()
    kind = "cpu" if device.type == "cpu" else "gpu"
    figures: dict[str, Any] = {}
    for model, shape, edges in (
        (make_model(), (4096, 4096), (512, 1024, 2048, 4096)),
        (make_deep_model(), (128, 256, 256), (32, 64, 96, 128, 256)),
    ):
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 4000, shape, np.uint16)
        source = ImageSource((pixels,), model.info.spatial)
        seconds = dict.fromkeys(edges, float("inf"))
        for _ in range(rounds):
            for edge in edges:
                with patch.dict(TILE, {(kind, len(shape)): edge}):
                    begun = time.perf_counter()
                    exhaust(predict(model, source))
                    used = time.perf_counter() - begun
                seconds[edge] = min(seconds[edge], used)
                print("tiles", len(shape), edge, round(used, 2), flush=True)
        best = min(seconds.values())
        name = f"tiles_{len(shape)}d"
        figures[f"{name}_s"] = {str(e): round(s, 2) for e, s in seconds.items()}
        figures[f"{name}_over_best"] = {
            str(e): round(s / best, 2) for e, s in seconds.items()
        }
    return figures


def make_deep_model() -> Model:
    """The U-Net that a small volume gets on this device, with random weights."""
    device: Any = "cpu" if pick_device().type == "cpu" else "gpu"
    request = NetworkRequest(
        n_in=1,
        n_out=2,
        patch=(48, 48, 48),
        spacing=(1.0, 1.0, 1.0),
        device=device,
    )
    network, _ = design_network("unet", request)
    return Model(
        build_network(network).eval(),
        ModelInfo(
            name="benchmark",
            task="classes",
            spatial="ZYX",
            n_channels=1,
            classes=make_classes([0, 1], 0),
            network=network,
        ),
    )


def scaling(edge: int, workers: Sequence[int]) -> dict[str, Any]:
    """Seconds of a store with so many workers on this computer, without their start."""
    import tempfile

    import zarr

    from napari_unet.image_io import read_image
    from napari_unet.workflows.cluster import connect, predict_on_cluster

    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = make_model().save(place / "model.zip")
        pixels = np.random.default_rng(0).integers(0, 4000, (edge, edge), np.uint16)
        zarr.create_array(str(place / "i.zarr"), data=pixels, chunks=(1024, 1024))
        source = read_image(place / "i.zarr", "YX")
        for count in workers:
            with connect(None, count) as client:
                client.wait_for_workers(count)
                for name in ("warm", "timed"):
                    begun = time.perf_counter()
                    events = predict_on_cluster(
                        client, model, source, place / f"{name}{count}.zarr"
                    )
                    exhaust(events)
                    seconds[count] = round(time.perf_counter() - begun, 2)
            print("workers", count, seconds[count], "s", flush=True)
    first = seconds[workers[0]]
    return {
        "workers_s": {str(n): s for n, s in seconds.items()},
        "workers_speedup": {str(n): round(first / s, 2) for n, s in seconds.items()},
    }


def graph(chunks: int, workers: Sequence[int]) -> dict[str, Any]:
    """Milliseconds a chunk that a scheduler needs by itself: tasks that do nothing.

    Workers are threads of this process, so that 64 of them fit on any computer; the
    arguments are those of real blocks.
    """
    from functools import partial

    from distributed import Client, LocalCluster, as_completed

    found = {}
    for count in workers:
        with (
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=False,  # speaks within this process: no port
                dashboard_address=None,
                memory_limit=0,  # they share that of this process
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            client.wait_for_workers(count)
            begun = time.perf_counter()
            tasks = client.map(
                partial(_nothing, "plan" * 50), range(chunks), pure=False
            )
            for _ in as_completed(tasks, loop=client.loop, with_results=True):
                pass
            found[str(count)] = round(1000 * (time.perf_counter() - begun) / chunks, 2)
        print("scheduler", count, found[str(count)], "ms a chunk", flush=True)
    return {"scheduler_ms_per_chunk": found}


def _nothing(_: str, number: int) -> int:
    return number


def finish(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
