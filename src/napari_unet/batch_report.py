"""The report of a batch: a table with a line for each image."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from napari_unet.errors import DataError
from napari_unet.files import atomic_file

REPORT = "report.csv"
"""Name of the report in the folder of the results."""

Status = Literal["done", "skipped", "stopped"]


@dataclass(frozen=True)
class BatchRow:
    """A line of the report."""

    image: str
    result: str
    status: Status
    reason: str = ""
    objects: int | None = None
    seconds: float = 0.0
    model: str = ""
    """Fingerprint of the model file."""


def write_report(path: Path, rows: Sequence[BatchRow]) -> None:
    """Write the report; it is replaced as a whole.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    text = io.StringIO()
    names = [f.name for f in fields(BatchRow)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = asdict(row)
        writer.writerow({k: "" if v is None else v for k, v in values.items()})
    try:
        with atomic_file(path) as file:
            file.write(text.getvalue().encode())
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error


def read_report(path: Path) -> list[BatchRow]:
    """Lines of a report; none where there is no report, or another one."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = []
        for line in csv.DictReader(io.StringIO(text)):
            values: dict[str, Any] = dict(line)
            values["objects"] = int(values["objects"]) if values["objects"] else None
            values["seconds"] = float(values["seconds"])
            rows.append(BatchRow(**values))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return rows
