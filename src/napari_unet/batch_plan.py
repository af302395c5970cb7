"""What a batch has to do: its images, where labels go, and what is done already."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.batch_report import REPORT, BatchRow, read_report
from napari_unet.errors import DataError
from napari_unet.image_io import display_name, find_images, is_zarr
from napari_unet.image_io.labels_group import image_group

if TYPE_CHECKING:
    from napari_unet.segmentation.settings import ObjectSettings


@dataclass(frozen=True)
class BatchItem:
    """An image and where its labels go."""

    image: Path
    target: Path
    """A TIFF; or, where it ends in ``.zarr``, the folder of a store; or the group
    ``labels`` of an OME-Zarr image."""

    @property
    def inside(self) -> bool:
        """Whether labels go into the image itself."""
        return self.target.is_relative_to(self.image)


def find_inputs(inputs: Sequence[str | Path]) -> list[Path]:
    """Images named by files, folders and patterns such as ``day*/*.tif``.

    Raises
    ------
    DataError
        If a folder or pattern gives no image.
    """
    images: list[Path] = []
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_dir() and not is_zarr(path):
            images += find_images(path)
        elif not path.exists() and glob.has_magic(str(path)):
            found = [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]
            found = [p for p in found if p.is_file() or is_zarr(p)]
            if not found:
                raise DataError(
                    f"No image is named like {text}: check the folder and the ending."
                )
            images += found
        else:
            images.append(path)
    return list(dict.fromkeys(images))


def plan_batch(
    images: Sequence[Path],
    output: Path,
    *,
    store: bool = False,
    separate: bool = False,
) -> list[BatchItem]:
    """Where the labels of each image go.

    Parameters
    ----------
    images : sequence of Path
    output : Path
        Folder of the results.
    store, separate : bool
        As in :class:`BatchOptions`; `separate` holds for values.

    Raises
    ------
    DataError
        If two images would give the same file, or labels would replace an image.
    """
    ending = ".ome.zarr" if store else ".tif"
    items = []
    for image in images:
        group = None if separate else image_group(image)
        if group is not None and group.writable:
            items.append(BatchItem(image, group.labels))
        else:
            items.append(BatchItem(image, output / f"{display_name(image)}{ending}"))
    sources: dict[Path, Path] = {}
    for item in items:
        if item.target in sources:
            raise DataError(
                f"{sources[item.target]} and {item.image} would both become "
                f"{item.target}: segment them into different folders."
            )
        sources[item.target] = item.image
    inputs = {item.image.resolve() for item in items}
    for item in items:
        if item.target.resolve() in inputs:
            raise DataError(
                f"The labels {item.target} would replace an image: choose another "
                "folder for them."
            )
    return items


def model_fingerprint(path: Path, *settings: str) -> str:
    """A short name for the content of a model file, and for settings that matter."""
    digest = hashlib.sha256(path.read_bytes())
    for text in settings:
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def what_matters(objects: ObjectSettings | None, masks: Path | None) -> list[str]:
    """Settings with which an image is segmented again, for `model_fingerprint`.

    Raises
    ------
    DataError
        If there is no such mask.
    """
    if masks is not None and not masks.exists():
        raise DataError(f"There is no mask {masks}: check the path.")
    texts = [] if objects is None else [objects.model_dump_json(exclude_none=True)]
    return texts if masks is None else [*texts, str(masks.resolve())]


def finished(items: Sequence[BatchItem], output: Path, model: str) -> list[BatchRow]:
    """What an earlier run of the same model has done already, by its report."""
    known = {row.image: row for row in read_report(output / REPORT)}
    rows = []
    for item in items:
        row = known.get(str(item.image.resolve()))
        if row is not None and row.status == "done" and row.model == model:
            if Path(row.result).exists():
                rows.append(row)
    return rows


def refuse_to_replace(
    items: Sequence[BatchItem], done: Sequence[BatchRow], output: Path
) -> None:
    """Let no result be replaced that an earlier run did not report.

    Stores are no trouble: they know what they were made from.

    Raises
    ------
    DataError
        With some of the names.
    """
    ours = {row.result for row in done}
    there = [
        item.target.name
        for item in items
        if item.target.is_file() and str(item.target.resolve()) not in ours
    ]
    if there:
        names = ", ".join(there[:3]) + (", …" if len(there) > 3 else "")
        verb = "is" if len(there) == 1 else "are"
        raise DataError(
            f"{names} {verb} already in {output}: choose another folder for the "
            "labels, or allow results to be replaced."
        )
