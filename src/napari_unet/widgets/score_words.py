"""Scores of models in words that need no glossary; the exact ones are for tooltips."""

from __future__ import annotations

from napari_unet.models.info import TrainingSummary

IN_WORDS = {
    "mean Dice": "pixels that agree",
    "mean Dice of held-out strokes": "held-out strokes that agree",
    "mean AP@0.5:0.9": "objects found and outlined well",
    "R²": "differences in value explained",
}
"""What a score says, by its name in the field."""

HELD_OUT = "on annotation that was held back from learning"


def score_in_words(training: TrainingSummary) -> str:
    """A score such as "objects found and outlined well: 77 %"; empty without one."""
    if training.score is None:
        return ""
    words = IN_WORDS.get(training.score_name)
    if words is None:
        return f"{training.score_name or 'score'}: {training.score:.2f}"
    return f"{words}: {_percent(training.score)} %"


def interval_in_words(training: TrainingSummary) -> str:
    """Its interval, such as " (70 to 83 %)"; empty where nobody estimated one."""
    interval = training.intervals.get(training.score_name)
    if interval is None or training.score is None:
        return ""
    low, high = interval
    if training.score_name not in IN_WORDS:
        return f" ({low:.2f} to {high:.2f})"
    return f" ({_percent(low)} to {_percent(high)} %)"


def exact_score(training: TrainingSummary) -> str:
    """The same with the name that the field gives it: "mean Dice 0.774 on …"."""
    if training.score is None:
        return ""
    return f"{training.score_name or 'score'} {training.score:.3f} {HELD_OUT}"


def _percent(share: float) -> int:
    # What is not perfect is not called so.
    return 99 if 0.99 < share < 1 else round(100 * share)
