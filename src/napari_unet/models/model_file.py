"""The model file: a BioImage.IO package, a zip archive with ``rdf.yaml``.

Nothing in it is unpickled or executed: a network is built by this program, by the name
that the description gives, and takes over weights that fit. All reading and writing of
model files is here. Reading the description (:func:`read_info`) needs no torch.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from napari_unet.errors import ModelFileError
from napari_unet.files import atomic_file
from napari_unet.models import rdf_text
from napari_unet.models.archive import (
    check_inner_archive,
    damaged,
    is_plain,
    not_a_model,
    open_archive,
    read_entry,
    unsafe,
)
from napari_unet.models.foreign import plan_foreign
from napari_unet.models.info import FORMAT_VERSION, ModelInfo
from napari_unet.models.migrations import migrate

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".bioimage.io.zip"
"""Ending of a model file."""
OLD_SUFFIX = ".unet.zip"
"""Ending of model files of format 1."""

RDF_NAME = "rdf.yaml"
RDF_NAMES = (RDF_NAME, "bioimageio.yaml")
"""Names under which the description may lie in a package."""
README_NAME = "README.md"
WEIGHTS_NAME = "weights.pt"
TORCHSCRIPT_NAME = "weights_torchscript.pt"
ONNX_NAME = "weights.onnx"
ARCHITECTURE_NAME = "architecture.py"
TEST_INPUT_NAME = "test_input.npy"
TEST_OUTPUT_NAME = "test_output.npy"
COVER_NAME = "cover.png"
KEY = "napari_unet"
"""Our part of ``config`` in the description."""

OLD_INFO_NAME = "model.json"
OLD_WEIGHTS_NAME = "weights.safetensors"

MAX_INFO_BYTES = 4 * 2**20
MAX_WEIGHTS_BYTES = 4 * 2**30
MAX_PICTURE_BYTES = 16 * 2**20
MAX_EXAMPLE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class _Description:
    """What a model file says before its weights are looked at."""

    info: ModelInfo
    weights_name: str
    checksum: str | None
    test_input: str | None = None


def write_model_file(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write a model file; it replaces `path` only when it is complete.

    Parameters
    ----------
    entries : mapping
        Contents by name, from :func:`napari_unet.models.package.package_entries`.

    Raises
    ------
    ModelFileError
        If the disk refuses.
    """
    try:
        with (
            atomic_file(path) as file,
            # Weights hardly compress, and stored entries load fast.
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ):
            for name, data in entries.items():
                archive.writestr(name, data)
    except OSError as error:
        raise ModelFileError(
            f"The model could not be saved as {path}: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error


def read_info(path: str | Path) -> ModelInfo:
    """The description of a model.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model, or from a newer program.
    """
    path = Path(path)
    with open_archive(path) as archive:
        rdf = read_rdf(archive, path) if rdf_name(archive) else None
        if rdf is not None and is_foreign(rdf):
            return plan_foreign(archive, path, rdf).info
        return _describe(archive, path).info


def read_model_file(path: str | Path) -> tuple[ModelInfo, dict[str, Tensor]]:
    """Description and weights of a model; errors as :func:`read_info`."""
    path = Path(path)
    with open_archive(path) as archive:
        found = _describe(archive, path)
        data = read_entry(
            archive, path, found.weights_name, MAX_WEIGHTS_BYTES, found.checksum
        )
    if found.weights_name.endswith(".safetensors"):
        return found.info, _safetensors(data, path)
    return found.info, state_dict_from(data, path)


def read_cover(path: str | Path) -> bytes | None:
    """The picture of a training image and its segmentation, a PNG; ``None`` without.

    Raises
    ------
    ModelFileError
        As :func:`read_info`.
    """
    path = Path(path)
    with open_archive(path) as archive:
        if COVER_NAME not in archive.namelist():
            return None
        return read_entry(archive, path, COVER_NAME, MAX_PICTURE_BYTES)


def read_example(path: str | Path) -> NDArray[Any] | None:
    """The piece of a training image in a model file, ``C (Z) Y X``; ``None`` without.

    Raises
    ------
    ModelFileError
        As :func:`read_info`.
    """
    path = Path(path)
    with open_archive(path) as archive:
        found = _describe(archive, path)
        if found.test_input is None:
            return None
        data = read_entry(archive, path, found.test_input, MAX_EXAMPLE_BYTES)
    pixels = read_npy(data, path)
    if pixels.ndim != found.info.ndim + 2 or pixels.shape[1] != found.info.n_channels:
        raise damaged(path, "its test image does not fit")
    first: NDArray[Any] = pixels[0]
    return first


def read_npy(data: bytes, path: Path) -> NDArray[Any]:
    """A NumPy array of numbers; errors as :func:`read_info`."""
    try:
        array: Any = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, TypeError) as error:
        raise damaged(path, "a test image cannot be read") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise damaged(path, "a test image holds no numbers")
    numbers: NDArray[Any] = array
    return numbers


