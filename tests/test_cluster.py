"""Several processes make one store, and one of them dies."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile
import zarr

from napari_unet.errors import ConfigError, DataError
from napari_unet.image_io import label_store, read_image, read_labels, tiff
from napari_unet.image_io.store import PixelSize
from napari_unet.prediction.nearest import NearestArray
from napari_unet.workflows import TileDone, exhaust, grids, predict_to_store

pytest.importorskip("distributed", reason="the extra 'distributed' is not installed")

from napari_unet.data.source import ImageSource
from napari_unet.workflows.cluster import SharedSource, connect, predict_on_cluster


def _helpers() -> Any:
    """The model and image of the tests of any size."""
    path = Path(__file__).with_name("test_any_size.py")
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_only_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_size = _helpers()
    monkeypatch.setattr(grids, "BLOCK", {2: (64, 64)})
    monkeypatch.setattr(grids, "MARGIN", {2: 24})
    monkeypatch.setattr(label_store, "CHUNK", {2: (64, 64)})
    model = any_size.make_model("objects")
    path = model.save(tmp_path / "m.bioimage.io.zip")
    pixels = any_size.image((300, 280))
    zarr.create_array(str(tmp_path / "i.zarr"), data=pixels, chunks=(64, 64))
    source = read_image(tmp_path / "i.zarr", "YX")
    alone = tmp_path / "alone.zarr"
    exhaust(predict_to_store(model, source, alone, **any_size.EXACT))
    killed: list[int] = []
    with connect(None, 2) as client:
        addresses = list(client.scheduler_info()["workers"])
        assert all("127.0.0.1" in a for a in addresses)

        def kill(event: TileDone) -> None:
            if event.done == 3 and not killed:
                pids = client.run(os.getpid)
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        result = exhaust(
            predict_on_cluster(
                client, path, source, tmp_path / "l.zarr", **any_size.EXACT
            ),
            kill,
        )
    assert killed
    assert result.complete
    found = np.asarray(read_labels(tmp_path / "l.zarr"))
    assert result.objects == found.max() > 20
    np.testing.assert_array_equal(found, np.asarray(read_labels(alone)))


def test_images_in_memory_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be read by several workers"):
        SharedSource.of(ImageSource((np.zeros((4, 5)),), "YX"))


def test_workers_open_the_same_resolution_and_masks_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "DECODED_BYTES", 1000)
    pixels = np.random.default_rng(0).integers(0, 9000, (128, 96), np.uint16)
    scale = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "axes": "YX"}
    options: dict[str, Any] = {"tile": (32, 32), "compression": "zlib"}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(pixels, subifds=1, metadata=scale, **options)
        file.write(pixels[::2, ::2], subfiletype=1, **options)
    near = PixelSize(0.5, "micrometer")
    source = read_image(tmp_path / "a.ome.tif", near=near)
    opened = SharedSource.of(source).open()
    np.testing.assert_array_equal(opened.read(0)[0], pixels[::2, ::2])
    zarr.create_array(str(tmp_path / "mask.zarr"), data=(pixels > 4000).astype("u1"))
    whole = zarr.open_array(str(tmp_path / "mask.zarr"), mode="r")
    mask = ImageSource((NearestArray(whole, (64, 48)),), "YX")
    seen = SharedSource.of(mask).open().read(0)[0]
    np.testing.assert_array_equal(seen, (pixels > 4000)[1::2, 1::2])


def test_workers_open_what_the_files_hold(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    np.save(tmp_path / "a.npy", pixels)
    zarr.create_array(str(tmp_path / "b.zarr"), data=pixels[None], chunks=(1, 1, 2, 2))
    for name, axes in (("a.npy", "ZYX"), ("b.zarr", "ZYX")):
        shared = SharedSource.of(read_image(tmp_path / name, axes))
        opened = shared.open()
        np.testing.assert_array_equal(opened.read(0), pixels[None])
        assert hash(shared) == hash(SharedSource.of(opened))


def test_workers_that_do_not_answer_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr("distributed.LocalCluster", silent)
    with pytest.raises(ConfigError, match="take fewer workers"), connect(None, 2):
        pass


def test_a_wrong_number_of_workers_is_told() -> None:
    with pytest.raises(ConfigError, match="at least 1"), connect(None, 0):
        pass


def test_a_local_cluster_can_be_reached_from_this_computer_alone() -> None:
    """That includes what shows how it works: its pages listen, too."""
    with connect(None, 1):
        this = psutil.Process()
        heard = {
            connection.laddr.ip
            for process in (this, *this.children(recursive=True))
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    assert heard == {"127.0.0.1"}
