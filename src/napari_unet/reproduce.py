"""What a widget is about to do, as a command and as a script of Python.

Layers may lie in no file, and annotations hardly ever do: what is needed is written
into a folder first, and the command names those files.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.config import TrainingConfig
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import DataError, UserError
from napari_unet.image_io import read_image, write_image, write_labels, write_values
from napari_unet.image_io.store import PixelSize

MAX_BYTES = 4 * 2**30
"""Larger images that lie in no file are not copied."""


@dataclass(frozen=True)
class Recipe:
    """The same work in two languages.

    Parameters
    ----------
    command : str
        For a terminal; empty where the command line cannot do it.
    script : str
        Python.
    why : str
        Why there is no command, in a sentence.
    """

    command: str
    script: str
    why: str = ""


# Inputs in files ---------------------------------------------------------------------


def image_file(
    source: ImageSource,
    original: Path | None,
    folder: Path,
    near: PixelSize | None = None,
) -> Path:
    """A file that is read as `source`: the original, or a copy made now.

    `near` is the pixel size by which one of several resolutions will be chosen.

    Raises
    ------
    DataError
        If a copy is needed and too large, or the disk refuses.
    """
    if original is not None and _same(source, original, near):
        return original
    size = sum(
        int(np.prod(a.shape)) * np.dtype(a.dtype).itemsize for a in source.arrays
    )
    if size > MAX_BYTES:
        raise DataError(
            f"The image {source.name!r} lies in no file that can be read again, and is "
            "too large to be copied: save it as a file and open that."
        )
    if len(source.arrays) == 1:
        array, axes = np.asarray(source.arrays[0][...]), source.axes
    else:
        array, axes = np.stack([np.asarray(a[...]) for a in source.arrays]), source.axes
        axes = f"C{axes}"
    path = folder / f"{_file_name(source.name)}.tif"
    write_image(path, array, axes, source.voxel_size, source.unit)
    return path


def annotation_file(labels: ArrayLike, source: ImageSource, folder: Path) -> Path:
    """A file with an annotation, or with the values of a regression, as it is now."""
    path = folder / f"{_file_name(source.name)} annotation.tif"
    array = np.asarray(labels[...])
    write = write_values if array.dtype.kind == "f" else write_labels
    write(path, array, source.labels_axes, source.voxel_size, source.unit)
    return path


def _same(source: ImageSource, path: Path, near: PixelSize | None) -> bool:
    """Whether a file is read as just this image."""
    try:
        found = read_image(path, ndim=source.ndim, near=near)
    except UserError:
        return False
    if len(source.arrays) != 1 or found.axes != source.axes:
        return False
    if found.unit != source.unit or not np.allclose(
        found.voxel_size, source.voxel_size, rtol=1e-4
    ):
        return False
    ours, theirs = source.arrays[0], found.arrays[0]
    if tuple(ours.shape) != tuple(theirs.shape) or ours.dtype != theirs.dtype:
        return False
    first = (0,) * (len(ours.shape) - 2)
    last = tuple(n - 1 for n in ours.shape[:-2])
    return all(
        np.array_equal(np.asarray(ours[i]), np.asarray(theirs[i]))
        for i in {first, last}
    )


def _file_name(name: str) -> str:
    clean = "".join(c if c.isalnum() or c in " -_." else "_" for c in name)[:80]
    return clean.strip(" .") or "image"


# Training ----------------------------------------------------------------------------


def training_recipe(
    images: Path,
    labels: Path,
    config: TrainingConfig,
    output: Path,
    *,
    ndim: int,
    class_names: Mapping[int, str] | None = None,
    start: str | None = None,
) -> Recipe:
    """How to train the same model again, from files.

    Parameters
    ----------
    images, labels : Path
        Files that tell axes and pixel size themselves.
    config : TrainingConfig
    output : Path
        The model file.
    ndim : {2, 3}
    class_names : mapping, optional
        By value in the labels.
    start : str, optional
        File of the model to begin with.
    """
    changed = config.model_dump(mode="json", exclude_defaults=True)
    settings = {k: v for k, v in changed.items() if k not in ("task", "annotation")}
    words = ["napari-unet", "train", "--images", str(images), "--labels", str(labels)]
    words += ["--task", config.task]
    if config.task != "regression":
        words += ["--annotation", config.annotation]
    words += ["--ndim", str(ndim)]
    for name, value in _flat(settings):
        words += ["--set", f"{name}={_text(value)}"]
    if class_names:
        words += ["--class-names", *(f"{v}={n}" for v, n in class_names.items())]
    if start:
        words += ["--start", start]
    words += ["--output", str(output)]
    arguments: dict[str, Any] = {"task": config.task, "ndim": ndim}
    if config.task != "regression":
        arguments["annotation"] = config.annotation
    if class_names:
        arguments["class_names"] = dict(class_names)
    if start:
        arguments["start"] = start
    arguments["name"] = output.name.partition(".")[0]
    arguments |= settings
    script = (
        "import napari_unet\n\n"
        f"model = napari_unet.train(\n    {str(images)!r},\n    {str(labels)!r},\n"
        f"{_arguments(arguments)})\n"
        f"model.save({str(output)!r})\n"
    )
    return Recipe(_line(words), script)


def _flat(settings: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Settings inside others as ``outer.inner``."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", value))
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# Prediction --------------------------------------------------------------------------


def prediction_recipe(
    model: Path,
    image: Path,
    output: Path,
    *,
    samples: Sequence[int] | None = None,
    region: Sequence[Sequence[int]] | None = None,
    objects: Mapping[str, Any] | None = None,
    mask: Path | None = None,
    probabilities: bool = False,
    views: bool = False,
    resample: bool = False,
) -> Recipe:
    """How to predict the same again, from files.

    Parameters
    ----------
    model, image : Path
    output : Path
        Folder of the results.
    samples, region, objects, mask, probabilities, views, resample
        As in :func:`napari_unet.workflows.predict`.
    """
    options: dict[str, Any] = {
        "samples": None if samples is None else list(samples),
        "region": None if region is None else [list(b) for b in region],
        "objects": dict(objects) if objects else None,
        "views": views or None,
        "resample": resample or None,
    }
    given = {k: v for k, v in options.items() if v is not None}
    head, tail = ["import napari_unet"], ""
    if mask is not None:
        head.append("from napari_unet.image_io import read_image")
        tail += f"    mask=read_image({str(mask)!r}, ndim=model.info.ndim),\n"
    if probabilities:
        tail += "    probabilities=True,\n"
    target = output / f"{image.name.partition('.')[0]}.npy"
    script = "\n".join(["import numpy as np", *head]) + "\n\n"
    script += f"model = napari_unet.load_model({str(model)!r})\n"
    names = "labels, probabilities" if probabilities else "labels"
    script += f"{names} = napari_unet.predict(\n    model,\n    {str(image)!r},\n"
    script += f"{_arguments(given)}{tail})\n"
    script += f"np.save({str(target)!r}, labels)\n"
    words = ["napari-unet", "predict", str(model), str(image), "--output", str(output)]
    for name, wanted in (
        ("probabilities", probabilities),
        ("views", views),
        ("resample", resample),
    ):
        words += [f"--{name}"] if wanted else []
    why = ""
    if region is not None or objects or mask is not None:
        why = (
            "The command line predicts whole images with the model's own settings: "
            "copy as Python, or choose the whole image, no mask and no changes."
        )
    return Recipe("" if why else _line(words), script, why)


def _arguments(values: Mapping[str, Any]) -> str:
    return "".join(f"    {name}={value!r},\n" for name, value in values.items())


def _line(words: Sequence[str]) -> str:
    """A command as the terminal of this system reads it."""
    return (
        subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
    )
