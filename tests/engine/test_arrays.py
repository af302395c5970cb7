"""Pixels on their way to the engine and back, with a real process."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.engine import arrays, client, proxies, shared
from napari_unet.engine.arrays import JobArrays, find_reference
from napari_unet.errors import EngineError


def spec_of(array: Any, folder: Path, limit: int = 1 << 30) -> dict[str, Any]:
    job = JobArrays({"image": array}, {}, folder=folder, limit=limit)
    spec: dict[str, Any] = job.share(lambda: False)["inputs"]["image"]
    job.free()
    return spec


DTYPES = ["?", "u1", "i1", "<u2", ">u2", ">i4", "<u8", "f2", ">f4", "f8", ">f8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_cross_in_native_byte_order(bench: Any, dtype: str) -> None:
    image = (np.arange(24).reshape(2, 3, 4) % 7).astype(dtype)
    job = bench.run("total", inputs={"image": image})
    result = job.result["image"]
    assert result["sum"] == image.astype(float).sum()
    assert result["dtype"] == np.dtype(dtype).newbyteorder("=").str
    assert result["native"]
    assert result["shape"] == [2, 3, 4]
    assert result["type"] == "ndarray"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.float32(3), "single number"),
        (np.zeros((0, 5)), "empty"),
        (np.zeros((2, 2), complex), "complex numbers"),
        (np.array(["a", "b"]), "only whole numbers"),
        (np.zeros(3, object), "only whole numbers"),
        (np.zeros(3, "M8[s]"), "only whole numbers"),
        (da.zeros((4, 4), dtype=complex), "complex numbers"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(
    bench: Any, image: Any, words: str
) -> None:
    job = bench.run("total", {"name": "nuclei"}, inputs={"image": image})
    assert job.state == "failed"
    assert words in job.error
    assert "'nuclei'" in job.error
    assert bench.segments() == []


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::2, ::-1],
        lambda a: a.T,
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[0], (3, 5)),
        lambda a: np.ma.masked_array(a),
        lambda a: a.tolist(),
    ],
)
def test_any_memory_layout_crosses(bench: Any, view: Any) -> None:
    image = view(np.arange(20.0).reshape(4, 5))
    job = bench.run("total", inputs={"image": image})
    assert job.result["image"]["sum"] == np.sum(image)
    assert job.result["image"]["shape"] == list(np.shape(image))


@pytest.mark.parametrize("shape", [(1, 1, 3000, 7), (3000, 7), (1, 21000), (2, 10500)])
def test_copies_in_chunks_are_complete(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_CHUNK_BYTES", 1000)
    source = np.arange(21000, dtype=np.int32).reshape(shape)
    target = np.zeros_like(source)
    arrays._copy(target, source, lambda: False)
    np.testing.assert_array_equal(target, source)


def test_outputs_are_shared_until_released(bench: Any) -> None:
    image = np.arange(12, dtype=np.int32).reshape(3, 4)
    job = bench.run(
        "double", inputs={"image": image}, outputs={"out": ((3, 4), "int32")}
    )
    out = job.outputs["out"]
    np.testing.assert_array_equal(out, image * 2)
    assert len(bench.segments()) in (0, 1)  # 0: no folder shows them on this system
    job.release()
    job.release()
    assert job.outputs == {}
    assert bench.segments() == []
    # What somebody still holds stays valid: a layer may show it.
    np.testing.assert_array_equal(out, image * 2)


def test_the_last_view_of_an_output_unmaps_it(tmp_path: Path) -> None:
    block = shared.allocate(1000, tmp_path / "files")
    view = block.array((10, 10), "u1")[2:, 2:]
    name = block.spec["name"]
    del block
    view[...] = 5  # would be a segmentation fault
    assert shared.attach({"kind": "segment", "name": name, "nbytes": 1000})
    del view
    with pytest.raises(FileNotFoundError):
        shared.attach({"kind": "segment", "name": name, "nbytes": 1000})


def test_an_empty_output_is_refused_in_words(bench: Any) -> None:
    job = bench.run("echo", outputs={"labels": ((0, 4), "int32")})
    assert job.state == "failed"
    assert "nothing to compute" in job.error


def test_big_inputs_are_copied_on_a_thread_and_can_be_stopped(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "COPY_AT_ONCE_BYTES", 10)
    image = np.ones((30, 10))
    job = bench.submit(
        "double", inputs={"image": image}, outputs={"out": ((30, 10), "f8")}
    )
    bench.until(lambda: job.ended)
    assert (job.outputs["out"] == 2).all()
    job.release()

    job = bench.submit("answer", inputs={"image": image})
    job.send({"last": True})  # waits for the copy
    bench.until(lambda: job.ended)
    assert bench.named(job, "Heard")

    begun, go_on = threading.Event(), threading.Event()
    copy = arrays._copy

    def slow_copy(*arguments: Any) -> None:
        begun.set()
        go_on.wait(60)
        copy(*arguments)

    monkeypatch.setattr(arrays, "_copy", slow_copy)
    job = bench.submit("total", inputs={"image": image})
    assert begun.wait(60)
    assert job.state == "waiting"
    job.stop()
    go_on.set()
    bench.until(lambda: job.ended)
    assert bench.states(job) == ["stopped"]
    assert bench.segments() == []


def test_too_little_shared_memory_falls_back_to_a_file(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "free_shared_memory", lambda: 0)
    folder = bench.engine._own.folder
    image = np.arange(12, dtype=">u2").reshape(3, 4)
    job = bench.submit(
        "double", inputs={"image": image}, outputs={"out": ((3, 4), "f4")}
    )
    assert len(list(folder.iterdir())) == 2
    bench.until(lambda: job.ended)
    np.testing.assert_array_equal(job.outputs["out"], image * 2.0)
    assert len(list(folder.iterdir())) == 1
    job.release()
    assert list(folder.iterdir()) == []
    bench.engine.close()
    assert not folder.exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux only")
def test_a_full_shared_memory_is_noticed_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared, "_reserve_segment", refuse)
    block = shared.allocate(5000, tmp_path / "files")
    assert block.spec["kind"] == "file"
    assert block.array((5000,), "u1").sum() == 0


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux only")
def test_segments_hold_their_memory_from_the_start(tmp_path: Path) -> None:
    block = shared.allocate(1 << 20, tmp_path)
    assert (Path("/dev/shm") / block.spec["name"]).stat().st_blocks * 512 >= 1 << 20


def test_no_room_at_all_is_a_sentence(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "free_shared_memory", lambda: 0)
    monkeypatch.setattr(shared, "free_disk", lambda folder: 0)
    job = bench.run("echo", outputs={"labels": ((100, 100), "int32")})
    assert job.state == "failed"
    assert "There is no room" in job.error
    job = bench.run("total", {"name": "a"}, inputs={"image": np.ones((9, 9))})
    assert job.state == "failed"
    assert "There is no room" in job.error


def test_a_disk_that_fills_up_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared, "free_shared_memory", lambda: 0)
    monkeypatch.setattr(shared, "_reserve_file", refuse)
    with pytest.raises(EngineError, match="There is no room"):
        shared.allocate(5000, tmp_path / "files")
    assert list((tmp_path / "files").iterdir()) == []


def test_tiff_memmaps_go_by_reference(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    data = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    for byteorder in "<>":
        tifffile.imwrite(path, data, byteorder=byteorder)
        image = tifffile.memmap(path, mode="r")
        for part in (image, image[2:4], image[3]):
            spec = spec_of(part, tmp_path)
            assert spec["way"] == "memmap"
            assert spec["path"] == str(path)
            job = bench.run("total", inputs={"image": part})
            assert job.result["image"]["sum"] == part.astype(float).sum()
            assert job.result["image"]["native"]
        # A view with gaps is no plain piece of the file.
        assert spec_of(image[:, 1:3], tmp_path)["way"] == "block"
    assert bench.segments() == []


def test_a_memmap_beyond_the_first_page_is_found(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    data = np.arange(3_000_000, dtype=np.uint32)
    data.tofile(path)
    image = np.memmap(path, np.uint32, "r", 4 * 123_457, (1000, 2000))
    spec = spec_of(image[17:900], tmp_path)
    assert spec["offset"] == 4 * (123_457 + 17 * 2000)
    job = bench.run("total", inputs={"image": image[17:900]})
    assert job.result["image"]["sum"] == image[17:900].astype(float).sum()


def test_changed_or_replaced_memmaps_are_copied(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    np.arange(100.0).tofile(path)
    private = np.memmap(path, float, "c")
    private[0] = 5
    assert find_reference(private) is None
    image = np.memmap(path, float, "r")
    assert find_reference(image) is not None
    assert find_reference(image + 1) is None
    path.unlink()
    assert find_reference(image) is None
    np.arange(100.0, 200.0).tofile(path)
    assert find_reference(image) is None


def test_zarr_on_disk_goes_by_reference(bench: Any, tmp_path: Path) -> None:
    # Big-endian numbers are something of zarr's older format.
    group = zarr.open_group(tmp_path / "image.zarr", mode="w", zarr_format=2)
    image = group.create_array("s0/labels", shape=(8, 9), chunks=(4, 4), dtype=">u2")
    image[...] = np.arange(72).reshape(8, 9)
    spec = spec_of(image, tmp_path)
    assert (spec["way"], spec["component"]) == ("zarr", "s0/labels")
    job = bench.run("total", inputs={"image": image})
    assert job.result["image"]["sum"] == sum(range(72))
    assert job.result["image"]["type"] == "StoredArray"
    assert job.result["image"]["native"]
    root = zarr.create_array(tmp_path / "root.zarr", data=np.ones((4, 4)))
    assert bench.run("total", inputs={"image": root}).result["image"]["sum"] == 16


def test_zarr_in_memory_is_served(bench: Any) -> None:
    image = zarr.create_array({}, data=np.ones((4, 4)))
    job = bench.run("total", inputs={"image": image})
    assert job.result["image"]["sum"] == 16
    assert job.result["image"]["type"] == "ServedArray"


@pytest.mark.parametrize("there", [None, np.zeros((5, 4)), np.zeros((4, 4), "i2")])
def test_a_reference_that_the_engine_cannot_use_is_served(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: Any
) -> None:
    path = tmp_path / "image.zarr"
    if there is not None:  # the file changed since the viewer opened it
        zarr.create_array(path, data=there)
    wrong = {"way": "zarr", "path": str(path), "component": ""}
    monkeypatch.setattr(arrays, "find_reference", lambda array: wrong)
    job = bench.run("total", inputs={"image": np.ones((4, 4))})
    assert job.result["image"]["sum"] == 16
    assert job.result["image"]["type"] == "ServedArray"


def test_dask_is_served_and_computed_off_the_gui_thread(bench: Any) -> None:
    threads = set()

    def compute(block: np.ndarray) -> np.ndarray:
        threads.add(threading.current_thread())
        return block * 3

    image = da.ones((40, 30), chunks=(10, 10), dtype=">i2")
    image = image.map_blocks(compute, dtype=">i2", meta=np.empty((0, 0), ">i2"))
    threads.clear()
    job = bench.run("total", inputs={"image": image})
    assert job.result["image"]["sum"] == 3600
    assert job.result["image"]["dtype"] == np.dtype("=i2").str
    assert threads
    assert threading.main_thread() not in threads
    assert bench.segments() == []


class Reads:
    """An array that remembers which regions were read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.keys: list[Any] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        self.keys.append(key)
        part: np.ndarray = self.data[key]
        return part


