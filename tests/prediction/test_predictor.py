from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.networks.unet import UNet
from napari_unet.prediction.predictor import MemoryNote, Predictor, TileMaps
from napari_unet.stopping import Stopped

CPU = torch.device("cpu")
RANGE = IntensityRange(np.zeros(1, np.float32), np.ones(1, np.float32))


def network(ndim: int, stem: int = 1) -> UNet:
    torch.manual_seed(3)
    net = UNet(1, 2, [3, 5], [(2,) * ndim], [(3,) * ndim] * 2, [2, 2], (stem,) * ndim)
    torch.nn.init.normal_(net.head.weight)
    return net.eval()


def maps(
    predictor: Predictor, image: NDArray[np.float32], box: object = None
) -> NDArray[np.float32]:
    source = ImageSource((image,), "ZYX"[3 - image.ndim :])
    shape = image.shape if box is None else [b - a for a, b in box]
    out = np.full((2, *shape), np.nan, np.float32)
    for part in predictor.run(source, RANGE, 0, box):
        if isinstance(part, TileMaps):
            out[(slice(None), *part.tile.target)] = part.maps
    return out


@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize(
    ("shape", "tile"),
    [
        ((61, 47), (16, 16)),
        ((33, 100), (20, 7)),
        ((1, 29), (8, 8)),
        ((17, 31, 23), (8, 12, 8)),
        ((5, 40, 3), (4, 16, 16)),
    ],
)
def test_tiled_equals_whole(
    shape: tuple[int, ...], tile: Sequence[int], stem: int
) -> None:
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    net = network(len(shape), stem)
    halo = net.halo
    large = (1000,) * len(shape)
    whole = Predictor(net, "classes", CPU, torch.float32, tile=large, halo=halo)
    source = ImageSource((image,), "ZYX"[3 - len(shape) :])
    assert len(whole.tiles(source)) == 1
    tiled = Predictor(net, "classes", CPU, torch.float32, tile=tile, halo=halo)
    assert len(tiled.tiles(source)) > 1
    np.testing.assert_allclose(maps(tiled, image), maps(whole, image), atol=2e-6)


def test_a_region_equals_the_same_part_of_the_whole() -> None:
    image = np.random.default_rng(0).random((70, 90)).astype(np.float32)
    predictor = Predictor(network(2), "objects", CPU, torch.float32, tile=(32, 32))
    box = ((13, 50), (31, 88))
    part = maps(predictor, image, box)
    np.testing.assert_allclose(part, maps(predictor, image)[:, 13:50, 31:88], atol=2e-6)


class Scarce(Predictor):
    """A device on which more than `room` voxels at a time do not fit."""

    room = 0

    def _compute(self, batch, *args):  # type: ignore[no-untyped-def]
        size = sum(int(np.prod(w.tile.outer_size)) for w in batch)
        if size > self.room and self.device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")
        self.seen.append(size)
        return super()._compute(batch, *args)


def scarce(room: int) -> Scarce:
    predictor = Scarce(network(2), "classes", CPU, torch.float32, tile=(64, 64))
    # Computes on the CPU, but is asked as if it were a small GPU.
    predictor.device = torch.device("meta")
    predictor.seen, predictor.room = [], room
    return predictor


def run_notes(
    predictor: Scarce, image: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[str]]:
    source, notes = ImageSource((image,), "YX"), []
    out = np.full((2, *image.shape), np.nan, np.float32)
    for part in predictor.run(source, RANGE, 0):
        if isinstance(part, MemoryNote):
            notes.append(part.text)
        else:
            out[(slice(None), *part.tile.target)] = part.maps
    return out, notes


def test_out_of_memory_halves_the_tile_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    expected = maps(Predictor(network(2), "classes", CPU, torch.float32), image)
    predictor = scarce(room=60 * 60)
    monkeypatch.setattr(torch.Tensor, "to", _stay_on_cpu(torch.Tensor.to))
    monkeypatch.setattr(
        "napari_unet.prediction.predictor.autocast", lambda *a: torch.no_grad()
    )
    out, notes = run_notes(predictor, image)
    np.testing.assert_allclose(out, expected, atol=2e-6)
    assert any("smaller batches" in n for n in notes)
    assert any("tiles of" in n for n in notes)
    assert max(predictor.seen) <= 60 * 60


def test_the_cpu_takes_over_when_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    expected = maps(Predictor(network(2), "classes", CPU, torch.float32), image)
    predictor = scarce(room=0)
    out, notes = run_notes(predictor, image)
    np.testing.assert_allclose(
        out, expected, atol=0.05
    )  # precision of the CPU's choice
    assert "the CPU takes over" in notes[-1]
    assert predictor.device.type == "cpu"


def test_stop_is_asked_within_a_tile() -> None:
    predictor = Predictor(network(2), "classes", CPU, torch.float32, tile=(32, 32))
    predictor.max_batch_voxels = 1
    image = np.random.default_rng(0).random((32, 64)).astype(np.float32)
    source = ImageSource((image,), "YX")
    asked, parts = [], []

    def go(until: int) -> None:
        def stop() -> bool:
            asked.append(len(parts))
            return len(asked) == until

        asked.clear(), parts.clear()
        for part in predictor.run(source, RANGE, 0, stop=stop):
            parts.append(part)

    go(until=0)
    assert len(parts) == 2
    per_tile = len(asked) // 2
    assert per_tile > 10
    with pytest.raises(Stopped):
        go(until=per_tile + 5)
    assert len(parts) == 1
    assert asked[-1] == 1
    # Nobody asks any more in the next run.
    assert np.isfinite(maps(predictor, image)).all()
    assert len(asked) == per_tile + 5


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(network(2), "classes", CPU, torch.float32)

    def broken(*args: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(predictor, "_compute", broken)
    with pytest.raises(RuntimeError, match="something else"):
        maps(predictor, np.zeros((8, 8), np.float32))


def test_no_memory_at_all_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(network(2), "classes", CPU, torch.float32)

    def full(*args: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(predictor, "_compute", full)
    with pytest.raises(DataError, match="memory is too small"):
        maps(predictor, np.zeros((64, 64), np.float32))


def _stay_on_cpu(to):  # type: ignore[no-untyped-def]
    def stay(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        args = [CPU if getattr(a, "type", None) == "meta" else a for a in args]
        return to(self, *args, **kwargs)

    return stay


def test_context_ends_at_the_border_of_the_image() -> None:
    predictor = Predictor(network(3), "classes", CPU, torch.float32, tile=(16, 16, 16))
    small = ImageSource((np.zeros((9, 16, 12)),), "ZYX")
    (tile,) = predictor.tiles(small)
    assert tile.outer_size == (10, 16, 12)
    seamed = predictor.tiles(ImageSource((np.zeros((9, 40, 12)),), "ZYX"))
    assert {t.halo[0] for t in seamed} == {(0, 0)}
    assert seamed[0].halo[1][0] == 0
    assert seamed[0].halo[1][1] > 0
    assert seamed[-1].halo[1][0] > 0
