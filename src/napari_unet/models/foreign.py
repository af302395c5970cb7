"""Models of other programs: what a BioImage.IO package asks for, without running it.

Descriptions are read by our own reader and turned into a plan of the few steps that are
known here; whatever else a package wants (steps of its own, several inputs, files
elsewhere) is refused with a sentence. Needs no torch.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Task
from napari_unet.data.classes import PALETTE, ClassInfo
from napari_unet.data.normalization import NormalizationInfo
from napari_unet.errors import ModelFileError
from napari_unet.models.archive import (
    damaged,
    is_plain,
    open_archive,
    read_entry,
    unsafe,
)
from napari_unet.models.info import ModelCard, ModelInfo
from napari_unet.networks.info import NetworkInfo

NETWORK = "bioimageio"
"""Name of the network in :class:`ModelInfo` of a package of another program."""
Form = Literal["onnx", "torchscript", "pytorch_state_dict"]
FORMS: tuple[Form, ...] = ("onnx", "torchscript", "pytorch_state_dict")
"""In the order in which they are preferred; the last one runs code of the package."""
STATISTICS = ("scale_range", "zero_mean_unit_variance")
FIXED = (
    "ensure_dtype",
    "scale_linear",
    "clip",
    "binarize",
    "sigmoid",
    "softmax",
    "fixed_zero_mean_unit_variance",
)
"""Steps that look at one pixel at a time."""
MAX_TEST_BYTES = 256 * 2**20
MAX_SIZE = 8192
Answer = Literal["softmax", "sigmoid", "values"]

Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Side:
    """Axes of the input or output tensor, by their letters ``N C Z Y X``."""

    axes: str
    smallest: tuple[int, ...] = ()
    """Along (Z) Y X."""
    step: tuple[int, ...] = ()
    """0 where the size is fixed."""
    scale: tuple[float, ...] = ()
    """Of the output: its size over that of the input."""
    halo: tuple[int, ...] = ()


@dataclass(frozen=True)
class ForeignPlan:
    """How a package of another program is run."""

    info: ModelInfo
    form: Form
    weights: dict[str, Any]
    given: Side
    answer: Side
    before: tuple[Step, ...]
    """Steps after intensities were normalised."""
    after: tuple[Step, ...]
    kind: Answer


def refused(path: Path, why: str) -> ModelFileError:
    """The error for a package that asks for something we do not have."""
    return ModelFileError(
        f"The model {path.name} of another program cannot be used here: {why}."
    )


def needs_code(path: Path) -> bool:
    """Whether a model runs only with Python code that comes with it.

    Models of ours, ONNX and TorchScript never do.

    Raises
    ------
    ModelFileError
        If the file cannot be read, or not be used here in any case.
    """
    from napari_unet.models.model_file import is_foreign, rdf_name, read_rdf

    with open_archive(path) as archive:
        if rdf_name(archive) is None:
            return False
        rdf = read_rdf(archive, path)
        if not is_foreign(rdf):
            return False
        return plan_foreign(archive, path, rdf).form == "pytorch_state_dict"


def plan_foreign(
    archive: zipfile.ZipFile, path: Path, rdf: Mapping[str, Any]
) -> ForeignPlan:
    """How to run a package.

    Raises
    ------
    ModelFileError
        If it asks for something that is not known here, or points out of the package.
    """
    rdf = _newest(rdf, path)
    try:
        return _plan(archive, path, rdf)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise damaged(path, "its description is not complete") from error


def _newest(rdf: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The description in format 0.5; older ones are converted by the official library.

    Raises
    ------
    ModelFileError
        If the library is missing, or does not understand the description.
    """
    if rdf.get("type", "model") != "model":
        raise refused(path, "it is no model")
    if str(rdf.get("format_version", "")).startswith("0.5."):
        return rdf
    try:
        from bioimageio.spec import load_model_description
    except ImportError as error:
        raise refused(
            path,
            "its format is an older one, for which another package is needed: install "
            'it with `pip install "napari-unet-live[bioimageio]"`',
        ) from error
    try:
        found: Any = load_model_description(
            path, format_version="latest", perform_io_checks=False
        )
        values: dict[str, Any] = found.model_dump(mode="json")
    except Exception as error:
        raise refused(path, "its description is not valid") from error
    return values


