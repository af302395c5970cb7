"""The model that a live run leaves."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from napari_unet.data.normalization import NormalizationInfo
from napari_unet.device import describe, versions
from napari_unet.live.judge import Verdict
from napari_unet.models.example import Example, example_from
from napari_unet.models.info import ModelInfo, TrainingSummary
from napari_unet.models.model import Model
from napari_unet.models.provenance import data_fingerprint
from napari_unet.segmentation.settings import DecoderInfo

if TYPE_CHECKING:
    from napari_unet.live.learner import LiveLearner
    from napari_unet.live.strokes import StrokeBook


def live_model(
    learner: LiveLearner,
    book: StrokeBook,
    verdict: Verdict,
    name: str,
    steps: int,
    seconds: float,
) -> Model:
    """The averaged network with everything that its file has to tell."""
    source = learner.source
    network = deepcopy(learner.average.network).cpu().eval()
    annotated = book.voxels().tolist()
    names = [c.name for c in book.classes]
    summary = TrainingSummary(
        images=[source.name],
        n_images=1,
        fingerprint=data_fingerprint([book.annotation]),
        annotated_voxels=dict(zip(names, annotated, strict=False)),
        annotated_objects=dict(zip(names, book.stroke_counts().tolist(), strict=False)),
        seed=learner.config.seed,
        steps=steps,
        seconds=round(seconds, 1),
        score=verdict.score,
        score_name="mean Dice of held-out strokes" if verdict.score is not None else "",
        device=describe(learner.device, learner.precision),
        config=learner.config.model_dump(mode="json"),
        versions=versions(),
    )
    decoder = None
    if learner.task == "objects":
        decoder = DecoderInfo(min_size=smallest_object(book))
    info = ModelInfo(
        name=name,
        task=learner.task,
        spatial="ZYX" if source.ndim == 3 else "YX",
        n_channels=source.n_channels,
        classes=book.classes,
        network=learner.plan.network,
        normalization=NormalizationInfo(
            low=learner.config.low_percentile, high=learner.config.high_percentile
        ),
        decoder=decoder,
        voxel_size=list(learner.plan.voxel_size),
        unit=source.unit,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training=summary,
    )
    return Model(network, info, _example(book))


def _example(book: StrokeBook) -> Example:
    """A piece of the image around a stroke."""
    sample = next(iter(book.samples), 0)
    return example_from(book.annotation, sample)


def smallest_object(book: StrokeBook) -> int:
    """Voxels below which an object is noise: a quarter of the smallest painted."""
    sizes = [s.smallest for s in book.samples.values() if s.smallest is not None]
    return max(4, min(sizes) // 4) if sizes else 10
