"""What to do when it does not learn: the next step, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_unet.live.judge import Verdict
from napari_unet.live.messages import Hint
from napari_unet.live.strokes import StrokeBook
from napari_unet.live.window import Window

if TYPE_CHECKING:
    from napari_unet.live.learner import LiveLearner

FEW_STROKES = 3
"""Strokes of a class below which more are asked for."""
FEW_SHARE = 0.1
"""A class with less than this share of the strokes of the largest is asked for."""
LOW_AGREEMENT = 0.7
"""Below this share of strokes that can be told apart, they contradict each other."""
ENOUGH_VOXELS = 200
FLAT_CONTRAST = 0.02
"""Standard deviation of normalised pixels below which a plane is empty."""
AROUND = 64
"""Pixels around strokes that are looked at for structure."""
THIN, LARGE = 2.5, 0.8
"""Width of strokes' objects in pixels, and share of a patch, that are no good scale."""
GAP = 0.5
"""Nats between held-out and training loss that mean overfitting."""


@dataclass(frozen=True)
class Learning:
    """Where a live run stands."""

    book: StrokeBook
    learner: LiveLearner
    verdict: Verdict
    best_loss: float
    """Lowest loss of the held-out strokes since strokes came last."""
    view: Window | None
    """What the person looks at."""


def advise(state: Learning) -> tuple[Hint, ...]:
    """Everything worth saying, most important first."""
    return (
        *_flat(state),
        *_wrong_plane(state),
        *_few_strokes(state),
        *_contradiction(state),
        *_overfitting(state),
        *_scale(state),
    )


def _few_strokes(state: Learning) -> Iterator[Hint]:
    counts = state.book.stroke_counts()
    objects = state.learner.task == "objects"
    names = ["background", "objects"] if objects else [
        c.name for c in state.book.classes
    ]  # fmt: skip
    for position, (name, count) in enumerate(zip(names, counts.tolist(), strict=True)):
        if count >= FEW_STROKES and count >= FEW_SHARE * counts.max():
            continue
        value = state.book.classes[min(position, len(state.book.classes) - 1)].value
        found = "no stroke" if count == 0 else (
            "one stroke" if count == 1 else f"{count} strokes"
        )  # fmt: skip
        yield Hint(
            "few strokes",
            f"There is {found} of {name!r}: paint it in more places."
            if count < 2
            else f"There are only {found} of {name!r}: paint it in more places.",
            "paint",
            {"class": value},
        )


def _contradiction(state: Learning) -> Iterator[Hint]:
    enough = int(state.book.counts().sum()) >= ENOUGH_VOXELS
    if enough and state.learner.agreement < LOW_AGREEMENT:
        yield Hint(
            "contradiction",
            f"Only {state.learner.agreement:.0%} of what you painted looks different "
            "from the other classes: check for strokes of the wrong class, or that run "
            "over an edge.",
            "next",
        )


def _overfitting(state: Learning) -> Iterator[Hint]:
    loss = state.verdict.loss
    if loss is None or not np.isfinite(state.best_loss):
        return
    if loss > state.best_loss + GAP:
        yield Hint(
            "overfitting",
            "It learns your strokes by heart and gets worse elsewhere: paint in places "
            "that look different from those you have.",
            "next",
        )


def _flat(state: Learning) -> Iterator[Hint]:
    if state.view is None:
        return
    sample, _ = next(state.view.samples())
    pixels = state.learner.patches.read(sample, state.view.spatial)
    if pixels.size > 64 and float(pixels.std()) < FLAT_CONTRAST:
        yield Hint(
            "flat",
            "What you look at is almost uniformly grey: there is nothing to learn "
            "from here. Look at another plane or image.",
        )


def _wrong_plane(state: Learning) -> Iterator[Hint]:
    """Strokes on planes that hold nothing, as when a slider was left elsewhere."""
    for number, sample in state.book.samples.items():
        annotated = (sample.index >= 0).view(np.int8)
        planes = range(annotated.shape[0]) if annotated.ndim == 3 else [None]
        for z in planes:
            found = ndimage.find_objects(annotated if z is None else annotated[z])
            if not found:
                continue
            plane = () if z is None else ((z, z + 1),)
            sizes = annotated.shape[-2:]
            # Around the strokes: the rest of a large plane may be empty indeed.
            read = tuple(
                (max(0, s.start - AROUND), min(n, s.stop + AROUND))
                for s, n in zip(found[0], sizes, strict=True)
            )
            pixels = state.learner.patches.read(number, (*plane, *read))
            if float(pixels.std()) < FLAT_CONTRAST:
                box = (*plane, *((0, n) for n in sizes))
                around = Window.around(state.learner.source, number, box)
                yield Hint(
                    "wrong plane",
                    "There are strokes on a plane without any structure: is it the "
                    "right one?",
                    "go_to",
                    {"box": [list(b) for b in around]},
                )
                return


def _scale(state: Learning) -> Iterator[Hint]:
    """Objects of which a patch shows only a piece, or that are hardly pixels wide."""
    if state.learner.task != "objects":
        return
    extents, widths = [], []
    for sample in state.book.samples.values():
        if sample.instances is None:
            continue
        # Ids may be sparse and huge: find_objects wants them compact.
        ids = np.unique(sample.instances[sample.instances > 0])
        compact = np.zeros(sample.instances.shape, np.int32)
        painted = sample.instances > 0
        compact[painted] = np.searchsorted(ids, sample.instances[painted]) + 1
        for number, box in enumerate(ndimage.find_objects(compact), start=1):
            own = compact[box] == number
            extents.append(max(s.stop - s.start for s in box[-2:]))
            widths.append(
                2 * float(ndimage.distance_transform_edt(np.pad(own, 1)).max())
            )
    if not extents:
        return
    edge = state.learner.plan.patch_size[-1]
    if float(np.median(extents)) > LARGE * edge:
        yield Hint(
            "large objects",
            f"Your objects are about {np.median(extents):.0f} pixels wide, and the "
            f"network sees {edge} at a time: scale the image down, or set a larger "
            "patch size under Advanced.",
            "rescale",
        )
    elif float(np.median(widths)) < THIN:
        yield Hint(
            "small objects",
            "Your objects are only two or three pixels wide: scale the image up, so "
            "that the network can see their form.",
            "rescale",
        )