def _plan(archive: zipfile.ZipFile, path: Path, rdf: Mapping[str, Any]) -> ForeignPlan:
    inputs, outputs = rdf["inputs"], rdf["outputs"]
    if len(inputs) != 1:
        raise refused(path, f"it needs {len(inputs)} images at a time")
    given, answer = _side(inputs[0], path), _side(outputs[0], path, inputs[0])
    normalization, before = _split(_steps(inputs[0], "preprocessing"), path)
    after = _steps(outputs[0], "postprocessing")
    for name, _ in (*before, *after):
        if name not in FIXED:
            raise refused(path, f"it wants the step {name!r}, which is not known")
    for name, kwargs in (*before, *after):
        if name == "clip" and {k for k, v in kwargs.items() if v is not None} - {
            "min",
            "max",
        }:
            raise refused(path, "it clips at percentiles")
    form, weights = _weights(rdf["weights"], path)
    shown = _test_output(archive, path, outputs[0], answer)
    kind = _kind(after, shown, max(1, len(_channels(outputs[0]))))
    info = _info(rdf, given, inputs[0], outputs[0], kind, normalization)
    # Two models that say the same of themselves are still two.
    own = {"weights": str(weights.get("sha256") or "")}
    network = NetworkInfo(name=NETWORK, arguments=own)
    info = info.model_copy(update={"network": network})
    return ForeignPlan(
        info, form, weights, given, answer, tuple(before), tuple(after), kind
    )


def _side(
    tensor: Mapping[str, Any], path: Path, reference: Mapping[str, Any] | None = None
) -> Side:
    letters, smallest, step, scale, halo = [], [], [], [], []
    known = {} if reference is None else {_id(a): a for a in reference["axes"]}
    for axis in tensor["axes"]:
        kind = axis["type"]
        if kind in ("batch", "channel"):
            letters.append("N" if kind == "batch" else "C")
            continue
        letter = _id(axis).upper()
        if kind != "space" or letter not in "ZYX":
            raise refused(path, f"it has an axis {_id(axis)!r}")
        letters.append(letter)
        size = axis.get("size")
        fixed = isinstance(size, int)
        size = size if isinstance(size, Mapping) else {}
        smallest.append(int(axis["size"] if fixed else size.get("min", 1)))
        step.append(0 if fixed else int(size.get("step", 1)))
        halo.append(int(axis.get("halo") or 0))
        scale.append(_scale(axis, known, fixed=fixed))
        if not 0 < smallest[-1] <= MAX_SIZE or not 0 <= step[-1] <= MAX_SIZE:
            raise refused(path, "its sizes make no sense")
    axes = "".join(letters)
    if len(set(axes)) < len(axes) or not {"Y", "X"} <= set(axes):
        raise refused(path, f"its axes are {axes}")
    order = [[a for a in axes if a in "ZYX"].index(a) for a in "ZYX" if a in axes]
    spatial: Any = [
        tuple(values[k] for k in order) for values in (smallest, step, scale, halo)
    ]
    return Side(axes, *spatial)


def _scale(
    axis: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], *, fixed: bool
) -> float:
    """Size of an output axis over that of the input."""
    size = axis.get("size")
    if fixed:
        of = known.get(_id(axis), {}).get("size")
        return float(cast("int", size)) / of if isinstance(of, int) else 1.0
    reference = known.get(str((size or {}).get("axis_id")), {})
    return float(reference.get("scale") or 1.0) / float(axis.get("scale") or 1.0)


def _id(axis: Mapping[str, Any]) -> str:
    return str(axis.get("id") or axis["type"])


def _steps(tensor: Mapping[str, Any], which: str) -> list[Step]:
    return [(s["id"], dict(s.get("kwargs") or {})) for s in tensor.get(which) or []]


def _split(steps: list[Step], path: Path) -> tuple[NormalizationInfo, list[Step]]:
    """What looks at the whole image, which is done once, and what comes after."""
    where = [n for n, (name, _) in enumerate(steps) if name in STATISTICS]
    if not where:
        return NormalizationInfo(kind="none", clip=False), steps
    first = where[0]
    # A line before makes no difference: what follows measures and undoes it.
    harmless = ("ensure_dtype", "scale_linear", "fixed_zero_mean_unit_variance")
    if len(where) > 1 or any(name not in harmless for name, _ in steps[:first]):
        raise refused(path, "its steps before the network cannot be done in tiles")
    name, kwargs = steps[first]
    if kwargs.get("reference_tensor") not in (None, ""):
        raise refused(path, "it normalises one image by another")
    axes = kwargs.get("axes")
    joint = axes is None or "channel" in axes or "c" in axes
    eps = float(kwargs.get("eps") or 1e-6)
    if name == "zero_mean_unit_variance":
        return (
            NormalizationInfo(kind="mean", joint=joint, eps=eps, clip=False),
            steps[first + 1 :],
        )
    low = float(kwargs.get("min_percentile") or 0)
    high = kwargs.get("max_percentile")
    return (
        NormalizationInfo(
            low=low,
            high=100.0 if high is None else float(high),
            joint=joint,
            eps=eps,
            clip=False,
        ),
        steps[first + 1 :],
    )


