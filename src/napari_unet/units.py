"""Units of length: how files and people spell them, and how long they are."""

from __future__ import annotations

METRES = {
    "picometer": 1e-12,
    "angstrom": 1e-10,
    "nanometer": 1e-9,
    "micrometer": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "meter": 1.0,
}
"""Length of a unit in metres, by the name that is used here."""
UNITS = {
    "": "pixel",
    "pixel": "pixel",
    "pixels": "pixel",
    "px": "pixel",
    "voxel": "pixel",
    "voxels": "pixel",
    "pm": "picometer",
    "a": "angstrom",
    "å": "angstrom",
    "nm": "nanometer",
    "um": "micrometer",
    "µm": "micrometer",  # the micro sign
    "μm": "micrometer",  # the Greek letter
    "\\u00b5m": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "inch": "inch",
    "in": "inch",
}
"""Spellings (lower case), and the words used here."""
LENGTHS = frozenset(METRES) | {"inch"}
"""Names of units that are a length."""


def unit_name(text: object) -> str:
    """The word for a unit as a file or a person spells it."""
    spelled = str(text).strip().lower()
    return UNITS.get(spelled, spelled.replace("metre", "meter"))
