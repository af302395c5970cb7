"""``train --like MODEL`` and ``train --set NAME=VALUE``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from napari_unet.cli.common import UsageError, find_model, note
from napari_unet.models.info import ModelInfo
from napari_unet.models.model_file import read_info


def take_over(options: argparse.Namespace) -> ModelInfo | None:
    """Fill what was left out with what a model was trained with.

    Raises
    ------
    UsageError
        If the model does not tell.
    """
    if options.like is None:
        return None
    info = read_info(find_model(options.like))
    config = info.training.config
    if not config:
        raise UsageError(
            f"The model {options.like} does not say how it was trained: leave out "
            "--like and give the settings."
        )
    options.task = options.task or config.get("task", info.task)
    options.annotation = options.annotation or config.get("annotation")
    options.no_background = options.no_background or config.get("background") is False
    options.ndim = options.ndim or info.ndim
    timed = not (config.get("max_steps") or options.max_steps or options.minutes)
    if timed and info.training.steps:
        note(
            "That training was limited by time: for as many steps as it took, add "
            f"--steps {info.training.steps}."
        )
    return info


def recorded(info: ModelInfo | None) -> dict[str, Any]:
    """The settings of a model's training, but those that `take_over` filled in."""
    if info is None:
        return {}
    own = ("task", "annotation", "background")
    return {k: v for k, v in info.training.config.items() if k not in own}


def class_names(info: ModelInfo, values: Sequence[int]) -> list[str]:
    """Names that a model has for `values`, as ``VALUE=NAME``."""
    if info.task != "classes":
        return []
    return [f"{c.value}={c.name}" for c in info.classes if c.value in values]


def set_wishes(wishes: dict[str, Any], texts: Sequence[str]) -> None:
    """Fill in settings that were given as ``NAME=VALUE``, such as ``loss.kind=focal``.

    Raises
    ------
    UsageError
        If a text is none.
    """
    for text in texts:
        name, found, value = text.partition("=")
        *outer, last = name.strip().split(".")
        if not (found and last and all(outer)):
            raise UsageError(
                f"{text!r} is no setting: write NAME=VALUE, such as patience=20 or "
                "augmentation.elastic=0."
            )
        inner = wishes
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise UsageError(f"{name!r} is no setting: {part} holds no others.")
        inner[last] = _plain(value.strip())


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def compare_data(info: ModelInfo | None, made: ModelInfo) -> None:
    """Say whether the new model saw the very data of the one that it is like."""
    if info is None or not info.training.fingerprint:
        return
    if info.training.fingerprint != made.training.fingerprint:
        note(
            "The images or the annotation are others than those that "
            f"{info.name!r} was trained on: scores may differ."
        )