def _weights(weights: Mapping[str, Any], path: Path) -> tuple[Form, dict[str, Any]]:
    for form in FORMS:
        entry = weights.get(form)
        if not entry:
            continue
        if not is_plain(entry["source"]):
            raise unsafe(path, "its weights lie outside of the file")
        return form, dict(entry)
    there = ", ".join(k for k, v in weights.items() if v)
    raise refused(path, f"its weights are for other software ({there})")


def _test_output(
    archive: zipfile.ZipFile, path: Path, output: Mapping[str, Any], side: Side
) -> NDArray[Any] | None:
    """What the package says comes out, ``C …``; ``None`` without."""
    from napari_unet.models.model_file import read_npy

    source = (output.get("test_tensor") or {}).get("source")
    if not is_plain(source) or source not in archive.namelist():
        return None
    array = read_npy(read_entry(archive, path, str(source), MAX_TEST_BYTES), path)
    if array.ndim != len(side.axes):
        return None
    if "C" not in side.axes:
        return array[np.newaxis].reshape(1, -1)
    return np.moveaxis(array, side.axes.index("C"), 0).reshape(
        array.shape[side.axes.index("C")], -1
    )


def _kind(after: Sequence[Step], shown: NDArray[Any] | None, n_maps: int) -> Answer:
    """What the numbers that come out mean: told by the steps, or by the test output."""
    names = [name for name, _ in after]
    if "softmax" in names:
        return "softmax"
    if {"sigmoid", "binarize"} & set(names):
        return "sigmoid"
    if shown is None or shown.min() < -1e-3 or shown.max() > 1 + 1e-3:
        # Of several maps the largest one wins, whatever their scale.
        return "values" if n_maps == 1 else "softmax"
    total = shown.astype(np.float64).sum(axis=0)
    adds_up = len(shown) > 1 and bool(np.abs(total - 1).max() < 1e-2)
    return "softmax" if adds_up else "sigmoid"


def _info(
    rdf: Mapping[str, Any],
    given: Side,
    first: Mapping[str, Any],
    output: Mapping[str, Any],
    kind: Answer,
    normalization: NormalizationInfo,
) -> ModelInfo:
    spatial: Any = "".join(a for a in "ZYX" if a in given.axes)
    task: Task = "regression" if kind == "values" else "classes"
    names = _channels(output) or [str(output.get("id", "output"))]
    authors = [str(a.get("name", "")) for a in rdf.get("authors") or []]
    card = ModelCard(
        description=str(rdf.get("description") or ""),
        authors=[a for a in authors if a],
        license=str(rdf.get("license") or ""),
        tags=[str(t) for t in rdf.get("tags") or []],
    )
    return ModelInfo(
        name=str(rdf["name"]),
        task=task,
        spatial=spatial,
        n_channels=max(1, len(_channels(first))),
        classes=[] if task == "regression" else _classes(names, kind),
        network=NetworkInfo(name=NETWORK, arguments={}),
        normalization=normalization,
        created=str(rdf.get("timestamp") or ""),
        card=card,
    )


def _channels(tensor: Mapping[str, Any]) -> list[str]:
    for axis in tensor["axes"]:
        if axis["type"] == "channel":
            return [str(n) for n in axis.get("channel_names") or ["channel"]]
    return []


def _classes(names: Sequence[str], kind: Answer) -> list[ClassInfo]:
    """Classes in the order of the maps; what no map stands for is background."""
    grey = "#8c6d46"
    if kind == "softmax":
        words = [n.lower() in ("background", "bg") for n in names]
        # The first of several, as everywhere, where none is called so.
        words = words if any(words) else [n == 0 for n in range(len(names))]
        return [
            ClassInfo(
                value=number + 1,
                name=name,
                color=grey if back else PALETTE[(number - 1) % len(PALETTE)],
                background=back,
            )
            for number, (name, back) in enumerate(zip(names, words, strict=True))
        ]
    background = ClassInfo(value=1, name="background", color=grey, background=True)
    others = [
        ClassInfo(value=n + 2, name=name, color=PALETTE[n % len(PALETTE)])
        for n, name in enumerate(names)
    ]
    return [background, *others]
