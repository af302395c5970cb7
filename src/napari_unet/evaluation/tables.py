"""Scores as text, plain values, and CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from napari_unet import __version__
from napari_unet.evaluation.kinds import OBJECTS, REGIONS, Kind
from napari_unet.evaluation.results import Evaluation, Score
from napari_unet.evaluation.tallies import Key
from napari_unet.metrics import ObjectCounts, class_scores, pool

HEADINGS = ("score", "of", "value", "low", "high", "interval over", "mean of images")
IN_BRIEF = (0.5, 0.75, 0.9)
"""IoU at which object scores are shown first."""
SHORT = {
    "pixel": "px",
    "micrometer": "µm",
    "nanometer": "nm",
    "millimeter": "mm",
}


def number(score: float, digits: int = 3) -> str:
    """A score for people; a dash where there is none."""
    return "–" if math.isnan(score) else f"{score:.{digits}f}"


def between(score: Score, digits: int = 3) -> str:
    """The interval of a score for people."""
    if math.isnan(score.low):
        return "–"
    return f"{number(score.low, digits)} to {number(score.high, digits)}"


def label(score: Score, made: Evaluation) -> str:
    """What a score is, in a few words."""
    unit = SHORT.get(made.unit, made.unit)
    name = score.name
    if name == "Hausdorff 95":
        name += f" ({unit})"
    if name == "boundary F-score":
        name += f" (within {made.tolerance:g} {unit})"
    if made.settings.task == "classes" and score.of.lstrip("-").isdecimal():
        if score.of == "0" and made.settings.background:
            return f"{name}, background"
        return f"{name}, class {score.of}"
    return name if score.of == "all" else f"{name}, {score.of}"


def in_brief(made: Evaluation) -> list[Score]:
    """The scores that most people ask for, in order."""
    if made.settings.task == "classes":
        names = ("mean Dice", "mean IoU", "pixel error")
        first = [made.get(Key(name)) for name in names]
        return [s for s in first if s is not None] + [
            s
            for s in made.scores
            if not s.name.startswith("mean ")
            and s.name not in ("pixel error", "variation of information")
            and not (s.of == "0" and made.settings.background)
            and s.of not in ("split", "merge")
        ]
    wanted = made.settings.thresholds
    brief = [t for t in IN_BRIEF if t in wanted] or list(wanted[:3])
    keys = [Key("AP", f"IoU {t:.2f}") for t in brief]
    keys += [s.key for s in made.scores if s.name == "mean AP"]
    of = f"IoU {brief[0]:.2f}"
    keys += [Key(n, of) for n in ("F1", "precision", "recall", "panoptic quality")]
    keys += [
        Key("Dice", "foreground"),
        Key("IoU", "foreground"),
        Key("pixel error", "foreground"),
        Key("Hausdorff 95", "matched objects"),
        Key("boundary F-score"),
        Key("V_Rand"),
        Key("V_Info"),
    ]
    return [s for key in keys if (s := made.get(key)) is not None]


def error_counts(made: Evaluation) -> dict[Kind, int]:
    """Errors by kind, of all images."""
    kinds = OBJECTS if made.settings.task == "objects" else REGIONS
    return {kind: made.errors[kind] for kind in kinds}


def as_dict(made: Evaluation) -> dict[str, Any]:
    """Plain values for JSON; a score that does not exist is ``None``."""
    settings = made.settings
    report: dict[str, Any] = {
        "task": settings.task,
        "annotation": settings.annotation,
        "images": len(made.images),
        "version": __version__,
        **_pooled(made),
        "scores": [
            {
                "score": s.name,
                "of": s.of,
                "value": _plain(s.value),
                "low": _plain(s.low),
                "high": _plain(s.high),
                "over": s.over,
                "units": s.units,
                "mean_of_images": _plain(s.image_mean),
            }
            for s in made.scores
        ],
        "interval": {
            "level": settings.level,
            "resamples": settings.resamples,
            "seed": settings.seed,
        },
        "unit": made.unit,
        "tolerance": _plain(made.tolerance),
        "errors": error_counts(made),
        "per_image": [
            {
                "name": image.name,
                "annotated_pixels": image.pixels,
                "errors": image.errors.total(),
                **(
                    {"true_objects": image.n_true, "predicted_objects": image.n_found}
                    if settings.task == "objects"
                    else {}
                ),
                "scores": {
                    f"{k.name}, {k.of}": _plain(image.score(k)) for k in image.tallies
                },
            }
            for image in made.images
        ],
        "notes": made.notices,
    }
    if made.reliability is not None:
        report["calibration"] = {
            "ece": _plain(made.reliability.ece),
            "curve": made.reliability.curve(),
        }
        if made.reliability.before is not None:
            report["calibration"]["ece_before"] = _plain(made.reliability.before.ece)
    if made.robustness:
        report["robustness"] = [
            {
                "images": p.name,
                "score": p.score.name,
                "of": p.score.of,
                "value": _plain(p.score.value),
                "low": _plain(p.score.low),
                "high": _plain(p.score.high),
            }
            for p in made.robustness
        ]
    return report


def _pooled(made: Evaluation) -> dict[str, Any]:
    """The scores as earlier versions wrote them."""
    if made.settings.task == "objects":
        counts = pooled_objects(made)
        report: dict[str, Any] = {"thresholds": counts.as_dict()}
        if any(0.5 <= t <= 0.9 for t in counts.thresholds):
            report["mean_ap_0.50_0.90"] = counts.mean_ap()
        return report
    matrices = [i.confusion for i in made.images if i.confusion is not None]
    background = 0 if made.settings.background else None
    return class_scores(matrices, made.values, background).as_dict()


def pooled_objects(made: Evaluation) -> ObjectCounts:
    """Matches over all images, of task ``objects``."""
    return pool(i.counts for i in made.images if i.counts is not None)


def score_rows(made: Evaluation) -> list[list[str]]:
    """All scores, with headings in the first row."""
    rows = [list(HEADINGS)]
    for s in made.scores:
        numbers = [_exact(n) for n in (s.value, s.low, s.high)]
        rows.append([s.name, s.of, *numbers, s.over, _exact(s.image_mean)])
    return rows


def image_rows(made: Evaluation) -> list[list[str]]:
    """One row an image, with headings in the first row."""
    keys = list(dict.fromkeys(k for image in made.images for k in image.tallies))
    names = [k.name if k.of == "all" else f"{k.name}, {k.of}" for k in keys]
    rows = [["image", "annotated pixels", "errors", *names]]
    for image in made.images:
        scores = [_exact(image.score(key)) for key in keys]
        rows.append([image.name, str(image.pixels), str(image.errors.total()), *scores])
    return rows


def csv_text(made: Evaluation) -> str:
    """A table for spreadsheets: pooled scores, then every image.

    Long form, one number a row: ``image,score,of,value,low,high,interval over``. The
    rows without an image are of all images together.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", *HEADINGS[:-1]])
    for s in made.scores:
        numbers = [_exact(n) for n in (s.value, s.low, s.high)]
        writer.writerow(["", s.name, s.of, *numbers, s.over])
    for image in made.images:
        for key in image.tallies:
            value = _exact(image.score(key))
            writer.writerow([image.name, key.name, key.of, value, "", "", ""])
    return buffer.getvalue()


def _exact(score: float) -> str:
    return "" if math.isnan(score) else f"{score:.6g}"


def _plain(score: float) -> float | None:
    return None if math.isnan(score) else score
