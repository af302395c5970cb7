"""Held-out strokes as judges: how good the network is, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.live.learner import TRUST, LiveLearner
from napari_unet.live.strokes import MIN_HELD_OUT, StrokeBook
from napari_unet.metrics.classes import class_scores

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the U-Net in the answer that are compared."""
PRIOR = 4.0
"""How much held-out strokes must gain, in nats, to move that share by 1."""
MAX_STROKES = 24
"""Held-out strokes that are looked at; beyond, the newest."""
DRAWS = 300
"""Bootstrap draws for the interval."""

TOO_FEW = "Too few annotations to tell how good it is: go on painting."


@dataclass(frozen=True)
class Verdict:
    """What held-out strokes say."""

    score: float | None
    """Mean Dice; ``None`` with too few strokes to tell."""
    low: float | None
    high: float | None
    loss: float | None
    """Mean negative log-likelihood of a stroke, in nats."""
    text: str


NO_VERDICT = Verdict(None, None, None, None, TOO_FEW)


def judge(learner: LiveLearner, book: StrokeBook) -> Verdict:
    """Segment the held-out strokes, choose the U-Net's share, and score.

    The share is moved only as far as the strokes insist: a few of them say little.
    """
    strokes = book.held_out()[-MAX_STROKES:]
    values = {value for _, _, value in strokes}
    if len(strokes) < MIN_HELD_OUT or len(values) < 2:
        return NO_VERDICT
    opinions = learner.previewer()
    logs: list[list[NDArray[np.float32]]] = [[] for _ in SHARES]
    for sample, voxels, _ in strokes:
        low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
        box = tuple((int(a), int(b)) for a, b in zip(low, high, strict=True))
        pixels, unet = opinions.opinions(learner.patches, sample, box)
        at = (slice(None), *(voxels - low).T)
        for share, found in zip(SHARES, logs, strict=True):
            found.append(_mixed(pixels[at], unet[at], share))
    losses = [
        [
            float(-log[value].mean())
            for log, (_, _, value) in zip(f, strokes, strict=True)
        ]
        for f in logs
    ]
    expected = TRUST
    costs = [
        sum(loss) + PRIOR * (share - expected) ** 2 * 4
        for share, loss in zip(SHARES, losses, strict=True)
    ]
    best = int(np.argmin(costs))
    learner.trust_factor = SHARES[best] / expected
    learner.set_trust()
    tables = np.stack(
        [
            np.bincount(log.argmax(axis=0), minlength=book.n_outputs)
            for log in logs[best]
        ]
    )
    return _scored(tables, [v for _, _, v in strokes], losses[best])


def _mixed(
    pixels: NDArray[np.float32], unet: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Log-probabilities ``K P`` of both opinions together."""
    both = (1 - share) * pixels + share * unet
    both = both - both.max(axis=0)
    log: NDArray[np.float32] = both - np.log(np.exp(both).sum(axis=0))
    return log


def _scored(
    tables: NDArray[np.int64], values: Sequence[int], losses: Sequence[float]
) -> Verdict:
    """Mean Dice with its interval.

    Parameters
    ----------
    tables : ndarray, strokes x K
        Voxels of each stroke by the class that was found.
    values : sequence of int
        The class of each stroke.
    """
    truth = np.array(values)
    chooser = np.random.default_rng(0)
    score = _dice(tables, truth)
    drawn = []
    for _ in range(DRAWS):
        # Within each class, so that no draw lacks one.
        pick = np.concatenate(
            [
                chooser.choice(np.flatnonzero(truth == v), (truth == v).sum())
                for v in np.unique(truth)
            ]
        )
        drawn.append(_dice(tables[pick], truth[pick]))
    low, high = (float(v) for v in np.percentile(drawn, [2.5, 97.5]))
    text = (
        f"Score {score:.2f} ({low:.2f} to {high:.2f}) on {len(values)} strokes "
        "that were held back: a cautious figure, as strokes lie where it was wrong."
    )
    return Verdict(score, low, high, float(np.mean(losses)), text)


def _dice(tables: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    k = tables.shape[1]
    # The last column is for values that are no class.
    confusion = np.zeros((k, k + 1), np.int64)
    np.add.at(confusion[:, :k], truth, tables)
    return float(np.nan_to_num(class_scores([confusion], range(k), None).mean_dice))
