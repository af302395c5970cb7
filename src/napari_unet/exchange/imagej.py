"""Regions of interest of ImageJ and Fiji: one in ``.roi``, many in ``.zip``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.exchange.outlines import Ring, objects_of, one_line
from napari_unet.exchange.shapes import Shape
from napari_unet.files import atomic_file

if TYPE_CHECKING:
    from roifile import ImagejRoi

LABEL_PROPERTY = "label"
MAX_ROI_BYTES = 64 * 2**20
MAX_ROIS = 1_000_000
OVAL_CORNERS = 128
MAGIC = b"Iout"

DAMAGE = (
    ValueError,
    TypeError,
    IndexError,
    RuntimeError,  # of roifile, for paths that it does not know
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
)


def is_roi_file(path: Path) -> bool:
    """Whether a file holds regions of ImageJ; quick."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if not n.startswith("__MACOSX")]
                return bool(names) and all(n.endswith((".roi", "/")) for n in names)
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except (OSError, *DAMAGE):
        return False


def read_rois(path: Path, planes: str = "") -> tuple[list[Shape], list[str]]:
    """Areas of a file, and sentences about what was left out.

    Parameters
    ----------
    path : Path
    planes : str
        Which of ``TZ`` the image has: a stack position is meant along that axis.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds no areas.
    """
    from roifile import ImagejRoi

    shapes, lines = [], 0
    try:
        for data in _entries(path):
            roi = ImagejRoi.frombytes(data)
            rings = _rings(roi)
            if rings:
                shapes.append(_shape(roi, rings, planes))
            else:
                lines += 1
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}: check the path.") from error
    except OSError as error:
        raise DataError(
            f"{path} could not be read: {error.strerror or error}."
        ) from error
    except DAMAGE as error:
        raise DataError(
            f"{path.name} is damaged or holds no regions of ImageJ: save them again "
            "with More » Save… in the ROI Manager."
        ) from error
    if not shapes:
        raise DataError(
            f"{path.name} holds no areas: points and lines cannot become labels."
        )
    notes = []
    if lines:
        what = (
            "1 line or point was" if lines == 1 else f"{lines:,} lines or points were"
        )
        notes.append(f"{what} left out: only areas become labels.")
    return shapes, notes


def _entries(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        start = file.read(4)
        if start == MAGIC:
            yield start + file.read(MAX_ROI_BYTES)
            return
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.endswith(".roi")]
        if len(names) > MAX_ROIS:
            raise ValueError("too many regions")
        for name in names:
            with archive.open(name) as file:
                yield file.read(MAX_ROI_BYTES)


def _rings(roi: ImagejRoi) -> tuple[Ring, ...]:
    """Closed lines of an area; none for lines, points and pictures."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    areas = {
        ROI_TYPE.POLYGON,
        ROI_TYPE.RECT,
        ROI_TYPE.OVAL,
        ROI_TYPE.FREEHAND,
        ROI_TYPE.TRACED,
    }
    if roi.roitype not in areas:
        return ()
    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        return ()
    if roi.roitype == ROI_TYPE.OVAL:
        return (_oval(roi),)
    if roi.roitype == ROI_TYPE.RECT and not roi.composite:
        left, top, right, bottom = _bounds(roi)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return (np.array(corners, float),)
    coordinates: list[NDArray[Any]] = list(roi.coordinates(multi=True))
    rings = [np.asarray(c, float) for c in coordinates]
    if not all(np.isfinite(r).all() for r in rings):
        raise ValueError("coordinates that are no numbers")
    return tuple(r for r in rings if len(r) > 2)


def _bounds(roi: ImagejRoi) -> tuple[float, float, float, float]:
    if roi.subpixelrect and roi.widthd > 0:
        return roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    return roi.left, roi.top, roi.right, roi.bottom


def _oval(roi: ImagejRoi) -> Ring:
    left, top, right, bottom = _bounds(roi)
    angle = np.linspace(0, 2 * np.pi, OVAL_CORNERS, endpoint=False)
    x = (left + right) / 2 + (right - left) / 2 * np.cos(angle)
    y = (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle)
    return np.stack([x, y], axis=1)


def _shape(roi: ImagejRoi, rings: tuple[Ring, ...], planes: str) -> Shape:
    plane = {}
    if roi.z_position > 0:
        plane["Z"] = roi.z_position - 1
    if roi.t_position > 0:
        plane["T"] = roi.t_position - 1
    if not plane and roi.position > 0:
        # A stack that is no hyperstack has one axis, and does not say which.
        plane[planes if len(planes) == 1 else "Z"] = roi.position - 1
    label = roi.properties.get(LABEL_PROPERTY)
    own = isinstance(label, int) and not isinstance(label, bool) and label > 0
    return Shape(
        rings,
        plane,
        label if own else None,
        class_name=f"group {roi.group}" if roi.group else None,
        color=roi.hexcolor(roi.stroke_color),
    )


def write_rois(path: Path, labels: NDArray[Any], axes: str) -> int:
    """Write an outline for each object of each plane, as ROI Manager opens it.

    Parameters
    ----------
    path : Path
        A zip file; replaced once the new one is complete.
    labels : array of int, axes `axes`
    axes : str
        Out of ``TZYX``, ending with ``YX``.

    Returns
    -------
    int
        How many outlines were written.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    count = 0
    outer = axes[:-2]
    shape = labels.shape[:-2]
    try:
        with (
            atomic_file(path) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for index in np.ndindex(*shape):
                plane = dict(zip(outer, index, strict=True))
                place = "".join(f"{a}{i + 1:04d}-" for a, i in plane.items())
                for value, polygons in objects_of(np.asarray(labels[index])):
                    name = f"{place}{value:04d}"
                    data = _roi(one_line(polygons), name, value, plane).tobytes()
                    archive.writestr(f"{name}.roi", data)
                    count += 1
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error
    return count


def _roi(line: Ring, name: str, value: int, plane: dict[str, int]) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    made = ImagejRoi.frompoints(
        line.astype(np.int32), name=name, z=plane.get("Z"), t=plane.get("T")
    )
    made.roitype = ROI_TYPE.TRACED
    # Corners, not pixels: nothing lies beyond the last one.
    made.right -= 1
    made.bottom -= 1
    if len(plane) == 1:
        made.position = next(iter(plane.values())) + 1
    made.properties = {LABEL_PROPERTY: value}
    return made
