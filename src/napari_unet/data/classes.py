"""Classes: values in the annotation, names and colours, kept through to results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

PALETTE = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#ee7733",
    "#009988",
    "#ddaa33",
    "#bbbbbb",
)
"""Paul Tol's "bright" scheme, extended: apart for most colour-blind readers."""

BACKGROUND_COLOR = "#8c6d46"


class ClassInfo(BaseModel):
    """One class of a semantic segmentation, or the objects of an instance one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: int
    """Value in the annotation; results carry the same, with background as 0."""
    name: str
    color: str
    """``#rrggbb``."""
    background: bool = False

    @property
    def result_value(self) -> int:
        """Value written into labels."""
        return 0 if self.background else self.value


def make_classes(values: Sequence[int], background: int | None) -> list[ClassInfo]:
    """Classes for annotation `values`, with default names and colours.

    Background, where there is one, comes first whatever its value: index 0 of the
    network's output.
    """
    classes = []
    if background is not None:
        classes.append(
            ClassInfo(
                value=background,
                name="background",
                color=BACKGROUND_COLOR,
                background=True,
            )
        )
    foreground = [v for v in values if v != background]
    for number, value in enumerate(foreground):
        classes.append(
            ClassInfo(
                value=value,
                name=f"class {value}",
                color=PALETTE[number % len(PALETTE)],
            )
        )
    return classes


def name_classes(
    values: Sequence[int], background: int | None, names: Mapping[int, str]
) -> list[ClassInfo]:
    """Classes as by :func:`make_classes`, some of them with names of their own."""
    made = make_classes(values, background if background in values else None)
    return [
        c.model_copy(update={"name": names[c.value]}) if c.value in names else c
        for c in made
    ]


def object_classes(background: int | None) -> list[ClassInfo]:
    """Background and objects: the classes of task ``objects``.

    Parameters
    ----------
    background : int, optional
        Annotation value that means background.
    """
    made = make_classes([2], background)
    return [made[0], made[-1].model_copy(update={"name": "object"})]
