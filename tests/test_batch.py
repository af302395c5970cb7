"""Many images: what is found, what is skipped and why, and going on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

import napari_unet
from napari_unet.batch import (
    REPORT,
    BatchOptions,
    BatchRow,
    ImageBegun,
    find_inputs,
    finished,
    plan_batch,
    read_report,
    run_batch,
    write_report,
)
from napari_unet.errors import DataError
from napari_unet.image_io import read_labels
from napari_unet.models.model import Model
from napari_unet.workflows import exhaust

HOW = {"device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def any_size() -> Any:
    path = Path(__file__).with_name("test_any_size.py")
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, any_size: Any) -> Path:
    for number in (1, 2, 10):
        path = tmp_path / "in" / f"cell{number}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, any_size.image((60, 50), number))
    return tmp_path / "in"


def batch(model: Model, folder: Path, out: Path, **more: Any) -> list[BatchRow]:
    items = plan_batch(find_inputs([folder]), out, store=more.pop("store", False))
    done = finished(items, out, "model")
    options = BatchOptions(how=HOW, **more)
    return exhaust(run_batch(model, "model", items, out, options, done=done))


def test_files_folders_and_patterns_are_found_once(folder: Path) -> None:
    names = [p.name for p in find_inputs([folder])]
    assert names == ["cell1.tif", "cell2.tif", "cell10.tif"]
    both = find_inputs([folder / "cell2.tif", str(folder / "cell1*.tif"), folder])
    assert [p.name for p in both] == ["cell2.tif", "cell1.tif", "cell10.tif"]
    with pytest.raises(DataError, match="No image is named like"):
        find_inputs([str(folder / "*.czi")])


def test_one_bad_image_is_reported_and_the_others_go_on(
    folder: Path, tmp_path: Path, any_size: Any
) -> None:
    (folder / "cell2.tif").write_bytes(b"II*\0 no image")
    out = tmp_path / "out"
    rows = batch(any_size.make_model("objects"), folder, out)
    assert [r.status for r in rows] == ["done", "skipped", "done"]
    assert "cell2.tif is damaged" in rows[1].reason
    assert read_report(out / REPORT) == rows
    assert rows[0].objects == np.asarray(read_labels(out / "cell1.tif")).max()
    assert not (out / "cell2.tif").exists()


def test_what_is_done_is_left_alone_and_what_failed_is_tried_again(
    folder: Path, tmp_path: Path, any_size: Any
) -> None:
    model, out = any_size.make_model("classes"), tmp_path / "out"
    good = (folder / "cell2.tif").read_bytes()
    (folder / "cell2.tif").write_bytes(b"II*\0 no image")
    batch(model, folder, out)
    first = (out / "cell1.tif").stat().st_mtime_ns
    (folder / "cell2.tif").write_bytes(good)
    rows = batch(model, folder, out)
    assert {r.status for r in rows} == {"done"}
    assert len(rows) == 3
    assert (out / "cell1.tif").stat().st_mtime_ns == first
    # Another model has done nothing yet, and a lost result is made again.
    items = plan_batch(find_inputs([folder]), out)
    assert finished(items, out, "another model") == []
    (out / "cell1.tif").unlink()
    assert len(finished(items, out, "model")) == 2


def test_stores_hold_the_same_labels_as_files(
    folder: Path, tmp_path: Path, any_size: Any
) -> None:
    model = any_size.make_model("classes")
    batch(model, folder, tmp_path / "files")
    rows = batch(model, folder, tmp_path / "stores", store=True)
    for row in rows:
        assert row.result.endswith(".ome.zarr")
        name = Path(row.image).with_suffix(".tif").name
        np.testing.assert_array_equal(
            np.asarray(read_labels(row.result)),
            np.asarray(read_labels(tmp_path / "files" / name)),
        )


def test_a_stopped_image_is_not_called_done(
    folder: Path, tmp_path: Path, any_size: Any
) -> None:
    items = plan_batch(find_inputs([folder]), tmp_path)
    events: list[Any] = []
    rows = exhaust(
        run_batch(
            any_size.make_model("classes"),
            "model",
            items,
            tmp_path,
            BatchOptions(how=HOW),
            stop=lambda: any(isinstance(e, ImageBegun) for e in events),
        ),
        events.append,
    )
    assert [r.status for r in rows] == ["stopped"]
    assert not items[0].target.exists()


def test_results_never_replace_images_or_each_other(folder: Path) -> None:
    with pytest.raises(DataError, match="would replace an image"):
        plan_batch(find_inputs([folder]), folder)
    zarr.create_array(str(folder / "cell1.zarr"), data=np.zeros((9, 9)))
    with pytest.raises(DataError, match="would both become"):
        plan_batch(find_inputs([folder]), folder / "out")


def test_a_foreign_report_is_no_report(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text("a,b\n1,2\n")
    assert read_report(tmp_path / REPORT) == []
    row = BatchRow("/a,b.tif", "/out/a.tif", "skipped", 'says "no", twice\n', None, 1.5)
    write_report(tmp_path / REPORT, [row])
    assert read_report(tmp_path / REPORT) == [row]


def test_the_resolution_that_the_model_knows_is_taken(
    tmp_path: Path, any_size: Any
) -> None:
    model = any_size.make_model("classes")
    info = model.info.model_copy(update={"voxel_size": [0.9] * 2, "unit": "micrometer"})
    model.info = info
    group = zarr.create_group(str(tmp_path / "in" / "a.ome.zarr"))
    datasets = []
    for level, edge in enumerate((80, 40, 20)):
        group.create_array(str(level), data=any_size.image((edge, edge)))
        scale = [0.5 * 2**level] * 2
        transform = {"type": "scale", "scale": scale}
        datasets.append({"path": str(level), "coordinateTransformations": [transform]})
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    (row,) = batch(model, tmp_path / "in", tmp_path / "out")
    assert np.asarray(read_labels(row.result)).shape == (40, 40)
    whole = np.asarray(read_labels(row.result))
    # So it is from Python.
    path = tmp_path / "in" / "a.ome.zarr"
    np.testing.assert_array_equal(napari_unet.predict(model, path, **HOW), whole)
    # A mask of the full resolution fits.
    mask = np.zeros((80, 80), np.uint8)
    mask[:40] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    masked = batch(
        model, tmp_path / "in", tmp_path / "masked", masks=tmp_path / "mask.tif"
    )
    found = np.asarray(read_labels(masked[0].result))
    np.testing.assert_array_equal(found[:20], whole[:20])
    assert not found[20:].any()
    # Without a known size it is the full resolution.
    model.info = info.model_copy(update={"unit": "pixel"})
    (row,) = batch(model, tmp_path / "in", tmp_path / "other")
    assert np.asarray(read_labels(row.result)).shape == (80, 80)
