from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.networks.unet import UNet
from napari_unet.prediction import memory
from napari_unet.prediction.memory import measure_bytes_per_voxel
from napari_unet.prediction.pixels import normalize, stack_pixels, winner
from napari_unet.prediction.predictor import MemoryNote, Predictor, TileMaps, Work
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


@settings(deadline=None, max_examples=25)
@given(data=st.data(), ndim=st.sampled_from([2, 3]))
def test_any_tiles_of_any_image_equal_the_network_itself(
    data: st.DataObject, ndim: int
) -> None:
    """Against the network alone, on an image whose size it can take as it is."""
    most = 40 if ndim == 2 else 14
    stem = data.draw(st.sampled_from([1, 2]))
    net = network(ndim, stem)
    steps = [data.draw(st.integers(1, most // d)) for d in net.divisor]
    shape = [n * d for n, d in zip(steps, net.divisor, strict=True)]
    tile = [data.draw(st.integers(1, most)) for _ in range(ndim)]
    image = np.random.default_rng(1).random(shape).astype(np.float32)
    predictor = Predictor(net, "classes", CPU, torch.float32, tile=tile, halo=net.halo)
    with torch.inference_mode():
        whole = net(torch.from_numpy(image)[None, None])[0].softmax(0).numpy()
    np.testing.assert_allclose(maps(predictor, image), whole, atol=1e-5)


def test_classes_are_the_most_probable_maps() -> None:
    image = np.random.default_rng(0).random((70, 51)).astype(np.float32)
    predictor = Predictor(network(2), "classes", CPU, torch.float32, tile=(32, 32))
    source = ImageSource((image,), "YX")
    expected = maps(predictor, image).argmax(axis=0)
    found = np.full(image.shape, 9)
    work = (Work(tile, 0) for tile in predictor.tiles(source))
    for part in predictor.run_all(source, RANGE, work, wanted="classes"):
        assert isinstance(part, TileMaps)
        assert part.classes is not None
        found[part.tile.target] = part.classes
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n_maps", [2, 3, 300])
def test_the_winner_is_the_first_of_the_largest(n_maps: int) -> None:
    values = torch.randint(0, 5, (n_maps, 13, 17)).float()
    expected = values.numpy().argmax(axis=0)
    np.testing.assert_array_equal(winner(values).numpy(), expected)


@pytest.mark.parametrize(
    "dtype", ["u1", ">u2", "i4", "u4", "i8", "f2", ">f4", "f8", "b1"]
)
def test_pixels_are_normalised_on_the_device_as_elsewhere(dtype: str) -> None:
    rng = np.random.default_rng(0)
    pixels = (rng.random((2, 9, 11)) * 90).astype(dtype)
    if pixels.dtype.kind == "f":
        pixels[0, 0, :3] = np.nan, np.inf, -np.inf
    intensity = IntensityRange(
        np.array([3, 5], np.float32), np.array([40, 77], np.float32)
    )
    tensor, finite = stack_pixels([pixels], CPU)
    found = normalize(tensor, intensity, finite=finite)[0].numpy()
    np.testing.assert_array_equal(found, intensity.normalize(pixels))


def test_work_is_taken_only_as_far_as_it_is_needed() -> None:
    predictor = Predictor(network(2), "classes", CPU, torch.float32, tile=(16, 16))
    predictor.max_batch_voxels = 1
    source = ImageSource((np.zeros((16, 1600), np.float32),), "YX")
    taken = []

    def work() -> Iterator[Work]:
        for tile in predictor.tiles(source):
            taken.append(tile)
            yield Work(tile, 0)

    parts = predictor.run_all(source, RANGE, work())
    next(parts)
    assert len(taken) < 10
    parts.close()


def test_tiles_follow_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(2)
    needed = measure_bytes_per_voxel(net, 1, net.divisor, CPU)
    assert 20 < needed < 400  # 3 to 16 channels in float32, some of them at a time
    source = ImageSource((np.zeros((3000, 3000), np.float32),), "YX")

    def core(free: float) -> tuple[int, ...]:
        monkeypatch.setattr(memory, "free_memory", lambda _: int(free))
        return Predictor(net, "classes", CPU, torch.float32).tiles(source)[0].size

    large, small = core(1e12), core(5e5 * needed)
    assert large == (1500, 1500)
    assert np.prod(small) < 300_000
    assert min(core(1)) >= net.divisor[0]


@pytest.mark.parametrize("views", [False, True])
def test_a_temperature_cools_probabilities_and_leaves_distances(views: bool) -> None:
    image = np.random.default_rng(0).random((24, 30)).astype(np.float32)
    net = network(2)

    def found(task: str, temperature: float) -> NDArray[np.float32]:
        out = np.zeros((2, *image.shape), np.float32)
        predictor = Predictor(
            net, task, CPU, torch.float32, views=views, temperature=temperature
        )
        for part in predictor.run(ImageSource((image,), "YX"), RANGE, 0):
            if isinstance(part, TileMaps):
                out[(slice(None), *part.tile.target)] = part.maps[:2]
        return out

    plain, cool = found("objects", 1.0), found("objects", 2.0)
    np.testing.assert_allclose(cool[1], plain[1], atol=1e-6)
    assert (np.abs(cool[0] - 0.5) < np.abs(plain[0] - 0.5)).mean() > 0.99
    plain, cool = found("classes", 1.0), found("classes", 2.0)
    np.testing.assert_allclose(cool.sum(0), 1, atol=1e-5)
    if not views:
        np.testing.assert_array_equal(cool.argmax(0), plain.argmax(0))
        np.testing.assert_allclose(
            np.log(cool[0] / cool[1]) * 2, np.log(plain[0] / plain[1]), atol=1e-4
        )