KEYS = [
    "...",
    "0",
    "-1",
    "(2, 3, 4)",
    "(slice(1, 3), slice(None), 2)",
    "(..., slice(1, 6, 2))",
    "(slice(None, None, -1), 1)",
    "(slice(4, 0, -3), ..., slice(-3, None))",
    "(slice(3, 3), 0)",
    "([0, 3, -1], slice(1, 2))",
    "(slice(None), np.array([True, False, True, False, True, False]))",
    "([1, 2], [3, 0], 4)",
    "np.int64(2)",
    "()",
]


def test_served_arrays_are_indexed_like_numpy(bench: Any) -> None:
    data = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
    image = Reads(data)
    job = bench.run("index", {"keys": KEYS}, inputs={"image": image})
    assert job.state == "done", job.error
    for key in KEYS:
        expected = data[eval(key)]
        assert job.result[key] == expected.tolist(), key
    read = {image.data[k].shape for k in image.keys}
    assert (2, 6, 1) in read  # the box alone, not the whole
    assert (1, 1, 1) in read


@pytest.mark.parametrize("key", [(0, 0, 0, 0), 5, -6, "a", (..., ...), 1.5, [7]])
def test_split_key_refuses_what_does_not_fit(key: Any) -> None:
    with pytest.raises(IndexError):
        proxies.split_key(key, (5, 6, 7))


