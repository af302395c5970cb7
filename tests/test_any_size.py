"""Predictions in pieces: the same labels from every route, and nothing done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from numpy.typing import NDArray

from napari_unet.config import Task
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.image_io import label_store, read_image, read_labels
from napari_unet.image_io.label_store import store_note
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.workflows import (
    TileDone,
    exhaust,
    grids,
    predict,
    predict_to_store,
)
from napari_unet.workflows.store_sink import parts_folder

CONVOLUTIONS = (
    torch.nn.Conv2d,
    torch.nn.Conv3d,
    torch.nn.ConvTranspose2d,
    torch.nn.ConvTranspose3d,
)
EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32"}


def make_model(task: Task, ndim: int = 2, n_channels: int = 1) -> Model:
    """A model whose maps follow the brightness: no training, and yet objects."""
    network = NetworkInfo(
        name="unet",
        arguments={
            "n_in": n_channels,
            "n_out": 2,
            "channels": [4, 4],
            "strides": [[2] * ndim],
            "kernels": [[3] * ndim] * 2,
            "convolutions": [1, 1],
            "stem": [1] * ndim,
        },
    )
    torch.manual_seed(0)
    net: Any = build_network(network).eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, CONVOLUTIONS):
                module.weight.mul_(0.02)
        first, head = net.decoder[0][0][0], net.head
        block = net.encoder[0][0]
        centre = (1,) * ndim
        block[0].weight[0, :, :] = 0
        block[0].weight[(0, 0, *centre)] = 1
        first.weight[(0, 0, *centre)] = 1
        head.weight[:, 0] = torch.tensor([20.0, 20.0]).reshape(2, *(1,) * ndim)
        head.bias[:] = torch.tensor([-8.0, -14.0])
        if task == "classes":
            head.weight[0, 0] = 0
            head.bias[:] = torch.tensor([0.0, -8.0])
    return Model(
        net,
        ModelInfo(
            name="bright",
            task=task,
            spatial="ZYX"[3 - ndim :],
            n_channels=n_channels,
            classes=object_classes(1) if task == "objects" else make_classes([0, 3], 0),
            network=network,
            decoder=DecoderInfo(min_size=6) if task == "objects" else None,
        ),
    )


def image(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint16]:
    """Bright bumps, some of which touch."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    out = np.zeros(shape)
    for _ in range(int(np.prod(shape) ** (2 / len(shape)) / 90)):
        centre = [rng.integers(0, n) for n in shape]
        squared = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        out = np.maximum(out, np.exp(-squared / rng.integers(8, 30)))
    return (out * 3000 + rng.normal(200, 20, shape)).clip(0).astype(np.uint16)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "BLOCK", {2: (64, 64), 3: (16, 32, 32)})
    monkeypatch.setattr(grids, "MARGIN", {2: 24, 3: 10})
    monkeypatch.setattr(label_store, "CHUNK", {2: (32, 32), 3: (8, 16, 16)})


def same_partition(a: NDArray[Any], b: NDArray[Any]) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    one_to_one = len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))
    return one_to_one and bool(((a > 0) == (b > 0)).all())


def stored(path: Path) -> NDArray[Any]:
    return np.asarray(read_labels(path))


@pytest.mark.parametrize("task", ["classes", "objects"])
@pytest.mark.parametrize(
    ("shape", "axes", "ndim"),
    [((150, 141), "YX", 2), ((3, 90, 70), "TYX", 2), ((40, 50, 66), "ZYX", 3)],
)
def test_the_store_holds_what_memory_holds(
    tmp_path: Path, task: Task, shape: tuple[int, ...], axes: str, ndim: int
) -> None:
    model, pixels = make_model(task, ndim), image(shape)
    source = ImageSource((pixels,), axes, voxel_size=(0.5,) * ndim, unit="micrometer")
    whole = exhaust(predict(model, source, **EXACT)).labels
    assert whole.max() > (0 if task == "classes" else 3)
    path = tmp_path / "labels.ome.zarr"
    result = exhaust(predict_to_store(model, source, path, **EXACT))
    assert result.complete
    assert not parts_folder(path).exists()
    found = stored(path)
    assert found.shape == whole.shape
    if task == "classes":
        np.testing.assert_array_equal(found, whole)
        assert found.dtype == np.uint8
    else:
        assert result.objects == max(
            len(np.unique(w)) - 1 for w in (whole if axes == "TYX" else [whole])
        )
        for a, b in zip(
            *((found, whole) if axes == "TYX" else ([found], [whole])), strict=True
        ):
            assert same_partition(a, b)
            assert set(np.unique(a)) == set(range(a.max() + 1))
    again = read_image(path)
    assert again.axes == axes
    assert again.voxel_size[-2:] == (0.5, 0.5)
    assert again.unit == "micrometer"


