"""Blocks of a store made by several processes, on one computer or many.

Every worker opens image, model and store by itself and writes its own chunks: no array
passes through the scheduler. What comes back are the pairs of labels that belong
together, and what goes out are the final labels of each block. A worker that dies
costs only the blocks that it was at.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import ConfigError, DataError
from napari_unet.generators import exhaust
from napari_unet.image_io.raw import SqueezedArray
from napari_unet.image_io.tiff_regions import TiffRegions
from napari_unet.models.model import Model
from napari_unet.prediction.nearest import NearestArray
from napari_unet.segmentation.settings import ObjectSettings, as_settings
from napari_unet.segmentation.stitching import FinalLabels, Matches
from napari_unet.training.events import Notice
from napari_unet.workflows.block_job import BlockJob
from napari_unet.workflows.blocks import TileDone, make_blocks
from napari_unet.workflows.preparation import Options, prepare
from napari_unet.workflows.stitching import final_tables, match_blocks
from napari_unet.workflows.store_plan import Layout, StorePlan, plan_store
from napari_unet.workflows.stored import (
    StoredPrediction,
    finish_store,
    finished_store,
    store_job,
)

RETRIES = 2
"""How often a block that failed is tried again, perhaps by another worker."""
WAIT_S = 120
"""Longest time in seconds until the first worker of a cluster is there."""


@contextmanager
def connect(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A Dask client: of a cluster that runs, or of one made here for this run.

    A cluster made here listens on this computer alone.

    Raises
    ------
    ConfigError
        If the package is missing, or the cluster does not answer.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigError(
            "Several workers need the package distributed: install it with "
            "pip install 'napari-unet-live[distributed]'."
        ) from error
    if workers is not None and workers < 1:
        raise ConfigError("The number of workers must be at least 1.")
    try:
        if scheduler:
            with Client(scheduler, timeout=30, set_as_default=False) as client:
                yield client
            return
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                # Diagnostics, too, are for this computer alone, on any free port.
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
    except OSError as error:
        if not scheduler:
            raise ConfigError(
                "The workers on this computer do not answer: close other programs or "
                "take fewer workers, and run it again."
            ) from error
        raise ConfigError(
            f"The cluster at {scheduler} does not answer: check the address, and that "
            "its scheduler runs."
        ) from error


def predict_on_cluster(
    client: Any,
    model: Path,
    source: ImageSource,
    path: str | Path,
    *,
    maps: str | Path | None = None,
    image: str | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    views: bool = False,
    resample: bool = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    objects: ObjectSettings | Mapping[str, Any] | None = None,
    mask: ImageSource | None = None,
) -> Generator[TileDone | Notice, None, StoredPrediction]:
    """:func:`~napari_unet.workflows.predict_to_store` with the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    model : Path
        Model file, at a place that every worker can read.
    source : ImageSource
        Of zarr arrays or memory-mapped files that every worker can read.
    mask : ImageSource, optional
        Likewise.
    """
    from distributed import as_completed

    layout = Layout(
        Path(path).absolute(),
        None if maps is None else Path(maps).absolute(),
        image,
        zarr_format,
    )
    options = Options(views, resample, device, precision, as_settings(objects))
    prepared = prepare(Model.load(model), source, options, mask)
    shared = SharedSource.of(source)
    masks = None if mask is None else SharedSource.of(mask)
    plan = plan_store(prepared, layout, options, overwrite=overwrite)
    done = finished_store(plan)
    if done is not None:
        return done
    if prepared.advice:
        yield Notice(prepared.advice)
    job = store_job(plan, prepared)
    call = partial(_call, plan, str(Path(model).absolute()), shared, masks)
    numbers = [n for n in range(len(job.grid)) if not job.sink.is_done(job.grid[n])]

    def on_all(work: Callable[..., Any], *arguments: Any) -> Iterator[tuple[int, Any]]:
        tasks = client.map(partial(call, work), *arguments, pure=False, retries=RETRIES)
        place = {task.key: n for n, task in enumerate(tasks)}
        for task, result in as_completed(tasks, loop=client.loop, with_results=True):
            yield place[task.key], result

    client.wait_for_workers(1, timeout=WAIT_S)
    for count, _ in enumerate(on_all(_make, numbers), start=1):
        yield TileDone(count, len(numbers))
    most: int | None = None
    if job.stitches:
        most = 0
        for position in range(len(job.grid.samples)):
            first = position * job.grid.per_sample
            of_sample = range(first, first + job.grid.per_sample)
            pairs = list(job.grid.pairs(of_sample))
            matches = (
                {
                    (pairs[n][1] - first, pairs[n][2] - first): found
                    for n, found in on_all(_match, *zip(*pairs, strict=True))
                }
                if pairs
                else {}
            )
            tables, count = final_tables(job, of_sample, matches)
            most = max(most, count)
            for _ in on_all(_relabel, list(of_sample), tables):
                pass
    return finish_store(plan, job, most)


class SharedSource:
    """How workers open an image: by where its arrays lie, never by its pixels."""

    def __init__(
        self, places: tuple[tuple[Any, ...], ...], told: dict[str, Any]
    ) -> None:
        self._places, self._told = places, told

    @classmethod
    def of(cls, source: ImageSource) -> SharedSource:
        """Remember the places.

        Raises
        ------
        DataError
            If an array lies only in the memory of this process.
        """
        told = {
            "axes": source.axes,
            "voxel_size": source.voxel_size,
            "unit": source.unit,
            "name": source.name,
            "ndim": source.ndim,
        }
        return cls(tuple(_place(a, source.name) for a in source.arrays), told)

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedSource, (self._places, self._told)

    def __hash__(self) -> int:
        return hash(repr((self._places, self._told)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedSource) and (
            (self._places, self._told) == (other._places, other._told)
        )

    def open(self) -> ImageSource:
        return ImageSource(tuple(_open(p) for p in self._places), **self._told)


def _place(array: Any, name: str) -> tuple[Any, ...]:
    import zarr

    if isinstance(array, zarr.Array):
        root = getattr(array.store, "root", None)
        if root is not None:
            return "zarr", str(Path(root).absolute()), str(array.path)
    if isinstance(array, TiffRegions):
        return "tiff", str(array.path.absolute()), array.colours, array.level
    if isinstance(array, SqueezedArray):
        return "squeezed", _place(array.array, name), array.keep
    if isinstance(array, NearestArray):
        return "nearest", _place(array.array, name), array.shape
    # Of a piece of a mapped file, only the place of the whole is known.
    base: Any = getattr(array, "base", None)
    if isinstance(array, np.memmap) and isinstance(base, mmap.mmap) and array.filename:
        shape = tuple(int(n) for n in array.shape)
        file = str(Path(array.filename).absolute())
        return "file", file, array.dtype.str, int(array.offset), shape
    raise DataError(
        f"The image {name!r} cannot be read by several workers: save it as OME-Zarr or "
        "as an uncompressed TIFF."
    )


def _open(place: tuple[Any, ...]) -> ArrayLike:
    if place[0] == "zarr":
        import zarr

        array: ArrayLike = zarr.open_array(place[1], path=place[2] or None, mode="r")
        return array
    if place[0] == "tiff":
        return TiffRegions(Path(place[1]), *place[2:])
    if place[0] == "squeezed":
        return SqueezedArray(_open(place[1]), place[2])
    if place[0] == "nearest":
        return NearestArray(_open(place[1]), place[2])
    _, path, dtype, offset, shape = place
    return np.memmap(path, np.dtype(dtype), "r", offset, shape)


@lru_cache(maxsize=2)
def _job(
    plan: StorePlan, model: str, shared: SharedSource, mask: SharedSource | None
) -> BlockJob:
    """In a worker: opened once for all of its blocks."""
    opened = None if mask is None else mask.open()
    prepared = prepare(Model.load(model), shared.open(), plan.options, opened)
    return store_job(plan, prepared)


def _call(
    plan: StorePlan,
    model: str,
    shared: SharedSource,
    mask: SharedSource | None,
    work: Callable[..., Any],
    *arguments: Any,
) -> Any:
    return work(_job(plan, model, shared, mask), *arguments)


def _make(job: BlockJob, number: int) -> None:
    exhaust(make_blocks(job, [number]))


def _match(job: BlockJob, axis: int, first: int, second: int) -> Matches:
    return match_blocks(job, axis, first, second)


def _relabel(job: BlockJob, number: int, table: FinalLabels) -> None:
    job.sink.relabel(job.grid[number], table)
