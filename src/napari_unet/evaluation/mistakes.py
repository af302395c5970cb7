"""What is wrong, and where: missed, invented, split and merged objects.

An object is *split* where two or more predicted objects lie mostly inside it, and a
predicted object *merges* those true ones that lie mostly inside it. Every other object
without a match is *missed* or *invented*. For classes the same words are used for
pixels: foreground that was not found, background that was called foreground, and
*confused* where one class was taken for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_matrix

from napari_unet.evaluation.kinds import KINDS, REGIONS, Kind
from napari_unet.evaluation.places import Places
from napari_unet.metrics import Overlaps, match, overlaps

MOSTLY = 0.5
"""Share of an object that has to lie inside another one to be a part of it."""
WORTH_NAMING = 0.1
"""A part below this share of the whole is debris, not a part."""
NAMED = 5
"""Most parts that a sentence names."""
MOST_REGIONS = 500
"""Most regions of wrong pixels that are listed of one frame, the largest first."""

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Mistake:
    """One error."""

    kind: Kind
    label: int
    """True label of what is missed or split, predicted one of what is not."""
    others: tuple[int, ...]
    """Labels of the parts: predicted ones of a split, true ones of a merger."""
    size: int
    """Pixels."""
    centroid: tuple[float, ...]
    """Along every axis of the labels, in voxels."""
    box: Box
    """Start and stop along every axis of the labels."""
    image: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What happened, for a list."""
        *first, last = [str(n) for n in self.others[:NAMED]] or [""]
        if len(self.others) > NAMED:
            last += ", …"
        others = f"{', '.join(first)} and {last}" if first else last
        return {
            "missed": f"{self.label} was not found",
            "invented": f"{self.label} is not there",
            "split": f"{self.label} was cut into {others}",
            "merged": f"{self.label} joins {others}",
            "confused": f"class {self.label} was taken for {others}",
        }[self.kind]


@dataclass(frozen=True)
class Mistakes:
    """All errors of a frame."""

    map: NDArray[np.uint8]
    """0 where nothing is wrong, else the position in `KINDS` plus 1."""
    listed: list[Mistake]
    """The largest first."""
    counts: Counter[Kind]
    """How many there are of each kind, listed or not."""


def object_mistakes(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    iou: float = 0.5,
    found: Overlaps | None = None,
) -> Mistakes:
    """Errors of an instance segmentation.

    Parameters
    ----------
    truth, prediction : array of int, (Z) Y X
        0 is background; truth below 0 is not annotated.
    iou : float
        Objects that overlap this much match.
    found : Overlaps, optional
        Of the two, if it is known already.
    """
    found = overlaps(truth, prediction) if found is None else found
    splits, mergers = _families(found)
    partner = match(found.iou, iou)
    lone_true = np.ones(len(found.true_ids), bool)
    lone_true[partner[partner >= 0]] = False
    lone = (partner < 0) & ~found.ignorable
    for row, parts in splits.items():
        lone_true[row] = False
        lone[parts] = False
    for column, parts in mergers.items():
        lone[column] = False
        lone_true[parts] = False
    places = Places(truth), Places(prediction)
    chosen: list[tuple[Kind, int, int, Sequence[int]]] = [
        ("missed", 0, int(n), ()) for n in found.true_ids[lone_true]
    ]
    chosen += [("invented", 1, int(n), ()) for n in found.ids[lone]]
    chosen += [
        ("split", 0, int(found.true_ids[row]), found.ids[parts].tolist())
        for row, parts in splits.items()
    ]
    chosen += [
        ("merged", 1, int(found.ids[column]), found.true_ids[parts].tolist())
        for column, parts in mergers.items()
    ]
    drawn = np.zeros(truth.shape, np.uint8)
    mistakes = []
    for kind, side, label, others in chosen:
        box, inside = places[side].pixels(label)
        drawn[box][inside] = KINDS.index(kind) + 1
        mistakes.append(_mistake(kind, label, others, box, inside))
    drawn[truth < 0] = 0
    counts: Counter[Kind] = Counter(m.kind for m in mistakes)
    return Mistakes(drawn, _largest_first(mistakes), counts)


def _families(
    found: Overlaps,
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Parts of true objects that were split, and of predicted ones that merge."""
    table = found.shared.tocoo()
    true_area, area = found.true_area[table.row], found.area[table.col]
    worth = table.data >= WORTH_NAMING * np.maximum(true_area, area)
    inside_true = worth & (table.data >= MOSTLY * area)
    inside_made = worth & (table.data >= MOSTLY * true_area)

    def several(where: NDArray[np.bool_], by_column: bool) -> dict[int, list[int]]:
        chosen = csr_matrix(
            (np.ones(int(where.sum())), (table.row[where], table.col[where])),
            table.shape,
        )
        chosen = chosen.T.tocsr() if by_column else chosen
        counts = np.diff(chosen.indptr)
        return {
            int(k): chosen.indices[chosen.indptr[k] : chosen.indptr[k + 1]].tolist()
            for k in np.flatnonzero(counts > 1)
        }

    return several(inside_true, False), several(inside_made, True)


def class_mistakes(
    truth: NDArray[Any], prediction: NDArray[Any], background: int | None = 0
) -> Mistakes:
    """Errors of a semantic segmentation, as connected regions of one kind.

    Parameters
    ----------
    truth, prediction : array of int, (Z) Y X
        Truth below 0 is not annotated.
    background : int, optional
        Value that is no class; every error is a confusion without one.
    """
    wrong = (truth >= 0) & (truth != prediction)
    drawn = np.where(wrong, KINDS.index("confused") + 1, 0).astype(np.uint8)
    if background is not None:
        drawn[wrong & (prediction == background)] = KINDS.index("missed") + 1
        drawn[wrong & (truth == background)] = KINDS.index("invented") + 1
    mistakes: list[Mistake] = []
    counts: Counter[Kind] = Counter()
    for kind in REGIONS:
        regions, count = ndimage.label(drawn == KINDS.index(kind) + 1)
        if not count:
            continue
        counts[kind] = int(count)
        sizes = np.bincount(regions.ravel())[1:]
        boxes = ndimage.find_objects(regions)
        for number in np.argsort(-sizes, kind="stable")[:MOST_REGIONS]:
            box = boxes[number]
            inside = regions[box] == number + 1
            true_class = _most(truth[box][inside])
            taken = _most(prediction[box][inside])
            label = taken if kind == "invented" else true_class
            others = (taken,) if kind == "confused" else ()
            mistakes.append(_mistake(kind, label, others, box, inside))
    return Mistakes(drawn, _largest_first(mistakes)[:MOST_REGIONS], counts)


def _most(values: NDArray[Any]) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def _mistake(
    kind: Any,
    label: int,
    others: Sequence[int],
    box: tuple[slice, ...],
    inside: NDArray[np.bool_],
) -> Mistake:
    places = np.nonzero(inside)
    return Mistake(
        kind=kind,
        label=label,
        others=tuple(int(n) for n in others),
        size=len(places[0]),
        centroid=tuple(
            float(axis.mean() + cut.start)
            for axis, cut in zip(places, box, strict=True)
        ),
        box=tuple((cut.start, cut.stop) for cut in box),
    )


def _largest_first(mistakes: list[Mistake]) -> list[Mistake]:
    return sorted(mistakes, key=lambda m: -m.size)
