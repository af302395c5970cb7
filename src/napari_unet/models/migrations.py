"""Descriptions of older model files, brought to what this version writes, step by step.

Each step takes the plain values of one format and returns those of the next. A step is
never changed once a version with it is out: files that it was written for stay in
`tests/models/old`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_unet.models.info import FORMAT_VERSION

Plain = dict[str, Any]


def from_1_to_2(info: Plain) -> Plain:
    """Format 1 was ``model.json`` and ``weights.safetensors`` in a zip archive.

    It did not repeat the seed, and its decoder had a height for seeds that nothing
    uses.
    """
    info = dict(info)
    training = dict(info.get("training") or {})
    if isinstance(seed := (training.get("config") or {}).get("seed"), int):
        training["seed"] = seed
    if isinstance(decoder := info.get("decoder"), Mapping):
        info["decoder"] = {k: v for k, v in decoder.items() if k != "seed_threshold"}
    return {**info, "training": training}


STEPS: dict[int, Callable[[Plain], Plain]] = {1: from_1_to_2}
"""What to do with a description, by its format."""


def migrate(info: Plain, version: int) -> Plain:
    """A description of format `version` as one of the present format."""
    for step in range(version, FORMAT_VERSION):
        info = {**STEPS[step](info), "format_version": step + 1}
    return info
