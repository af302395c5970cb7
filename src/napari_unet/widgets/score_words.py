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

MEANINGS = {
    "mean AP": "How well objects are found and outlined, over several demands on the "
    "overlap; 1 is perfect",
    "AP": "Of all true and predicted objects, the share that match; a match overlaps "
    "by at least the IoU named",
    "F1": "As AP, with matches counted twice, which forgives single errors more",
    "precision": "Of what was predicted, the share that is true",
    "recall": "Of what is true, the share that was found",
    "panoptic quality": "Objects found, times how well outlines fit; 1 is perfect",
    "mean Dice": "How well areas agree, averaged over the classes; 1 is perfect",
    "mean IoU": "Shared area over the area of both, averaged over the classes",
    "Dice": "How well areas agree: the shared area, twice, over both; 1 is perfect",
    "IoU": "Shared area over the area of both together; 1 is perfect",
    "pixel error": "The share of pixels with a wrong label; 0 is perfect",
    "Hausdorff 95": "How far outlines lie apart, but for the worst 5 %; 0 is perfect",
    "boundary F-score": "How much of the outlines agrees within a tolerance",
    "V_Rand": "Whether pieces are kept together and apart rightly; 1 is perfect",
    "V_Info": "Whether pieces are kept together and apart rightly, by information",
}
"""What scores of an evaluation say, by the beginning of their names."""

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


def meaning(name: str) -> str:
    """What a score of an evaluation says, such as that of "Dice, class 2"."""
    fitting = [key for key in MEANINGS if name.startswith(key)]
    return MEANINGS[max(fitting, key=len)] if fitting else ""


def _percent(share: float) -> int:
    # What is not perfect is not called so.
    return 99 if 0.99 < share < 1 else round(100 * share)