def test_in_memory_large_samples_go_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, source = make_model("objects"), ImageSource((image((170, 150)),), "YX")
    whole = exhaust(predict(model, source, **EXACT)).labels
    monkeypatch.setattr(grids, "WHOLE_VOXELS", 1000)
    blocks = exhaust(predict(model, source, **EXACT)).labels
    assert same_partition(whole, blocks)
    part = exhaust(predict(model, source, region=((20, 150), (11, 140)), **EXACT))
    assert part.labels.max() > 3


@pytest.mark.parametrize("task", ["classes", "objects"])
def test_stopped_runs_go_on_at_the_first_missing_block(
    tmp_path: Path, task: Task
) -> None:
    model, source = make_model(task), ImageSource((image((200, 190)),), "YX")
    path, whole = tmp_path / "a.zarr", tmp_path / "b.zarr"
    exhaust(predict_to_store(model, source, whole, **EXACT))
    seen: list[Any] = []
    result = exhaust(
        predict_to_store(model, source, path, stop=lambda: len(seen) >= 3, **EXACT),
        seen.append,
    )
    assert not result.complete
    note = store_note(path)
    assert note is not None
    assert not note["complete"]
    seen.clear()
    result = exhaust(predict_to_store(model, source, path, **EXACT), seen.append)
    assert result.complete
    tiles = [e for e in seen if isinstance(e, TileDone)]
    assert tiles[-1].done == tiles[-1].total < 16
    np.testing.assert_array_equal(stored(path), stored(whole))
    # Nothing is left to do.
    seen.clear()
    assert exhaust(predict_to_store(model, source, path, **EXACT), seen.append).complete
    assert not seen


def test_a_stop_while_stitching_loses_nothing(tmp_path: Path) -> None:
    model, source = make_model("objects"), ImageSource((image((200, 190)),), "YX")
    path, whole = tmp_path / "a.zarr", tmp_path / "b.zarr"
    exhaust(predict_to_store(model, source, whole, **EXACT))
    last = False
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += last
        return asked > 22

    events = predict_to_store(model, source, path, stop=stop, **EXACT)
    result = None
    while result is None:
        try:
            event = next(events)
            last = isinstance(event, TileDone) and event.done == event.total
        except StopIteration as end:
            result = end.value
    assert not result.complete
    assert exhaust(predict_to_store(model, source, path, **EXACT)).complete
    np.testing.assert_array_equal(stored(path), stored(whole))


def test_another_result_is_not_overwritten(tmp_path: Path) -> None:
    source = ImageSource((image((80, 90)),), "YX")
    path = tmp_path / "a.zarr"
    exhaust(predict_to_store(make_model("classes"), source, path, **EXACT))
    other = make_model("objects")
    with pytest.raises(DataError, match="holds something else"):
        exhaust(predict_to_store(other, source, path, **EXACT))
    assert stored(path).max() == 3
    exhaust(predict_to_store(other, source, path, overwrite=True, **EXACT))
    assert stored(path).max() > 3
    foreign = tmp_path / "mine.zarr"
    zarr.create_array(str(foreign), shape=(4, 4), dtype="u1")
    with pytest.raises(DataError, match="holds something else"):
        exhaust(predict_to_store(other, source, foreign, overwrite=True, **EXACT))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_labels_lie_in_the_group_of_their_image(
    tmp_path: Path, zarr_format: int
) -> None:
    pixels = image((100, 80))
    group = zarr.create_group(str(tmp_path / "a.ome.zarr"), zarr_format=zarr_format)
    group.create_array("0", data=pixels, chunks=(32, 32))
    multiscale = {
        "axes": [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [0.2, 0.2]}],
            }
        ],
    }
    if zarr_format == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **multiscale}]
    source = read_image(tmp_path / "a.ome.zarr")
    path = tmp_path / "a.ome.zarr" / "labels" / "bright"
    exhaust(
        predict_to_store(
            make_model("classes"),
            source,
            path,
            image="../../",
            zarr_format=zarr_format,
            **EXACT,
        )
    )
    reopened = zarr.open_group(str(tmp_path / "a.ome.zarr" / "labels"), mode="r")
    assert reopened.metadata.zarr_format == zarr_format
    attributes = dict(reopened.attrs)
    assert attributes.get("ome", attributes)["labels"] == ["bright"]
    attributes = dict(reopened["bright"].attrs)
    attributes = attributes.get("ome", attributes)
    assert attributes["image-label"]["source"] == {"image": "../../"}
    assert attributes["image-label"]["properties"][0]["label-value"] == 3
    assert (np.asarray(reopened["bright/0"]) > 0).any()
    assert read_image(path).voxel_size == (0.2, 0.2)


