"""The model file: a zip with ``model.json`` and ``weights.safetensors``.

Nothing in it is unpickled or executed. All reading and writing of model files is here.
Reading the description (:func:`read_info`) needs no torch.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_unet.errors import ModelFileError
from napari_unet.files import atomic_file
from napari_unet.models.info import FORMAT_VERSION, ModelInfo

if TYPE_CHECKING:
    from torch import Tensor

INFO_NAME = "model.json"
WEIGHTS_NAME = "weights.safetensors"
MAX_INFO_BYTES = 16 * 2**20
MAX_WEIGHTS_BYTES = 4 * 2**30

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    # An entry that claims to be encrypted.
    RuntimeError,
)
"""What :mod:`zipfile` raises for entries that are damaged."""


def write_model_file(path: Path, info: ModelInfo, weights: dict[str, Tensor]) -> None:
    """Write a model file; it replaces `path` only when it is complete.

    Raises
    ------
    ModelFileError
        If the disk refuses.
    """
    from safetensors.torch import save

    plain = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
    try:
        with (
            atomic_file(path) as file,
            # Weights hardly compress, and stored entries load fast.
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ):
            archive.writestr(INFO_NAME, info.model_dump_json(indent=1))
            archive.writestr(WEIGHTS_NAME, save(plain))
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
    with _open_archive(Path(path)) as archive:
        return _read_info(archive, Path(path))


def read_model_file(path: str | Path) -> tuple[ModelInfo, dict[str, Tensor]]:
    """Description and weights of a model; errors as :func:`read_info`."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path)
    with _open_archive(path) as archive:
        info = _read_info(archive, path)
        try:
            weights = load(_read_entry(archive, path, WEIGHTS_NAME, MAX_WEIGHTS_BYTES))
        except (SafetensorError, ValueError, TypeError) as error:
            raise _damaged(path, "its weights cannot be read") from error
    return info, weights


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        f"The model file {path.name} is damaged ({why}): copy or download it again."
    )


def _foreign(path: Path) -> ModelFileError:
    return ModelFileError(
        f"{path.name} is not a model of U-Net Live: choose a file that was saved "
        "by Train U-Net or `napari-unet train`."
    )


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder: choose a model file inside it.")
    if not path.exists():
        raise ModelFileError(f"There is no model file {path}: check the path.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        with path.open("rb") as file:
            zip_like = file.read(2) == b"PK"
        if zip_like:
            raise _damaged(path, "it ends too early") from error
        raise _foreign(path) from error
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} could not be opened: {error.strerror or error}."
        ) from error
    with archive:
        yield archive


def _read_entry(
    archive: zipfile.ZipFile, path: Path, name: str, max_bytes: int
) -> bytes:
    try:
        entry = archive.getinfo(name)
    except KeyError as error:
        raise _foreign(path) from error
    if entry.file_size > max_bytes:
        raise _damaged(path, f"{name} claims {entry.file_size:,} bytes")
    try:
        with archive.open(entry) as file:
            # One byte more than allowed: a header that lies about the size is caught.
            data = file.read(max_bytes + 1)
    except UNREADABLE as error:
        raise _damaged(path, f"{name} cannot be read") from error
    if len(data) != entry.file_size:
        raise _damaged(path, f"{name} has the wrong size")
    return data


def _read_info(archive: zipfile.ZipFile, path: Path) -> ModelInfo:
    data = _read_entry(archive, path, INFO_NAME, MAX_INFO_BYTES)
    try:
        raw: Any = json.loads(data)
    except ValueError as error:
        raise _damaged(path, "its description cannot be read") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if not isinstance(version, int):
        raise _foreign(path)
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"The model file {path.name} has format {version}, and this program reads "
            f"up to {FORMAT_VERSION}: update napari-unet-live to open it."
        )
    try:
        return ModelInfo.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, f"{where}: {first['msg']}") from error
