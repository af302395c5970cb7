"""``napari-unet info``."""

from __future__ import annotations

import argparse

from napari_unet.cli.common import find_model, listed, say
from napari_unet.models.info import ModelInfo
from napari_unet.models.model_file import read_info
from napari_unet.segmentation.settings import DecoderInfo


def run(options: argparse.Namespace) -> int:
    """Print what a model says about itself."""
    info = read_info(find_model(options.model))
    if options.json:
        say(info.model_dump_json(indent=1))
    else:
        for name, value in describe(info):
            say(f"{name:<12}  {value}")
    return 0


def describe(info: ModelInfo) -> list[tuple[str, str]]:
    """The description in lines: what it is, and what it says."""
    training = info.training
    channels = f"{info.n_channels} channel{'s' if info.n_channels > 1 else ''}"
    lines = [
        ("name", info.name),
        ("task", info.task),
        ("images", f"{info.ndim}D ({info.spatial}), {channels}"),
    ]
    if info.task == "classes":
        names = [f"{c.result_value} {c.name}" for c in info.classes]
        lines.append(("classes", ", ".join(names)))
    if info.voxel_size:
        size = " × ".join(f"{s:g}" for s in info.voxel_size)
        lines.append(("voxel size", f"{size} {info.unit}"))
    lines.append(("network", info.network.name))
    if training.score is not None:
        score = f"{training.score_name} {training.score:.3f} on the held-out part"
        lines.append(("score", score))
    if info.calibration.temperature != 1:
        lines.append(("temperature", f"{info.calibration.temperature:.2f}"))
    if info.decoder is not None:
        lines.append(("objects", objects_text(info.decoder)))
    if training.steps:
        minutes = training.seconds / 60
        took = f"{training.steps:,} steps in {minutes:.1f} minutes on {training.device}"
        lines.append(("training", took))
    if training.n_images:
        count = f"{training.n_images} image{'s' if training.n_images > 1 else ''}"
        shown = f" ({listed(training.images)})" if training.images else ""
        lines.append(("trained on", count + shown))
    for name, number in training.annotated_voxels.items():
        lines.append(("annotated", f"{name}: {number:,}"))
    if info.created:
        lines.append(("created", info.created))
    return lines


def objects_text(decoder: DecoderInfo) -> str:
    """How objects are cut, in a line."""
    most = "" if decoder.max_size is None else f" to {decoder.max_size:,}"
    parts = [
        f"foreground above {decoder.foreground_threshold:g}",
        f"parted above {decoder.prominence:g}",
        f"{'from ' if not most else ''}{decoder.min_size:,}{most} pixels",
    ]
    flags = {
        "holes filled": decoder.fill_holes,
        "one piece each": decoder.one_piece,
        "none at the border": decoder.clear_border,
    }
    return ", ".join(parts + [text for text, on in flags.items() if on])
