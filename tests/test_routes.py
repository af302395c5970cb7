"""The same labels by every way into and out of a prediction."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from napari_unet.batch import (
    PROBABILITIES,
    BatchOptions,
    BatchRow,
    find_inputs,
    plan_batch,
    run_batch,
)
from napari_unet.data.source import ImageSource
from napari_unet.image_io import label_store, read_image, read_labels
from napari_unet.image_io import tiff as tiff_module
from napari_unet.workflows import exhaust, grids, predict, predict_to_store
from napari_unet.workflows.preparation import pixel_size_advice

HOW: dict[str, Any] = {"device": "cpu", "precision": "float32"}
SIZE = {"voxel_size": [0.5, 0.5], "unit": "micrometer"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "BLOCK", {2: (64, 64)})
    monkeypatch.setattr(grids, "MARGIN", {2: 24})
    monkeypatch.setattr(label_store, "CHUNK", {2: (32, 32)})


@pytest.fixture(scope="module")
def any_size() -> Any:
    path = Path(__file__).with_name("test_any_size.py")
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_ome_zarr(
    path: Path, pixels: NDArray[Any], size: float = 0.5, zarr_format: Any = 3
) -> Path:
    group = zarr.create_group(str(path), zarr_format=zarr_format)
    group.create_array("0", data=pixels, chunks=(50,) * pixels.ndim)
    scale = {"type": "scale", "scale": [size] * pixels.ndim}
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    multiscale = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
    }
    if zarr_format == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **multiscale}]
    return path


def batch(model: Any, image: Path, out: Path, **more: Any) -> BatchRow:
    separate = more.pop("separate", False)
    items = plan_batch(find_inputs([image]), out, separate=separate)
    how = {**HOW, **more.pop("how", {})}
    options = BatchOptions(how=how, name="my cells", **more)
    (row,) = exhaust(run_batch(model, "model", items, out, options))
    return row


@pytest.mark.parametrize("task", ["classes", "objects"])
def test_every_route_gives_the_same_labels(
    tmp_path: Path, any_size: Any, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pixels = any_size.make_model(task), any_size.image((150, 141))
    whole = exhaust(predict(model, ImageSource((pixels,), "YX"), **HOW)).labels
    assert whole.max() > 2

    def same(found: Any) -> bool:
        if task == "classes":
            return bool((np.asarray(found) == whole).all())
        return bool(any_size.same_partition(np.asarray(found), whole))

    lazy = ImageSource((da.from_array(pixels, chunks=40),), "YX")
    assert same(exhaust(predict(model, lazy, **HOW)).labels)
    monkeypatch.setattr(tiff_module, "DECODED_BYTES", 1000)
    for name, options in {
        "plain.tif": {},
        "strips.tif": {"compression": "zlib", "rowsperstrip": 3},
        "tiles.tif": {"compression": "zlib", "tile": (32, 32)},
        "large.ome.tif": {"bigtiff": True},
    }.items():
        tifffile.imwrite(tmp_path / name, pixels, **options)
        row = batch(model, tmp_path / name, tmp_path / "out")
        assert row.status == "done"
        assert same(read_labels(row.result)), name
    zarr.create_array(str(tmp_path / "a.zarr"), data=pixels, chunks=(40, 40))
    row = batch(model, tmp_path / "a.zarr", tmp_path / "out", store=True)
    assert same(read_labels(row.result))
    ome = write_ome_zarr(tmp_path / "b.ome.zarr", pixels)
    row = batch(model, ome, tmp_path / "out")
    assert Path(row.result) == (ome / "labels" / "my_cells").resolve()
    assert same(read_labels(row.result))
    row = batch(model, ome, tmp_path / "out", separate=True)
    assert Path(row.result).parent == (tmp_path / "out").resolve()
    assert same(read_labels(row.result))


@pytest.mark.slow
def test_a_cluster_gives_the_same_labels_and_maps(
    tmp_path: Path, any_size: Any
) -> None:
    pytest.importorskip("distributed", reason="'distributed' is not installed")
    from napari_unet.workflows.cluster import connect, predict_on_cluster

    pixels = any_size.image((150, 141))
    tifffile.imwrite(
        tmp_path / "strips.tif", pixels, compression="zlib", rowsperstrip=3
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiff_module, "DECODED_BYTES", 1000)
        source = read_image(tmp_path / "strips.tif")
    model = any_size.make_model("objects")
    path = model.save(tmp_path / "model.zip")
    one, two = tmp_path / "one", tmp_path / "two"
    exhaust(predict_to_store(model, source, one / "l.zarr", maps=one / "m.zarr", **HOW))
    with connect(None, 1) as client:
        events = predict_on_cluster(
            client, path, source, two / "l.zarr", maps=two / "m.zarr", **HOW
        )
        assert exhaust(events).complete
    for name in ("l.zarr", "m.zarr"):
        found = [np.asarray(zarr.open_group(str(p / name))["0"]) for p in (one, two)]
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_labels_of_an_image_never_replace_others(
    tmp_path: Path, any_size: Any, zarr_format: int
) -> None:
    pixels = any_size.image((90, 80))
    ome = write_ome_zarr(tmp_path / "b.ome.zarr", pixels, zarr_format=zarr_format)
    out = tmp_path / "out"
    first = batch(any_size.make_model("classes"), ome, out)
    other = batch(any_size.make_model("objects"), ome, out, overwrite=True)
    again = batch(any_size.make_model("classes"), ome, out)
    names = [Path(r.result).name for r in (first, other, again)]
    assert names == ["my_cells", "my_cells-2", "my_cells"]
    group = zarr.open_group(str(ome / "labels"), mode="r")
    assert group.metadata.zarr_format == zarr_format
    attributes = dict(group.attrs)
    assert attributes.get("ome", attributes)["labels"] == ["my_cells", "my_cells-2"]
    assert read_image(first.result).voxel_size == (0.5, 0.5)
    # As many resolutions as the image has, as OME-NGFF wants it.
    assert list(zarr.open_group(first.result).array_keys()) == ["0"]
    # The image itself is as it was.
    np.testing.assert_array_equal(read_image(ome).read(0)[0], pixels)


def test_maps_of_a_store_lie_beside_it(tmp_path: Path, any_size: Any) -> None:
    model, pixels = any_size.make_model("classes"), any_size.image((2, 90, 70))
    source = ImageSource((pixels,), "TYX", (0.5, 0.5), "micrometer")
    wanted = exhaust(predict(model, source, probabilities=True, views=True, **HOW))
    labels, maps = tmp_path / "l.zarr", tmp_path / "m.zarr"
    # Labels alone first: their blocks are done once more when maps are wanted, too.
    exhaust(predict_to_store(model, source, labels, views=True, **HOW))
    result = exhaust(
        predict_to_store(model, source, labels, maps=maps, views=True, **HOW)
    )
    assert result.complete
    assert result.maps == maps
    found = np.asarray(zarr.open_group(str(maps))["0"])
    assert found.shape == (2, 3, 90, 70)
    np.testing.assert_array_equal(found.swapaxes(0, 1), wanted.probabilities)
    ome = dict(zarr.open_group(str(maps)).attrs)["ome"]
    assert [a["name"] for a in ome["multiscales"][0]["axes"]] == list("tcyx")
    assert [c["label"] for c in ome["omero"]["channels"]] == wanted.maps
    assert "image-label" not in ome
    image = read_image(maps)
    assert (image.axes, image.n_channels) == ("TCYX", 3)


def test_a_batch_writes_maps_of_stores(tmp_path: Path, any_size: Any) -> None:
    ome = write_ome_zarr(tmp_path / "b.ome.zarr", any_size.image((90, 80)))
    out = tmp_path / "out"
    row = batch(any_size.make_model("objects"), ome, out, probabilities=True)
    assert row.objects
    maps = read_image(out / PROBABILITIES / "b.ome.zarr")
    assert maps.labels_shape == (90, 80)
    assert maps.n_channels == 2


@pytest.mark.parametrize("task", ["classes", "objects"])
def test_predicted_at_the_models_pixel_size(
    tmp_path: Path, any_size: Any, task: str
) -> None:
    model = any_size.make_model(task)
    model.info = model.info.model_copy(update=SIZE)
    pixels = any_size.image((120, 110))
    fine = pixels.repeat(2, axis=0).repeat(2, axis=1)
    source = ImageSource((fine,), "YX", (0.25, 0.25), "micrometer")
    same = ImageSource((pixels,), "YX", (0.5, 0.5), "micrometer")
    advice = pixel_size_advice(model.info, source)
    assert advice is not None
    assert "2 times as large" in advice
    assert "--resample" in advice
    labels = exhaust(predict(model, source, resample=True, **HOW)).labels
    wanted = exhaust(predict(model, same, **HOW)).labels
    assert labels.shape == fine.shape
    if task == "objects":
        # Each object is found once, and four times as large.
        assert labels.max() == pytest.approx(wanted.max(), rel=0.05)
        sizes = [np.bincount(a.ravel())[1:].sum() for a in (labels, wanted)]
        assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.15)
    else:
        assert (labels == wanted.repeat(2, axis=0).repeat(2, axis=1)).mean() > 0.97
    # In blocks, with a stop between, it is the same.
    path, seen = tmp_path / "l.zarr", []
    exhaust(
        predict_to_store(
            model, source, path, resample=True, stop=lambda: len(seen) > 4, **HOW
        ),
        seen.append,
    )
    assert exhaust(predict_to_store(model, source, path, resample=True, **HOW)).complete
    found = np.asarray(read_labels(path))
    if task == "classes":
        np.testing.assert_array_equal(found, labels)
    else:
        assert any_size.same_partition(found, labels)
    region = ((30, 171), (11, 200))
    part = exhaust(predict(model, source, region=region, resample=True, **HOW)).labels
    if task == "classes":
        np.testing.assert_array_equal(part[0], labels[30:171, 11:200])


def test_images_without_a_pixel_size_are_told(tmp_path: Path, any_size: Any) -> None:
    model = any_size.make_model("classes")
    model.info = model.info.model_copy(update=SIZE)
    tifffile.imwrite(tmp_path / "a.tif", any_size.image((60, 50)))
    row = batch(model, tmp_path / "a.tif", tmp_path / "out", how={"resample": True})
    assert row.status == "skipped"
    assert "The pixel size of 'a' is not known" in row.reason


def test_values_in_a_store_are_missing_until_they_are_made(
    tmp_path: Path, any_size: Any
) -> None:
    model = any_size.make_model("classes")
    update = {"task": "regression", "classes": []}
    model.info = model.info.model_copy(update=update)
    model.network.head = type(model.network.head)(4, 1, 1)
    ome = write_ome_zarr(tmp_path / "b.ome.zarr", any_size.image((150, 141)))
    source = read_image(ome)
    path, seen = tmp_path / "v.zarr", []
    exhaust(
        predict_to_store(model, source, path, stop=lambda: len(seen) > 3, **HOW),
        seen.append,
    )
    half = np.asarray(zarr.open_group(str(path))["0"])
    assert half.dtype == np.float32
    assert 0 < np.isnan(half).mean() < 1
    assert exhaust(predict_to_store(model, source, path, **HOW)).complete
    whole = exhaust(predict(model, source, **HOW)).labels
    # Tiles differ, and with them how sums are rounded.
    found = np.asarray(zarr.open_group(str(path))["0"])
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert "image-label" not in dict(zarr.open_group(str(path)).attrs)["ome"]
    # Values are no labels, and stay out of the image's group.
    row = batch(model, ome, tmp_path / "out", separate=True)
    assert row.result.endswith("b.tif")
