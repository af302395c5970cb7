"""``napari-unet compare``."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.common import UsageError, given, note, say, table
from napari_unet.cli.progress import Progress, TrainingProgress
from napari_unet.cli.soft_stop import SoftStop
from napari_unet.cli.training_data import check_data_options, open_data
from napari_unet.config import TrainingConfig, training_config
from napari_unet.errors import DataError
from napari_unet.evaluation.charts import curves, standalone
from napari_unet.evaluation.writing import write_text
from napari_unet.models.library import SUFFIX

if TYPE_CHECKING:
    from napari_unet.workflows.compare import NetworkDone, NetworkResult

TABLE, PLOT = "comparison.json", "scores.svg"


def run(options: argparse.Namespace) -> int:
    """Train the networks, print a table, write table, plot and models."""
    _find_folders(options)
    output: Path = options.output
    _check_output(output, options.overwrite)
    config = _config(options)
    pairs, validation = open_data(options, config)
    names = [name.strip() for name in options.networks.split(",") if name.strip()]
    results, code = _compare(names, output, config, pairs, validation)
    if not results:
        note("Nothing was trained.")
        return code
    say(_table(results))
    for result in results:
        if result.problem:
            say(f"{result.network}: {result.problem}")
    say(f"Results: {output}")
    return code


def _find_folders(options: argparse.Namespace) -> None:
    """Take the folders from --data."""
    data: Path | None = options.data
    if data is not None:
        if options.images or options.labels or options.val_images or options.val_labels:
            raise UsageError("Give either --data or --images and --labels.")
        options.images, options.labels = (
            data / "train" / name for name in ("images", "labels")
        )
        if (data / "val").is_dir():
            options.val_images, options.val_labels = (
                data / "val" / name for name in ("images", "labels")
            )
    if options.images is None or options.labels is None:
        raise UsageError("Give --data, or --images and --labels.")
    check_data_options(options)


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file: give --output the name of a folder.")
    if (output / TABLE).exists() and not overwrite:
        raise DataError(
            f"There is already a comparison in {output}: choose another --output, or "
            "add --overwrite."
        )


def _config(options: argparse.Namespace) -> TrainingConfig:
    names = (
        "task", "annotation", "minutes", "max_steps", "seed", "base_channels",
        "device", "precision",
    )  # fmt: skip
    wishes: dict[str, Any] = given(**{name: getattr(options, name) for name in names})
    return training_config(background=not options.no_background, **wishes)


def _compare(
    names: Sequence[str],
    output: Path,
    config: TrainingConfig,
    pairs: Sequence[Any],
    validation: Sequence[Any],
) -> tuple[list[NetworkResult], int]:
    """Results of all that were trained, and the exit code.

    Everything is written anew whenever a network is done: a stop loses nothing.
    """
    from napari_unet.training.events import Started
    from napari_unet.workflows.compare import NetworkDone, NetworkStarted, compare

    stop, listening = SoftStop(), False
    results: list[NetworkResult] = []
    events = compare(pairs, config, names, validation=validation, stop=stop.wanted)
    with stop.released(), ExitStack() as bars:
        for event in events:
            if isinstance(event, NetworkStarted):
                note(f"{event.network} ({event.number} of {event.total})")
                shown = TrainingProgress(bars.enter_context(Progress(event.network)))
                continue
            if isinstance(event, NetworkDone):
                bars.close()
                results.append(event.result)
                _write(output, event, results)
                continue
            if isinstance(event, Started) and not listening:
                # Before the first step there is nothing worth keeping.
                stop.listen()
                listening = True
            shown.show(event)
    return results, stop.code


def _write(output: Path, done: NetworkDone, results: Sequence[NetworkResult]) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The folder {output} cannot be made: {error.strerror or error}."
        ) from error
    if done.model is not None:
        done.model.save(output / f"{done.result.network}{SUFFIX}")
    plain = [result.as_dict() for result in results]
    text = json.dumps({"networks": plain}, indent=1, allow_nan=False)
    write_text(output / TABLE, f"{text}\n")
    series = [(r.title, [(s / 60, v) for s, v in r.curve]) for r in results if r.curve]
    if series:
        title = next(r.score_name for r in results if r.curve)
        write_text(output / PLOT, standalone(curves(series, "minutes", title)))


def _table(results: Sequence[NetworkResult]) -> str:
    name = next((r.score_name for r in results if r.score_name), "score")
    costs = ["parameters", "FLOPs a pixel", "s a megapixel", "MB a megapixel"]
    rows = [["", name, "steps", *costs]]
    for r in results:
        rows.append(
            [
                r.network,
                "" if r.score is None else f"{r.score:.3f}",
                f"{r.steps:,}",
                f"{r.parameters / 1e6:.2f} M",
                f"{r.flops_per_pixel / 1e3:.1f} k",
                _number(r.seconds_per_megapixel, 2),
                # Bytes of a pixel are megabytes of a megapixel.
                _number(r.bytes_per_pixel, 0),
            ]
        )
    return table(rows)


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