def rdf_name(archive: zipfile.ZipFile) -> str | None:
    """The entry that describes a package."""
    names = archive.namelist()
    return next((n for n in RDF_NAMES if n in names), None)


def read_rdf(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The description of a package as plain values; errors as :func:`read_info`."""
    name = rdf_name(archive)
    if name is None:
        raise not_a_model(path)
    try:
        rdf = rdf_text.load(read_entry(archive, path, name, MAX_INFO_BYTES))
    except rdf_text.RdfTextError as error:
        raise damaged(path, f"its description cannot be read: {error}") from error
    if not isinstance(rdf, dict):
        raise damaged(path, "its description is empty")
    return rdf


def _describe(archive: zipfile.ZipFile, path: Path) -> _Description:
    names = archive.namelist()
    if OLD_INFO_NAME in names and rdf_name(archive) is None:
        return _Description(_old_info(archive, path), OLD_WEIGHTS_NAME, None)
    rdf = read_rdf(archive, path)
    own = _part(rdf, "config").get(KEY)
    if not isinstance(own, dict):
        raise not_a_model(path)
    info = _checked(own, path)
    state = _part(_part(rdf, "weights"), "pytorch_state_dict")
    name, checksum = state.get("source"), state.get("sha256")
    if not is_plain(name):
        raise unsafe(path, "its weights lie outside of the file")
    if not isinstance(checksum, str):
        raise damaged(path, "the checksum of its weights is missing")
    test = TEST_INPUT_NAME if TEST_INPUT_NAME in names else None
    return _Description(info, str(name), checksum, test)


def is_foreign(rdf: Mapping[str, Any]) -> bool:
    """Whether another program wrote a package."""
    return KEY not in _part(rdf, "config")


def is_foreign_file(path: str | Path) -> bool:
    """Whether a file is a package of another program; errors as :func:`read_info`."""
    path = Path(path)
    with open_archive(path) as archive:
        return rdf_name(archive) is not None and is_foreign(read_rdf(archive, path))


def _part(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = values.get(name)
    return part if isinstance(part, dict) else {}


def _old_info(archive: zipfile.ZipFile, path: Path) -> ModelInfo:
    data = read_entry(archive, path, OLD_INFO_NAME, MAX_INFO_BYTES)
    try:
        raw: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "its description cannot be read") from error
    if not isinstance(raw, dict):
        raise not_a_model(path)
    return _checked(raw, path)


def _checked(raw: dict[str, Any], path: Path) -> ModelInfo:
    version = raw.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise not_a_model(path)
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"The model file {path.name} has format {version}, and this program reads "
            f"up to {FORMAT_VERSION}: update napari-unet-live to open it."
        )
    try:
        return ModelInfo.model_validate(migrate(raw, version))
    except (ValidationError, RecursionError, TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise damaged(path, "its description cannot be read") from error
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise damaged(path, f"{where}: {first['msg']}") from error


def _safetensors(data: bytes, path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise damaged(path, "its weights cannot be read") from error


def state_dict_from(data: bytes, path: Path) -> dict[str, Tensor]:
    """Weights from a file of torch's; nothing else in it is unpickled.

    Raises
    ------
    ModelFileError
        If there is anything else in it, or it is damaged.
    """
    import torch

    check_inner_archive(io.BytesIO(data), path, MAX_WEIGHTS_BYTES)
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch says so of a pickle that asks for anything else than tensors.
        raise unsafe(path, "its weights hold something else than numbers") from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        raise damaged(path, "its weights cannot be read") from error
    except (AttributeError, IndexError, MemoryError, OverflowError) as error:
        raise damaged(path, "its weights cannot be read") from error
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str)
        and isinstance(tensor, torch.Tensor)
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        for name, tensor in loaded.items()
    ):
        raise damaged(path, "its weights are none of a network")
    return dict(loaded)
