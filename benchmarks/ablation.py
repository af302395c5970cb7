"""What each default is worth: the default recipe, minus or plus one thing at a time.

    python benchmarks/ablation.py --data DIR --set NAME [--steps N] [--json FILE]

Steps are counted, not minutes: the table does not depend on the machine's load. Every
row trains on ``train`` and is scored once, at its end, on ``val``. The default is run
with several seeds: differences within its spread say nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from accuracy import read_split, task_of

from napari_unet.api import exhaust
from napari_unet.config import training_config
from napari_unet.data import sampling
from napari_unet.data.annotation import Annotation
from napari_unet.training import plan
from napari_unet.workflows import train

LOAD, NETWORK = sampling._load, plan._network


@dataclass(frozen=True)
class Row:
    """One thing that is different."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    patches: dict[str, Any] = field(default_factory=dict)
    """Names inside the program that are no settings, and what they become."""


def anywhere(region: Any, task: Any, classes: Any) -> Any:
    """Load a region so that rare classes are not drawn more often."""
    loaded = LOAD(region, task, classes)
    loaded.anchors = [loaded.annotated]
    return loaded


def whole_resolution(*arguments: Any) -> Any:
    """A network as on a GPU: nothing is halved before the first level."""
    *others, kind, spread, start = arguments
    return NETWORK(*others, ("gpu", kind[1]), spread, start)


ROWS = [
    Row("default"),
    Row("no augmentation", {"augmentation": "none"}),
    Row("gentle augmentation", {"augmentation": "gentle"}),
    Row("strong augmentation", {"augmentation": "strong"}),
    Row("cross-entropy without Dice", {"loss": "cross-entropy"}),
    Row("focal loss instead of cross-entropy", {"loss": "focal"}),
    Row("Tversky instead of Dice", {"loss": "tversky"}),
    Row("with boundary loss", {"loss": "boundary"}),
    Row("label smoothing 0.1", {"loss": {"label_smoothing": 0.1}}),
    Row("balanced class weights", {"loss": {"class_weights": "balanced"}}),
    Row("dropout 0.3", {"dropout": 0.3}),
    Row("no weight decay", {"weight_decay": 0.0}),
    Row("intensities by extremes", {"low_percentile": 0.0, "high_percentile": 100.0}),
    Row(
        "patches around any annotated pixel",
        patches={"napari_unet.data.sampling._load": anywhere},
    ),
    Row(
        "no average of weights", patches={"napari_unet.training.averaging.MAX_DECAY": 0}
    ),
    Row(
        "last layer as fast as the others",
        patches={"napari_unet.training.trainer.HEAD_RATE": 1.0},
    ),
    Row(
        "no warm-up of the learning rate",
        patches={"napari_unet.training.trainer.WARMUP": 0.0},
    ),
    Row(
        "full resolution at the first level",
        patches={"napari_unet.training.plan._network": whole_resolution},
    ),
]


def main() -> None:
    """Run the rows and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--base-channels", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3, help="runs of the default")
    parser.add_argument("--rows", nargs="*", help="parts of names; all by default")
    parser.add_argument("--json", type=Path, help="written after every row")
    options = parser.parse_args()
    folder = options.data / options.set
    teaching, held = (read_split(folder / p, True) for p in ("train", "val"))
    results: list[dict[str, Any]] = []
    for row in chosen(options.rows):
        seeds = options.seeds if row.name == "default" else 1
        runs = [one(row, seed, teaching, held, options) for seed in range(seeds)]
        results.append({"name": row.name, **pooled(runs)})
        print(results[-1], flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    print(table(results))


def chosen(parts: list[str] | None) -> list[Row]:
    """The default, and the rows whose names hold one of `parts`."""
    if not parts:
        return ROWS
    return ROWS[:1] + [r for r in ROWS[1:] if any(p in r.name for p in parts)]


def one(
    row: Row,
    seed: int,
    teaching: list[Annotation],
    held: list[Annotation],
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Score on the held-out images, and seconds of a step."""
    config = training_config(
        task=task_of(options.set),
        annotation="complete",
        max_steps=options.steps,
        base_channels=options.base_channels,
        seed=seed,
        **row.settings,
    )
    # Scored once, at the end: choosing among many scores would favour noisy rows.
    patches = {"napari_unet.training.trainer.VALIDATIONS": 1, **row.patches}
    with ExitStack() as stack:
        for target, value in patches.items():
            stack.enter_context(mock.patch(target, value))
        begun = time.process_time()
        model = exhaust(train(teaching, config, validation=held))
        seconds = time.process_time() - begun
    score = model.info.training.score
    if score is None:
        raise SystemExit(f"{options.set} has no val images: nothing can be compared.")
    return score, seconds / options.steps


def pooled(runs: list[tuple[float, float]]) -> dict[str, float]:
    """Mean over seeds, and the spread where there are several."""
    scores = [score for score, _ in runs]
    found = {
        "score": statistics.mean(scores),
        "seconds_a_step": statistics.mean(seconds for _, seconds in runs),
    }
    if len(scores) > 1:
        found |= {"low": min(scores), "high": max(scores)}
    return found


def table(results: list[dict[str, Any]]) -> str:
    """Score, difference to the default, and time of a step as a ratio."""
    first = results[0]
    lines = ["| | score | difference | time of a step |", "|---|---:|---:|---:|"]
    for found in results:
        score = f"{found['score']:.3f}"
        if "low" in found:
            score += f" ({found['low']:.3f} to {found['high']:.3f})"
        difference = found["score"] - first["score"]
        ratio = found["seconds_a_step"] / first["seconds_a_step"]
        shown = "" if found is first else f"{difference:+.3f}"
        lines.append(f"| {found['name']} | {score} | {shown} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
