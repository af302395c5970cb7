from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_unet
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.errors import AnnotationError, ConfigError, DataError, UserError
from napari_unet.metrics.objects import match_objects
from napari_unet.models.model import Model
from napari_unet.prediction import predictor
from napari_unet.workflows import TileDone, block_job, exhaust, predict, train

QUICK = {"device": "cpu", "base_channels": 8, "learning_rate": 5e-3}


def discs(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright balls on a dark ground, and their ids."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number in range(1, int(np.prod(shape) ** 0.5 / 8) + 2):
        centre = [rng.integers(0, n) for n in shape]
        square = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        labels[(square < 64) & (labels == 0)] = number
    image = 200.0 * (labels > 0) + rng.normal(100, 25, shape)
    return image.clip(0).astype(np.uint16), labels


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_whole_run_learns_classes_in_seconds(tmp_path: Path) -> None:
    image, labels = discs((128, 128), 0)
    model = napari_unet.train(
        image,
        (labels > 0).astype(np.uint8),
        annotation="complete",
        max_steps=120,
        **QUICK,
    )
    path = model.save(tmp_path / "m.bioimage.io.zip")
    other, truth = discs((150, 101), 1)
    found = napari_unet.predict(napari_unet.load_model(path), other)
    assert found.dtype == np.int32
    assert iou(found > 0, truth > 0) > 0.9


def test_a_whole_run_learns_objects_from_sparse_annotation() -> None:
    image, labels = discs((160, 160), 0)
    sparse = np.where(labels > 0, labels + 1, 1)
    sparse[:, :60] = 0  # nobody looked here
    model = napari_unet.train(
        image, sparse, task="objects", annotation="sparse", max_steps=80, **QUICK
    )
    other, truth = discs((150, 101), 2)
    found, maps = napari_unet.predict(model, other, probabilities=True)
    assert maps.shape == (2, 150, 101)
    assert match_objects(truth, found, (0.5,)).ap[0] > 0.7


def test_a_whole_run_in_3d_with_two_channels_and_time() -> None:
    image, labels = discs((16, 48, 48), 0)
    noise = np.random.default_rng(1).integers(0, 99, image.shape, np.uint16)
    stack = np.stack([image, noise])
    model = napari_unet.train(
        stack, labels > 0, annotation="complete", axes="CZYX", max_steps=40, **QUICK
    )
    assert model.info.spatial == "ZYX"
    assert model.info.n_channels == 2
    movie = np.stack([stack, stack[:, ::-1]])
    found = napari_unet.predict(model, movie, axes="TCZYX")
    assert found.shape == (2, 16, 48, 48)
    assert iou(found[0] > 0, labels > 0) > 0.8
    assert iou(found[1] > 0, labels[::-1] > 0) > 0.8


@pytest.fixture(scope="module")
def tiny() -> Model:
    image, labels = discs((64, 64), 0)
    return napari_unet.train(
        image, labels > 0, annotation="complete", max_steps=2, **QUICK
    )


@pytest.mark.parametrize("axes", ["TYX", "YXT", "ZTYX", "XYT"])
def test_axes_in_any_order_give_labels_in_the_same_order(
    tiny: Model, axes: str
) -> None:
    lengths = {"T": 2, "Z": 3, "Y": 40, "X": 24}
    base = np.random.default_rng(0).random([lengths[a] for a in "TZYX"])
    order = "TZYX" if "Z" in axes else "TYX"
    base = base if "Z" in axes else base[:, 0]
    image = base.transpose([order.index(a) for a in axes])
    found = napari_unet.predict(tiny, image, axes=axes)
    assert found.shape == image.shape
    expected = napari_unet.predict(tiny, base, axes=order)
    np.testing.assert_array_equal(
        found.transpose([axes.index(a) for a in order]), expected
    )


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i4", "f2", "f4", "f8", bool])
def test_every_dtype_predicts(tiny: Model, dtype: str) -> None:
    image = (np.random.default_rng(0).random((33, 47)) * 100).astype(dtype)
    assert napari_unet.predict(tiny, image).shape == (33, 47)


def test_current_view_equals_the_whole_there(tiny: Model) -> None:
    image = np.random.default_rng(0).random((3, 90, 80))
    source = ImageSource((image,), "ZYX", ndim=2)
    whole = exhaust(predict(tiny, source)).labels
    part = exhaust(predict(tiny, source, samples=[1], region=((20, 70), (5, 61))))
    assert part.labels.shape == (1, 50, 56)
    assert (part.labels[0] == whole[1, 20:70, 5:61]).mean() > 0.99


def test_stop_keeps_what_is_there(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    # One plane at a time, so that there is a moment between them.
    monkeypatch.setitem(predictor.MAX_BATCH_VOXELS, "cpu", 1)
    image = np.random.default_rng(0).random((5, 40, 40))
    events: list = []
    result = exhaust(
        predict(tiny, ImageSource((image,), "TYX"), stop=lambda: len(events) >= 2),
        events.append,
    )
    assert not result.complete
    assert [e for e in events if isinstance(e, TileDone)][-1].done < 5


def test_stop_does_not_wait_until_objects_are_cut(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(tiny, info=tiny.info.model_copy(update={"task": "objects"}))
    cutting, let_go = threading.Event(), threading.Event()

    def endless(foreground: np.ndarray, *_: object, **__: object) -> np.ndarray:
        cutting.set()
        let_go.wait(60)
        return np.ones(foreground.shape, np.int32)

    monkeypatch.setattr(block_job, "decode_objects", endless)
    image = np.random.default_rng(0).random((40, 40))
    result = exhaust(predict(model, ImageSource((image,), "YX"), stop=cutting.is_set))
    let_go.set()
    assert not result.complete
    assert not result.labels.any()


def test_errors_while_objects_are_cut_arrive(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(tiny, info=tiny.info.model_copy(update={"task": "objects"}))

    def broken(*_: object, **__: object) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(block_job, "decode_objects", broken)
    with pytest.raises(MemoryError, match="too large"):
        exhaust(predict(model, ImageSource((np.zeros((40, 40)),), "YX")))


def test_probabilities_of_samples_go_where_they_are_wanted(tiny: Model) -> None:
    image = np.random.default_rng(0).random((40, 3, 24))
    source = ImageSource((image,), "YTX")
    whole = exhaust(predict(tiny, source, probabilities=True))
    assert whole.probabilities.shape == (2, 40, 3, 24)
    np.testing.assert_allclose(
        whole.probabilities.astype(np.float32).sum(axis=0), 1, atol=2e-3
    )
    out = np.zeros((2, 1, 40, 24), np.float16)
    part = exhaust(predict(tiny, source, samples=[2], probabilities_out=out))
    assert part.probabilities is out
    np.testing.assert_array_equal(out[:, 0], whole.probabilities[:, :, 2])
    np.testing.assert_array_equal(part.labels[0], whole.labels[:, 2])


def test_results_carry_the_annotation_values() -> None:
    image, labels = discs((96, 96), 0)
    painted = np.where(labels > 0, 7, 1)
    painted[:10] = 0
    model = napari_unet.train(
        image, painted, annotation="sparse", max_steps=40, **QUICK
    )
    assert set(np.unique(napari_unet.predict(model, image))) == {0, 7}
    assert [(c.value, c.background) for c in model.info.classes] == [
        (1, True),
        (7, False),
    ]


def pair(labels: np.ndarray, rule: str = "sparse", **options: object) -> Annotation:
    source = ImageSource((np.zeros(labels.shape, np.uint8),), "YX")
    return Annotation(labels, source, rule, **options)


@pytest.mark.parametrize(
    ("labels", "task", "sentence"),
    [
        (np.zeros((32, 32), int), "classes", "Nothing is annotated"),
        (np.full((32, 32), 2), "classes", "Only label 2 is annotated"),
        (np.ones((32, 32), int), "objects", "Only background is annotated"),
        (np.full((32, 32), 2), "objects", "No background is annotated"),
    ],
)
def test_bad_annotation_gets_its_sentence(labels, task, sentence) -> None:
    with pytest.raises(AnnotationError, match=sentence):
        next(train([pair(labels)], training_config(task=task)))


def test_bad_data_gets_its_sentence(tiny: Model) -> None:
    with pytest.raises(DataError, match="at least one"):
        next(train([], training_config()))
    with pytest.raises(DataError, match="was trained on 1 channel"):
        napari_unet.predict(tiny, np.zeros((2, 32, 32)), axes="CYX")
    labels = np.random.default_rng(0).integers(1, 3, (64, 64))
    config = training_config(patch_size=(8, 32, 32))
    with pytest.raises(UserError, match="patch size has 3 numbers"):
        next(train([pair(labels)], config))
    with pytest.raises(ConfigError, match="'stepz'"):
        training_config(stepz=4)
    with pytest.raises(DataError, match="1 images came with 2 labels"):
        napari_unet.train([np.zeros((8, 8))], [1, 2], annotation="sparse")


def test_street_scenes_without_background() -> None:
    image, labels = discs((96, 96), 0)
    scene = np.where(labels > 0, 2, 1)
    scene[:20] = 0  # void
    model = napari_unet.train(
        image,
        scene,
        annotation="complete",
        background=False,
        max_steps=40,
        **QUICK,
    )
    assert set(np.unique(napari_unet.predict(model, image))) == {1, 2}


def test_the_docstring_of_train_runs() -> None:
    import doctest

    from napari_unet import api

    result = doctest.testmod(api)
    assert result.attempted >= 5
    assert result.failed == 0
