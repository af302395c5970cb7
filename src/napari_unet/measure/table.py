"""The table of objects and what its columns are called. No scikit-image here."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.files import atomic_file

SHORT_UNITS = {
    "pixel": "px",
    "angstrom": "angstrom",
    "nanometer": "nm",
    "micrometer": "um",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "inch",
}
"""How units are written in the names of columns."""

UNIT_SIGNS = {"um": "µm", "angstrom": "Å", "inch": "in"}
"""How they are written for people, where that differs."""


@dataclass(frozen=True)
class ObjectTable:
    """One row an object, or an object and frame.

    Parameters
    ----------
    columns : dict of str to ndarray
        All of one length; the documentation lists them.
    spatial : str
        ``"ZYX"`` or ``"YX"``: the axes of an object.
    unit : str
        Unit of lengths, such as ``"micrometer"`` or ``"pixel"``.
    """

    columns: Mapping[str, NDArray[Any]]
    spatial: str
    unit: str = "pixel"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def rows(self) -> Iterator[list[Any]]:
        """Plain values row by row, to 10 digits; what is not known is ``None``."""
        plain = [_plain(column) for column in self.columns.values()]
        return map(list, zip(*plain, strict=True))

    def boxes(self) -> NDArray[np.int64]:
        """Start and stop of each object along (Z) Y X, in voxels: N × d × 2."""
        made = [
            np.column_stack([self.columns[name] for name in bounds_names(a)])
            for a in self.spatial
        ]
        return np.stack(made, axis=1).astype(np.int64)

    def write_csv(self, path: str | Path) -> None:
        """Write a table that spreadsheets, pandas and R read (UTF-8, commas).

        Raises
        ------
        DataError
            If the disk refuses.
        """
        write_csv(path, list(self.columns), self.rows())


def write_csv(
    path: str | Path,
    names: Sequence[str],
    rows: Iterator[list[Any]],
) -> None:
    """Write rows under their names; the file appears when it is complete.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    path = Path(path)
    try:
        with atomic_file(path) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
            writer = csv.writer(text)
            writer.writerow(names)
            writer.writerows(rows)
            text.detach()
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error


def _plain(column: NDArray[Any]) -> list[Any]:
    values = column.tolist()
    if column.dtype.kind == "b":
        return [int(v) for v in values]
    if column.dtype.kind == "f":
        return [None if v != v else float(f"{v:.10g}") for v in values]
    return list(values)


def short_unit(unit: str) -> str:
    """A unit as it is written in names of columns, such as ``um``."""
    return SHORT_UNITS.get(unit, unit.replace(" ", "_"))


def bounds_names(axis: str) -> tuple[str, str]:
    """Columns of the bounding box along an axis letter."""
    return f"bbox_{axis.lower()}_start", f"bbox_{axis.lower()}_stop"


def title(name: str, unit: str) -> str:
    """A column's name for people: ``area_um2`` becomes ``area (µm²)``."""
    short = short_unit(unit)
    for power, sign in (("3", "³"), ("2", "²"), ("", "")):
        ending = f"_{short}{power}"
        if name.endswith(ending) and not name.startswith("intensity"):
            words = name.removesuffix(ending).replace("_", " ")
            words = re.sub(r"^axis (\w+)$", r"\1 axis", words)
            return f"{words} ({UNIT_SIGNS.get(short, short)}{sign})"
    return name.replace("_", " ")
