"""``napari-unet predict``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from napari_unet.batch import (
    REPORT,
    BatchItem,
    BatchOptions,
    BatchRow,
    ImageBegun,
    find_inputs,
    finished,
    model_fingerprint,
    plan_batch,
    run_batch,
    what_matters,
)
from napari_unet.cli.common import find_model, given, listed, note, say
from napari_unet.cli.progress import Progress
from napari_unet.errors import DataError
from napari_unet.models.library import model_name
from napari_unet.models.model_file import read_info
from napari_unet.segmentation.settings import ObjectSettings, object_settings
from napari_unet.training.events import Notice

Stored = Callable[..., Generator[Any, None, Any]]


def run(options: argparse.Namespace) -> int:
    """Segment every input; 1 if one of them failed."""
    path = find_model(options.model)
    info = read_info(path)  # complains about a wrong file before torch is loaded
    objects = _object_settings(options)
    fingerprint = model_fingerprint(path, *what_matters(objects, options.mask))
    store = bool(options.store or options.workers or options.scheduler)
    items = plan_batch(
        find_inputs(options.inputs),
        options.output,
        store=store,
        separate=options.separate or info.task == "regression",
    )
    done: list[BatchRow] = []
    if not options.overwrite:
        done = finished(items, options.output, fingerprint)
        _protect(items, done, options)
    if done:
        note(f"{len(done)} of {len(items)} images were segmented before.")

    from napari_unet.models.model import Model
    from napari_unet.workflows import exhaust

    model = Model.load(path, allow_code=options.allow_model_code)
    with _cluster(options, path) as stored, closing(_Shown()) as shown:
        batch = BatchOptions(
            axes=options.axes,
            probabilities=options.probabilities,
            store=store,
            name=model_name(path),
            how=given(
                device=options.device,
                precision=options.precision,
                views=options.views or None,
                resample=options.resample or None,
                objects=objects,
            ),
            masks=options.mask,
            stored=stored,
            overwrite=options.overwrite,
        )
        events = run_batch(model, fingerprint, items, options.output, batch, done=done)
        rows = exhaust(events, shown.show)
    good = sum(row.status == "done" for row in rows)
    say(f"{good} of {len(items)} images segmented: {options.output}")
    if any(item.inside for item in items):
        say('Labels of OME-Zarr images are in their own groups "labels".')
    say(f"What became of each image: {options.output / REPORT}")
    return 0 if good == len(items) else 1


def _object_settings(options: argparse.Namespace) -> ObjectSettings | None:
    """What the options change of how objects are cut; None where nothing."""
    wishes = given(
        foreground_threshold=options.foreground,
        prominence=options.prominence,
        min_size=options.min_size,
        max_size=options.max_size,
        fill_holes=options.fill_holes,
        one_piece=options.one_piece,
        clear_border=options.clear_border,
    )
    return object_settings(wishes) if wishes else None


class _Shown:
    """Shows the events of a batch: a bar for each image."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)

    def show(self, event: Any) -> None:
        from napari_unet.workflows import TileDone

        if isinstance(event, ImageBegun):
            self.close()
            self._bar = Progress(f"[{event.number}/{event.total}] {event.name}")
        elif isinstance(event, Notice):
            (note if self._bar is None else self._bar.say)(event.text)
        elif isinstance(event, TileDone) and self._bar is not None:
            words = f"{event.done:,} of {event.total:,} tiles"
            self._bar.show(event.done / max(event.total, 1), words)


def _protect(
    items: Sequence[BatchItem], done: Sequence[BatchRow], options: argparse.Namespace
) -> None:
    """Refuse to replace a result without leave; stores of the same model go on."""
    ours = {row.result for row in done}
    there = [
        item.target.name
        for item in items
        if item.target.is_file() and str(item.target.resolve()) not in ours
    ]
    if there:
        verb = "is" if len(there) == 1 else "are"
        raise DataError(
            f"{listed(there)} {verb} already in {options.output}: choose another "
            "--output, or add --overwrite."
        )


@contextmanager
def _cluster(options: argparse.Namespace, model: Path) -> Iterator[Stored | None]:
    """What makes stores with several workers; None without them."""
    if not (options.workers or options.scheduler):
        yield None
        return
    from napari_unet.workflows.cluster import connect, predict_on_cluster

    with connect(options.scheduler, options.workers) as client:

        def stored(_: Any, source: Any, target: Path, **how: Any) -> Any:
            how.pop("stop", None)
            return predict_on_cluster(client, model, source, target, **how)

        yield stored
