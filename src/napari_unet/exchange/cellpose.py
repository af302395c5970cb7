"""Masks of Cellpose: ``NAME_seg.npy``, read without running what is in it.

Such a file is a pickled dictionary. Its instructions are looked at, never followed
(:mod:`napari_unet.exchange.plain_pickle`), and only the masks are made into an array.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.exchange.plain_pickle import (
    Call,
    Name,
    PickleError,
    describe_pickle,
)

ENDING = "_seg.npy"

RECONSTRUCT = frozenset(
    {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}
)


def read_masks(path: Path) -> NDArray[np.int32]:
    """Masks (Y X) or (Z Y X); 0 is background.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds no masks.
    """
    try:
        with path.open("rb") as file:
            _skip_header(file)
            described = describe_pickle(file)
        masks = _array(_masks(described))
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}: check the path.") from error
    except OSError as error:
        raise DataError(
            f"{path} could not be read: {error.strerror or error}."
        ) from error
    except (PickleError, ValueError, TypeError, EOFError) as error:
        raise DataError(
            f"{path.name} holds no masks of Cellpose that can be read without running "
            f"it ({error}): save the masks as TIFF or PNG in Cellpose."
        ) from error
    if masks.ndim not in (2, 3):
        raise DataError(
            f"The masks in {path.name} have {masks.ndim} axes: two or three are wanted."
        )
    return masks


def _skip_header(file: IO[bytes]) -> None:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if shape != () or dtype.kind != "O":
        raise PickleError("it is another kind of array")


def _masks(described: Any) -> Any:
    """The description of the masks inside that of the whole."""
    whole = described
    if isinstance(described, Call):
        # version, shape, dtype, order, entries
        whole = described.state[-1][0]
    if not isinstance(whole, dict) or "masks" not in whole:
        raise PickleError("it holds no masks")
    return whole["masks"]


def _array(described: Any) -> NDArray[np.int32]:
    if not isinstance(described, Call) or str(described.function) not in RECONSTRUCT:
        raise PickleError("its masks are no array")
    _, shape, dtype, by_columns, data = described.state
    kind = _dtype(dtype)
    pixels = _bytes(data)
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise PickleError("its masks have no shape")
    if len(pixels) != math.prod(shape) * kind.itemsize:
        raise PickleError("its masks are cut short")
    order: Any = "F" if by_columns else "C"
    masks = np.frombuffer(pixels, kind).reshape(shape, order=order)
    if masks.size and not 0 <= masks.min() <= masks.max() <= np.iinfo(np.int32).max:
        raise PickleError("its masks hold numbers that are no labels")
    return masks.astype(np.int32)


def _dtype(described: Any) -> np.dtype[Any]:
    if not isinstance(described, Call) or described.function != Name("numpy", "dtype"):
        raise PickleError("its masks have no type")
    name = str(described.arguments[0])
    if len(name) != 2 or name[0] not in "iub":
        raise PickleError("its masks are no whole numbers")
    kind = np.dtype(name)
    big = bool(described.state) and described.state[1] == ">"
    return kind.newbyteorder(">") if big else kind


def _bytes(described: Any) -> bytes:
    if isinstance(described, Call):  # old protocols know no bytes
        if described.function != Name("_codecs", "encode"):
            raise PickleError("its masks are no pixels")
        text, coding = described.arguments
        if coding != "latin1":
            raise PickleError("its masks are no pixels")
        return str(text).encode("latin1")
    if not isinstance(described, bytes | bytearray):
        raise PickleError("its masks are no pixels")
    return bytes(described)