def test_requests_larger_than_the_slot_are_split(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 160 MB in slots of 64 MB, without that much memory: one row, repeated.
    row = np.arange(10_000, dtype=np.uint8)
    image = Reads(np.broadcast_to(row, (16_000, 10_000)))
    bench.make(copy_limit=1000)
    job = bench.run("index", {"keys": ["(slice(None), 3)"]}, inputs={"image": image})
    assert set(job.result["(slice(None), 3)"]) == {3}
    assert len(image.keys) == 1
    image.keys.clear()
    job = bench.run("total", inputs={"image": image})
    assert job.result["image"]["sum"] == 16_000 * float(row.sum())
    assert len(image.keys) == 4
    assert bench.segments() == []


def test_arrays_above_the_limit_are_served(bench: Any) -> None:
    bench.make(copy_limit=100)
    image = np.ones((20, 20), ">f4")
    job = bench.run("total", inputs={"image": image, "small": np.ones(4)})
    assert job.result["image"]["type"] == "ServedArray"
    assert job.result["small"]["type"] == "ndarray"
    assert job.result["image"]["sum"] == 400


def test_two_tasks_read_served_arrays_at_once(bench: Any) -> None:
    bench.make(copy_limit=1)
    images = [np.full((50, 50), i, np.int32) for i in range(4)]
    jobs = [bench.submit("total", inputs={"image": image}) for image in images]
    bench.until(lambda: all(job.ended for job in jobs))
    sums = [job.result["image"]["sum"] for job in jobs]
    assert sums == [i * 2500 for i in range(4)]


def test_threads_of_one_task_read_a_served_array(bench: Any) -> None:
    rows = np.arange(200, dtype=np.int32)[:, np.newaxis]
    bench.make(copy_limit=1)
    image = np.broadcast_to(rows, (200, 50_000))
    job = bench.run("read_in_threads", inputs={"image": image})
    assert job.result == {"wrong": []}


def test_a_reader_that_fails_becomes_a_sentence(bench: Any) -> None:
    class Broken(Reads):
        def __getitem__(self, key: Any) -> np.ndarray:
            raise OSError("the disk was unplugged\nsecond line")

    image = Broken(np.ones((4, 4)))
    job = bench.run("total", {"name": "nuclei"}, inputs={"image": image})
    assert job.state == "failed"
    assert job.error == (
        "The image 'nuclei' could not be read (OSError: the disk was unplugged): check "
        "that its file is still there and whole, then try again."
    )
    # The thread that reads goes on.
    assert bench.run("total", inputs={"image": Reads(np.ones((4, 4)))}).state == "done"


def test_a_reader_that_gives_another_shape_becomes_a_sentence(bench: Any) -> None:
    class Short(Reads):
        def __getitem__(self, key: Any) -> np.ndarray:
            return self.data[:1, :1]

    job = bench.run("total", inputs={"annotation": Short(np.ones((4, 4)))})
    assert job.state == "failed"
    assert job.error.startswith("The annotation could not be read (ValueError")


def test_inputs_on_disk_are_not_changed_by_tasks(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    np.ones(100).tofile(path)
    image = np.memmap(path, float, "r+")
    assert bench.run("scribble", inputs={"image": image}).state == "done"
    assert (np.fromfile(path) == 1).all()


def test_a_half_imported_zarr_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be importing it just then."""
    monkeypatch.setitem(sys.modules, "zarr", types.ModuleType("zarr"))
    assert find_reference(np.zeros((3, 4))) is None
