"""The report: one HTML page with pictures, which needs no network and no other file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from napari_unet import __version__
from napari_unet.evaluation import charts
from napari_unet.evaluation.kinds import COLORS, Kind
from napari_unet.evaluation.results import Evaluation, ImageResult
from napari_unet.evaluation.tables import (
    SHORT,
    between,
    error_counts,
    image_rows,
    in_brief,
    label,
    number,
    score_rows,
)

PICTURES = 12
"""How many images a report shows, the worst ones."""
COLUMNS = 6
"""How many scores of each image stand in the table of images."""
LISTED = 100
"""How many errors it lists, the largest ones."""

STYLE = """
:root { color-scheme: light dark; --ink: #1e1e21; --quiet: #5c5f66; --line: #d9dadd;
  --paper: #fff; --accent: #1f6f9f; --band: #1f6f9f33; }
@media (prefers-color-scheme: dark) { :root { --ink: #f0f1f2; --quiet: #a8adb5;
  --line: #3d434e; --paper: #1b1c22; --accent: #66ccee; --band: #66ccee33; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); max-width: 1000px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: 0; } h2 { font-size: 1.2em; margin-top: 2em; }
.quiet, figcaption { color: var(--quiet); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 14px 3px 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
.row { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.row > svg { flex: 1 1 400px; }
figure { margin: 0 0 24px; } figure img { width: 32%; min-width: 200px;
  image-rendering: auto; vertical-align: top; }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); }
.grid { stroke: var(--line); } .line { stroke: var(--accent); stroke-width: 2;
  fill: none; } .dot, .bar { fill: var(--accent); } .band { fill: var(--band); }
.thin { stroke: var(--accent); opacity: 0.6; fill: none; }
.mean { stroke: var(--quiet); stroke-dasharray: 4 4; fill: none; }
.whisker { stroke: var(--ink); stroke-width: 2; }
.swatch { display: inline-block; width: 12px; height: 12px; margin-right: 6px;
  border-radius: 2px; }
.note { border-left: 3px solid var(--accent); padding-left: 10px; }
@media print { details { display: none; } }
"""

MEANINGS = {
    "AP": "TP / (TP + FP + FN): of all objects, true or predicted, the share that "
    "matches (Data Science Bowl 2018; Schmidt et al. 2018).",
    "mean AP": "the mean of AP over the thresholds.",
    "F1": "2 TP / (2 TP + FP + FN).",
    "precision": "the share of what was predicted that is true.",
    "recall": "the share of what is true that was predicted.",
    "panoptic quality": "the sum of the IoU of matches / (TP + FP / 2 + FN / 2) "
    "(Kirillov et al. 2019).",
    "Dice": "2 |A ∩ B| / (|A| + |B|), the F1 of pixels.",
    "IoU": "|A ∩ B| / |A ∪ B|.",
    "pixel error": "the share of annotated pixels with the wrong label.",
    "V_Rand": "F-score of the pairs of pixels that are kept together and apart "
    "rightly, within true objects (Arganda-Carreras et al. 2015).",
    "V_Info": "the same for information (ibid.).",
    "Hausdorff 95": "95 % of either boundary lie within this distance of the other; "
    "mean over images or matched objects.",
    "boundary F-score": "how much of either boundary lies within the tolerance of the "
    "other (Csurka et al. 2013).",
}


def report_html(made: Evaluation, title: str = "Evaluation") -> str:
    """The page.

    Parameters
    ----------
    made : Evaluation
        Its images with pictures are shown.
    title : str
    """
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{escape(_about(made))}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in made.notices),
        "<h2>Scores</h2>",
        _brief(made),
        _curves(made),
        _errors(made),
        _calibration(made),
        _robustness(made),
        _images(made),
        _pictures(made),
        _everything(made),
        _words(made),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{''.join(p for p in parts if p)}</body></html>\n"
    )


def _about(made: Evaluation) -> str:
    settings = made.settings
    count = len(made.images)
    pixels = sum(image.pixels for image in made.images)
    what = f"{count} image{'s' if count != 1 else ''}, {pixels:,} annotated pixels"
    if settings.task == "objects":
        true = sum(image.n_true for image in made.images)
        found = sum(image.n_found for image in made.images)
        what += f", {true:,} true and {found:,} predicted objects"
    today = datetime.now(UTC).date().isoformat()
    return (
        f"{what}. Task {settings.task}, {settings.annotation} annotation; pixels that "
        f"nobody annotated do not count. U-Net Live {__version__}, {today}."
    )


def _brief(made: Evaluation) -> str:
    level = f"{100 * made.settings.level:g} %"
    rows = [["", "value", f"{level} interval", "mean of images"]]
    for score in in_brief(made):
        rows.append(
            [
                label(score, made),
                number(score.value),
                between(score),
                number(score.image_mean),
            ]
        )
    over = sorted({s.over for s in in_brief(made) if s.over})
    below = (
        f"Intervals: percentile bootstrap over {' and '.join(over)}, "
        f"{made.settings.resamples:,} draws."
        if over
        else "There are too few images for intervals."
    )
    return f'{_table(rows)}<p class="quiet">{escape(below)}</p>'


def _curves(made: Evaluation) -> str:
    charts_: list[str] = []
    chosen = [s for s in made.scores if s.name == "AP"]
    if len(chosen) > 1:
        points = [
            (t, s.value) for t, s in zip(made.settings.thresholds, chosen, strict=True)
        ]
        bounds = [(s.low, s.high) for s in chosen]
        charts_.append(charts.band(points, bounds, "IoU of a match", "AP"))
    main = made.get(made.main)
    if main is not None and len(made.images) > 1:
        values = [(image.name, image.score(made.main)) for image in made.images]
        charts_.append(
            charts.dots(values, main.value, (main.low, main.high), label(main, made))
        )
    return f'<div class="row">{"".join(charts_)}</div>' if charts_ else ""


def _errors(made: Evaluation) -> str:
    counts = error_counts(made)
    cells = "".join(
        f"<tr><td>{_swatch(kind)}{kind}</td><td>{count:,}</td></tr>"
        for kind, count in counts.items()
    )
    what = "objects" if made.settings.task == "objects" else "regions of pixels"
    listed = made.mistakes[:LISTED]
    rows = [["error", "what happened", "image", "at", "pixels"]]
    for m in listed:
        at = ", ".join(f"{c:.0f}" for c in m.centroid)
        rows.append([m.kind, m.sentence, m.image, at, f"{m.size:,}"])
    table = (
        f"<details><summary>The {len(listed)} largest</summary>{_table(rows)}</details>"
        if listed
        else ""
    )
    return (
        f"<h2>Errors</h2><table><tr><th>{what}</th><th>number</th></tr>{cells}</table>"
        f"{table}"
    )


def _calibration(made: Evaluation) -> str:
    if made.reliability is None:
        return ""
    ece = made.reliability.ece
    text = (
        f"Expected calibration error {number(ece)}: the mean distance between how sure "
        "the model is and how often it is right (Guo et al. 2017). Above the dashed "
        "line it is too modest, below it too sure."
    )
    before = made.reliability.before
    if before is not None:
        text += (
            f" Without the temperature that was fitted at the end of training it is "
            f"{number(before.ece)}, the thin line."
        )
    plain = () if before is None else before.curve()
    curve = charts.reliability_curve(made.reliability.curve(), plain)
    return f"<h2>Calibration</h2><p>{text}</p><div class=row>{curve}</div>"


def _robustness(made: Evaluation) -> str:
    if not made.robustness:
        return ""
    rows = [
        (p.name, p.score.value, (p.score.low, p.score.high)) for p in made.robustness
    ]
    title = label(made.robustness[0].score, made)
    return (
        "<h2>Robustness</h2><p>The same images made worse, and segmented again.</p>"
        f'<div class="row">{charts.bars(rows, title)}</div>'
    )


def _images(made: Evaluation) -> str:
    if len(made.images) < 2:
        return ""
    heads = in_brief(made)[:COLUMNS]
    rows = [["image", *(label(s, made) for s in heads), "errors"]]
    for image in _worst_first(made):
        scores = [number(image.score(s.key)) for s in heads]
        rows.append([image.name, *scores, f"{image.errors.total():,}"])
    return f"<h2>Images</h2>{_table(rows)}"


def _pictures(made: Evaluation) -> str:
    shown = [image for image in _worst_first(made) if image.picture is not None]
    if not shown:
        return ""
    figures = []
    for image in shown:
        found = image.picture
        if found is None:
            continue
        main = number(image.score(made.main))
        caption = f"{image.name}: {main}"
        if found.where:
            caption += f" ({found.where})"
        figures.append(
            f"<figure>"
            f'<img src="{found.image}" alt="image"> '
            f'<img src="{found.prediction}" alt="prediction"> '
            f'<img src="{found.errors}" alt="errors">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    kinds = ", ".join(f"{_swatch(kind)}{kind}" for kind in error_counts(made))
    which = (
        "All images"
        if len(shown) == len(made.images)
        else f"The {len(shown)} images with the lowest scores"
    )
    return (
        f"<h2>Pictures</h2><p>{which}: the image; the prediction in colours with the "
        f"outlines of the truth in white; the errors: {kinds}.</p>{''.join(figures)}"
    )


def _everything(made: Evaluation) -> str:
    return (
        "<h2>All numbers</h2>"
        f"<details><summary>Pooled</summary>{_table(score_rows(made))}</details>"
        f"<details><summary>By image</summary>{_table(image_rows(made))}</details>"
    )


def _words(made: Evaluation) -> str:
    used = dict.fromkeys(score.name for score in made.scores)
    unit = SHORT.get(made.unit, made.unit)
    items = "".join(
        f"<li><b>{escape(name)}</b>: {escape(MEANINGS[name])}</li>"
        for name in used
        if name in MEANINGS
    )
    return (
        f"<h2>What the scores mean</h2><ul>{items}</ul>"
        f'<p class="quiet">Distances are in {escape(unit)}.</p>'
    )


def _worst_first(made: Evaluation) -> list[ImageResult]:
    def place(image: ImageResult) -> float:
        score = image.score(made.main)
        return 2.0 if math.isnan(score) else score

    return sorted(made.images, key=place)


def _swatch(kind: Kind) -> str:
    return f'<span class="swatch" style="background:{COLORS[kind]}"></span>'


def _table(rows: Sequence[Iterable[str]]) -> str:
    first, *rest = rows
    head = "".join(f"<th>{escape(cell)}</th>" for cell in first)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rest
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
