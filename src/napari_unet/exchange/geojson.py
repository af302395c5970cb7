"""GeoJSON as QuPath and StarDist for QuPath read and write it.

Coordinates are pixels of the full resolution; the first pixel reaches from 0 to 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.exchange.outlines import Polygon, Ring, objects_of
from napari_unet.exchange.shapes import Shape
from napari_unet.files import atomic_file

LABEL_KEY = "label"


def read_geojson(path: Path) -> tuple[list[Shape], list[str]]:
    """Areas of a file, and sentences about what was left out.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds no areas.
    """
    try:
        plain = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}: check the path.") from error
    except OSError as error:
        raise DataError(
            f"{path} could not be read: {error.strerror or error}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path.name} is no GeoJSON: export it again, in QuPath with File » "
            "Export objects as GeoJSON (uncompressed)."
        ) from error
    shapes: list[Shape] = []
    others = 0
    try:
        for feature in _features(plain):
            found = _shapes(feature)
            shapes += found
            others += not found
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            f"{path.name} is damaged: what it says about an outline cannot be "
            "understood. Export it again."
        ) from error
    if not shapes:
        raise DataError(
            f"{path.name} holds no areas: points and lines cannot become labels."
        )
    notes = []
    if others:
        what = (
            "1 line or point was" if others == 1 else f"{others:,} lines or points were"
        )
        notes.append(f"{what} left out: only areas become labels.")
    return shapes, notes


def _features(plain: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(plain, list):  # older QuPath
        for entry in plain:
            yield from _features(entry)
    elif plain["type"] == "FeatureCollection":
        yield from plain["features"]
    elif plain["type"] == "Feature":
        yield plain
    else:
        yield {"geometry": plain, "properties": {}}


def _shapes(feature: Mapping[str, Any]) -> list[Shape]:
    """The area of a feature; several where pieces of one object lie apart."""
    geometry = feature["geometry"]
    if geometry is None:
        return []
    properties = feature.get("properties") or {}
    rings = tuple(_rings(geometry))
    if not rings:
        return []
    place: Mapping[str, Any] = geometry.get("plane") or {}
    plane = {a: int(place[a.lower()]) for a in "TZ" if a.lower() in place}
    name, color = _class(properties)
    said = str((properties.get("metadata") or {}).get(LABEL_KEY))
    label = int(said) if said.isdecimal() and int(said) > 0 else None
    return [Shape(rings, plane, label, name, color)]


def _rings(geometry: Mapping[str, Any]) -> Iterator[Ring]:
    kind = geometry["type"]
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _rings(part)
    if kind not in ("Polygon", "MultiPolygon"):
        return
    coordinates = geometry["coordinates"]
    for polygon in [coordinates] if kind == "Polygon" else coordinates:
        for corners in polygon:
            ring = np.array([(float(c[0]), float(c[1])) for c in corners])
            if not np.isfinite(ring).all():
                raise ValueError("coordinates that are no numbers")
            if len(ring) > 2:
                yield ring


def _class(properties: Mapping[str, Any]) -> tuple[str | None, str | None]:
    given = properties.get("classification")
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, dict):
        return None, None
    names = given.get("names") or [given.get("name")]
    name = ": ".join(str(n) for n in names if n) or None
    return name, _color(given)


def _color(given: Mapping[str, Any]) -> str | None:
    color = given.get("color")
    if isinstance(color, list) and len(color) == 3:
        red, green, blue = (int(c) & 255 for c in color)
        return f"#{red:02x}{green:02x}{blue:02x}"
    packed = given.get("colorRGB")
    if isinstance(packed, int | float) and math.isfinite(packed):
        return f"#{int(packed) & 0xFFFFFF:06x}"
    return None


def write_geojson(
    path: Path,
    labels: NDArray[Any],
    axes: str,
    classes: Mapping[int, tuple[str, str]] | None = None,
) -> int:
    """Write every object of each plane as QuPath imports it.

    Parameters
    ----------
    path : Path
        Replaced once the new one is complete.
    labels : array of int, axes `axes`
    axes : str
        Out of ``TZYX``, ending with ``YX``.
    classes : mapping, optional
        Name and colour (``#rrggbb``) by label: the labels then are classes.

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
    try:
        with atomic_file(path) as file:
            file.write(b'{"type": "FeatureCollection", "features": [')
            for index in np.ndindex(*labels.shape[:-2]):
                plane = dict(zip(axes[:-2], index, strict=True))
                for value, polygons in objects_of(np.asarray(labels[index])):
                    feature = _feature(value, polygons, plane, classes)
                    file.write(b",\n" if count else b"\n")
                    file.write(json.dumps(feature).encode())
                    count += 1
            file.write(b"\n]}\n")
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error
    return count


def _feature(
    value: int,
    polygons: Sequence[Polygon],
    plane: Mapping[str, int],
    classes: Mapping[int, tuple[str, str]] | None,
) -> dict[str, Any]:
    coordinates = [[_closed(ring) for ring in polygon] for polygon in polygons]
    one = len(coordinates) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if one else "MultiPolygon",
        "coordinates": coordinates[0] if one else coordinates,
    }
    if plane:
        geometry["plane"] = {"c": -1, "z": plane.get("Z", 0), "t": plane.get("T", 0)}
    properties: dict[str, Any] = {
        "objectType": "detection" if classes is None else "annotation",
        "metadata": {LABEL_KEY: str(value)},
    }
    if classes is None:
        properties["name"] = str(value)
    elif value in classes:
        name, color = classes[value]
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        properties["classification"] = {"name": name, "color": rgb}
    place = "-".join(f"{a}{i}" for a, i in plane.items())
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_OID, f"{place}/{value}")),
        "geometry": geometry,
        "properties": properties,
    }


def _closed(ring: Ring) -> list[list[int]]:
    corners = [[int(x), int(y)] for x, y in ring]
    return [*corners, corners[0]]