def test_large_planes_get_smaller_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet.image_io.label_store.SMALL_PLANE", 50)
    monkeypatch.setattr("napari_unet.image_io.label_store.LEAST_CHUNK", 4)
    source = ImageSource((image((170, 141)),), "YX")
    path = tmp_path / "a.zarr"
    exhaust(predict_to_store(make_model("objects"), source, path, **EXACT))
    group = zarr.open_group(str(path), mode="r")
    full = np.asarray(group["0"])
    for level in (1, 2):
        step = 2**level
        np.testing.assert_array_equal(
            np.asarray(group[str(level)]), full[::step, ::step]
        )


def test_several_views_say_where_they_disagree() -> None:
    model, pixels = make_model("classes"), image((90, 72))
    source = ImageSource((pixels,), "YX")
    torch.manual_seed(1)
    for parameter in model.network.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    once = exhaust(predict(model, source, probabilities=True, **EXACT))
    views = exhaust(predict(model, source, probabilities=True, views=True, **EXACT))
    assert views.maps[-1] == "disagreement of views"
    assert views.probabilities is not None
    assert once.probabilities is not None
    assert views.probabilities.shape == (3, 90, 72)
    assert 0 < views.probabilities[2].max() <= 0.5
    np.testing.assert_allclose(
        views.probabilities[:2].astype(np.float32).sum(axis=0), 1, atol=2e-3
    )
    # A turned image gives the turned answer, which one view alone does not promise.
    turned = ImageSource((np.ascontiguousarray(np.rot90(pixels)),), "YX")
    other = exhaust(predict(model, turned, probabilities=True, views=True, **EXACT))
    assert other.probabilities is not None
    np.testing.assert_allclose(
        other.probabilities.astype(np.float32),
        np.rot90(views.probabilities, axes=(1, 2)).astype(np.float32),
        atol=5e-3,
    )


def test_twelve_bands() -> None:
    """A stack as satellites take it: bands last, one class brighter in one of them."""
    rng = np.random.default_rng(0)
    bands = rng.integers(100, 200, (70, 60, 12)).astype(np.uint16)
    bands[20:40, 10:50, 0] += 3000
    model = make_model("classes", n_channels=12)
    source = ImageSource((bands,), "YXC")
    labels = exhaust(predict(model, source, **EXACT)).labels
    assert (labels[22:38, 12:48] == 3).all()
    assert (labels[:15] == 0).all()
    with pytest.raises(DataError, match="12 channels"):
        exhaust(predict(model, ImageSource((bands[..., :5],), "YXC"), **EXACT))


def test_a_region_of_a_stack_goes_where_it_is_wanted() -> None:
    model = make_model("classes")
    source = ImageSource((image((3, 90, 80)),), "ZYX", ndim=2)
    whole = exhaust(predict(model, source, **EXACT)).labels
    box = ((13, 70), (5, 61))
    part = exhaust(predict(model, source, samples=[2], region=box, **EXACT))
    np.testing.assert_array_equal(part.labels[0], whole[2, 13:70, 5:61])


def test_channels_of_two_arrays_are_read_together() -> None:
    model = replace(make_model("classes", n_channels=2))
    pixels = image((60, 50))
    source = ImageSource((pixels, pixels // 2), "YX")
    assert exhaust(predict(model, source, **EXACT)).labels.max() == 3
