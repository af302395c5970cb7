"""Kinds of errors and their colours; light, so that the viewer may read it."""

from __future__ import annotations

from typing import Literal

Kind = Literal["missed", "invented", "split", "merged", "confused"]
KINDS: tuple[Kind, ...] = ("missed", "invented", "split", "merged", "confused")
"""In the order of their values in the error map: 1, 2, 3, 4, 5."""
OBJECTS: tuple[Kind, ...] = ("missed", "invented", "split", "merged")
"""Kinds of wrong objects."""
REGIONS: tuple[Kind, ...] = ("missed", "invented", "confused")
"""Kinds of wrong pixels."""
COLORS: dict[Kind, str] = {
    "missed": "#ee6677",
    "invented": "#ccbb44",
    "split": "#66ccee",
    "merged": "#aa3377",
    "confused": "#4477aa",
}
"""Paul Tol's "bright" scheme: apart for most colour-blind readers."""
