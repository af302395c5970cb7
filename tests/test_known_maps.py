"""Objects are cut anew from maps that are at hand: the network has nothing to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.image_io import label_store, read_labels
from napari_unet.prediction import predictor
from napari_unet.prediction.predictor import Predictor
from napari_unet.workflows import exhaust, grids, known_maps, predict, predict_to_store
from napari_unet.workflows.known_maps import MapMemory
from napari_unet.workflows.store_paths import maps_path


def _helpers() -> Any:
    path = Path(__file__).with_name("test_any_size.py")
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ANY = _helpers()
EXACT: dict[str, Any] = ANY.EXACT
OTHER: dict[str, Any] = {"min_size": 30, "foreground_threshold": 0.6}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tiles that the network saw."""
    seen: list[int] = []
    compute = Predictor._compute

    def counted(self: Predictor, batch: Any, *more: Any) -> Any:
        seen.append(len(batch))
        return compute(self, batch, *more)

    monkeypatch.setattr(Predictor, "_compute", counted)
    return seen


def test_other_settings_and_masks_need_no_network(computed: list[int]) -> None:
    model, pixels = ANY.make_model("objects"), ANY.image((3, 90, 70))
    source = ImageSource((pixels,), "TYX")
    mask = np.zeros((90, 70), np.uint8)
    mask[20:] = 1
    memory = MapMemory()
    first = exhaust(predict(model, source, memory=memory, **EXACT))
    assert computed
    for more in ({"objects": OTHER}, {"mask": mask}, {"objects": OTHER, "mask": mask}):
        wanted = exhaust(predict(model, source, **EXACT, **more)).labels
        assert (wanted != first.labels).any()
        computed.clear()
        found = exhaust(predict(model, source, memory=memory, **EXACT, **more)).labels
        np.testing.assert_array_equal(found, wanted)
        assert not computed
    # Maps themselves may be wanted, too.
    computed.clear()
    maps = exhaust(predict(model, source, memory=memory, probabilities=True, **EXACT))
    assert not computed
    assert maps.probabilities is not None
    wanted = exhaust(predict(model, source, probabilities=True, **EXACT)).probabilities
    np.testing.assert_array_equal(maps.probabilities, wanted)


def test_another_image_or_model_is_looked_at(computed: list[int]) -> None:
    model, pixels = ANY.make_model("objects"), ANY.image((90, 70))
    memory = MapMemory()

    def looked(model: Any, pixels: Any, **more: Any) -> bool:
        computed.clear()
        source = ImageSource((pixels,), "YX")
        labels = exhaust(predict(model, source, memory=memory, **EXACT, **more)).labels
        done = bool(computed)
        wanted = exhaust(predict(model, source, **EXACT, **more)).labels
        np.testing.assert_array_equal(labels, wanted)
        return done

    assert looked(model, pixels)
    assert not looked(model, pixels)
    changed = pixels.copy()
    changed[-1, -1] += 1  # far from the middle
    assert looked(model, changed)
    assert looked(model, pixels)  # one image is kept, not several
    assert looked(model, pixels, views=True)
    other = ANY.make_model("objects")
    with np.errstate(all="ignore"):
        other.network.head.bias.data[0] += 1
    assert looked(other, pixels)
    # A piece is no image.
    source = ImageSource((pixels,), "YX")
    exhaust(predict(model, source, memory=memory, **EXACT))
    computed.clear()
    exhaust(predict(model, source, region=((8, 50), (0, 40)), memory=memory, **EXACT))
    assert computed


def test_a_stopped_run_goes_on_with_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    monkeypatch.setitem(predictor.MAX_BATCH_VOXELS, "cpu", 1)
    model, pixels = ANY.make_model("objects"), ANY.image((4, 90, 70))
    source = ImageSource((pixels,), "TYX")
    memory, events = MapMemory(), []
    exhaust(
        predict(model, source, memory=memory, stop=lambda: len(events) > 1, **EXACT),
        events.append,
    )
    some = sum(computed)
    assert 0 < some < 4
    computed.clear()
    found = exhaust(predict(model, source, memory=memory, **EXACT)).labels
    assert 0 < sum(computed) < 4
    np.testing.assert_array_equal(
        found, exhaust(predict(model, source, **EXACT)).labels
    )


def test_large_images_and_classes_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    memory, source = MapMemory(), ImageSource((ANY.image((90, 70)),), "YX")
    for _ in range(2):
        computed.clear()
        exhaust(predict(ANY.make_model("classes"), source, memory=memory, **EXACT))
        assert computed
    monkeypatch.setattr(known_maps, "MOST_VOXELS", 6000)
    for _ in range(2):
        computed.clear()
        exhaust(predict(ANY.make_model("objects"), source, memory=memory, **EXACT))
        assert computed


def test_objects_are_cut_anew_from_a_store_of_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    monkeypatch.setattr(grids, "BLOCK", {2: (64, 64), 3: (16, 32, 32)})
    monkeypatch.setattr(grids, "MARGIN", {2: 24, 3: 10})
    monkeypatch.setattr(label_store, "CHUNK", {2: (32, 32), 3: (8, 16, 16)})
    model = ANY.make_model("objects")
    source = ImageSource((ANY.image((2, 150, 141)),), "TYX", (0.5, 0.5), "micrometer")
    maps = maps_path(tmp_path, "maps", model, source)
    first = tmp_path / "first.zarr"
    exhaust(predict_to_store(model, source, first, maps=maps, **EXACT))
    written = {p: p.stat().st_mtime_ns for p in maps.rglob("c/*/*/*/*")}
    assert written
    assert maps_path(tmp_path, "maps", model, source) == maps
    # Other settings find the same maps …
    computed.clear()
    other = tmp_path / "other.zarr"
    result = exhaust(
        predict_to_store(model, source, other, maps=maps, objects=OTHER, **EXACT)
    )
    assert result.complete
    assert result.maps == maps
    assert not computed
    assert {p: p.stat().st_mtime_ns for p in maps.rglob("c/*/*/*/*")} == written
    # … and hold what the network would have given, but for rounding.
    wanted = exhaust(predict(model, source, objects=OTHER, **EXACT)).labels
    found = np.asarray(read_labels(other))
    assert result.objects is not None
    assert abs(result.objects - wanted.max()) <= 1
    assert ((found > 0) == (wanted > 0)).mean() > 0.999
    # Another model has maps of its own.
    deeper = ANY.make_model("objects")
    deeper.network.head.bias.data[0] += 1
    assert maps_path(tmp_path, "maps", deeper, source) != maps
    with pytest.raises(DataError, match="holds something else"):
        exhaust(predict_to_store(deeper, source, tmp_path / "x", maps=maps, **EXACT))
