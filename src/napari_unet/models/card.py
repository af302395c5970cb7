"""README.md of a package: the model card that people read."""

from __future__ import annotations

from napari_unet.models.info import ModelInfo
from napari_unet.models.rdf import DEFAULT_LICENSE, UNET_DOI, describe

OBJECTS_RECIPE = """## From maps to objects

The network gives two maps: the probability that a pixel belongs to an object, and the
distance to the object's edge, divided by its largest value inside the object. The
objects themselves are found afterwards, which a BioImage.IO package cannot hold.
napari-unet-live does it by itself. Elsewhere:

1. take the pixels whose foreground is above {foreground_threshold:g};
2. put one seed at each peak of the distance that stands out by at least
   {prominence:g} from the pass to a higher one (an h-maxima transform);
3. grow the seeds by a watershed of the negative distance within those pixels;
4. drop what is smaller than {min_size} pixels.

```python
import numpy as np
from skimage.measure import label
from skimage.morphology import h_maxima, remove_small_objects
from skimage.segmentation import watershed

foreground, distance = maps  # each (Z) Y X
mask = foreground > {foreground_threshold:g}
seeds = label(h_maxima(np.where(mask, distance, 0), {prominence:g}))
objects = watershed(-distance, seeds, mask=mask)
objects = remove_small_objects(objects, {min_size})
```
"""

LABELS_RECIPE = """## From maps to labels

Every map is the probability of one class; the label of a pixel is that of its largest
map. Labels in the result, in the order of the maps: {values}.
"""


def readme(info: ModelInfo, *, cover: str | None) -> str:
    """The model card in Markdown."""
    parts = [
        f"# {info.name}",
        info.card.description or f"This is {describe(info)}",
    ]
    if cover:
        parts.append(
            f"![A training image and its segmentation]({cover})\n\n"
            "*A piece of a training image, and what the model makes of it.*"
        )
    parts += [
        _facts(info),
        _training(info),
        _validation(info),
        _limits(info),
        _recipe(info),
        _licence(info),
        _reproduce(info),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _table(rows: list[tuple[str, str]]) -> str:
    lines = ["| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in rows if value]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _facts(info: ModelInfo) -> str:
    low, high = info.normalization.low, info.normalization.high
    size = " × ".join(f"{s:g}" for s in info.voxel_size)
    rows = [
        (
            "Images",
            f"{info.ndim}D ({info.spatial}), {_count(info.n_channels, 'channel')}",
        ),
        ("Pixel size", f"{size} {info.unit}" if size else ""),
        ("Maps", ", ".join(info.maps)),
        (
            "Intensities",
            f"each channel of an image from its {low:g}. to its {high:g}. percentile "
            "to 0 … 1",
        ),
        ("Network", info.network.name),
    ]
    return "## What it takes and gives\n\n" + _table(rows)


def _training(info: ModelInfo) -> str:
    training = info.training
    annotated = ", ".join(f"{n}: {v:,}" for n, v in training.annotated_voxels.items())
    objects = ", ".join(f"{n}: {v:,}" for n, v in training.annotated_objects.items())
    shown = ", ".join(training.images[:10])
    if len(training.images) > 10:
        shown += ", …"
    images = f"{_count(training.n_images, 'image')} ({shown})" if shown else ""
    rows = [
        ("Images", images),
        ("Annotated", annotated),
        ("Annotated objects", objects),
        (
            "Training",
            f"{training.steps:,} steps in {training.seconds / 60:.1f} minutes on "
            f"{training.device}"
            if training.steps
            else "",
        ),
        ("Fingerprint of the data", training.fingerprint),
    ]
    return "## What it was trained on\n\n" + _table(rows)


def _validation(info: ModelInfo) -> str:
    training = info.training
    title = "## Validation\n\n"
    scores = dict(training.scores)
    if training.score is not None:
        scores = {training.score_name: training.score, **scores}
    if not scores:
        return (
            title + "No part of the annotation was held back, so nothing was measured."
        )
    rows = [(name, f"{v:.3f}{_interval(info, name)}") for name, v in scores.items()]
    return (
        f"{title}On a part of the annotation that was held back from training:\n\n"
        f"{_table(rows)}\n\nImages of another kind may give other scores: check the "
        "model on images of your own before you rely on it."
    )


def _interval(info: ModelInfo, name: str) -> str:
    found = info.training.intervals.get(name)
    return f" (95 % interval {found[0]:.3f} to {found[1]:.3f})" if found else ""


def _limits(info: ModelInfo) -> str:
    own = f"{info.card.limits}\n\n" if info.card.limits else ""
    size = " × ".join(f"{s:g}" for s in info.voxel_size)
    scale = f" and pixels of about {size} {info.unit}" if size else ""
    return (
        f"## Limits\n\n{own}It knows images like those it was trained on{scale}. "
        "Percentiles belong to the whole image: software that normalises tile by tile "
        "gives other results at the borders of tiles."
    )


def _recipe(info: ModelInfo) -> str:
    if info.task == "objects" and info.decoder is not None:
        return OBJECTS_RECIPE.format(**info.decoder.model_dump())
    if info.task == "classes":
        values = [f"{c.result_value} = {c.name}" for c in info.classes]
        return LABELS_RECIPE.format(values=", ".join(values))
    return ""


def _licence(info: ModelInfo) -> str:
    card = info.card
    if card.license:
        text = f"{card.license}."
    else:
        text = (
            f"None was chosen. The package names {DEFAULT_LICENSE}, which is usual in "
            "the BioImage Model Zoo; the author may choose another one before sharing."
        )
    authors = f"\n\nBy {', '.join(card.authors)}." if card.authors else ""
    cite = [f"- {entry}" for entry in card.cite]
    cite.append(f"- Ronneberger, Fischer and Brox 2015, U-Net, doi:{UNET_DOI}")
    return f"## Licence\n\n{text}{authors}\n\n## Please cite\n\n" + "\n".join(cite)


def _reproduce(info: ModelInfo) -> str:
    training = info.training
    versions = ", ".join(f"{n} {v}" for n, v in training.versions.items() if v)
    rows = [
        ("Saved", info.created),
        ("Software", versions),
        ("Random seed", "" if training.seed is None else str(training.seed)),
    ]
    return (
        "## How it was made\n\nMade with napari-unet-live. All settings of the "
        f"training are in `rdf.yaml` under `config`.\n\n{_table(rows)}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
