from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.source import ImageSource
from napari_unet.live.advice import Learning, advise
from napari_unet.live.judge import NO_VERDICT, Verdict
from napari_unet.live.messages import Hint
from napari_unet.live.patches import LivePatches
from napari_unet.live.strokes import StrokeBook
from napari_unet.live.window import Window


def state(
    labels: NDArray[Any],
    image: NDArray[Any] | None = None,
    *,
    task: Any = "classes",
    agreement: float = 1.0,
    loss: float | None = 0.2,
    best_loss: float = 0.2,
    view: Any = None,
    patch: int = 64,
    axes: str = "",
) -> Learning:
    if image is None:
        image = np.random.default_rng(0).integers(0, 255, labels.shape, np.uint8)
    source = ImageSource((image,), axes or "ZYX"[3 - labels.ndim :])
    classes = object_classes(1) if task == "objects" else make_classes([1, 2], 1)
    book = StrokeBook(Annotation(labels, source, "sparse"), task, classes)
    for sample in range(source.n_samples):
        book.update(sample)
    sizes = (patch,) * source.ndim
    intensity = measure_range(source, NormalizationInfo())
    patches = LivePatches(source, intensity, book, sizes, (0,) * source.ndim)
    learner: Any = SimpleNamespace(
        source=source,
        patches=patches,
        task=task,
        agreement=agreement,
        plan=SimpleNamespace(patch_size=sizes),
    )
    return Learning(
        book=book,
        learner=learner,
        verdict=NO_VERDICT if loss is None else Verdict(0.9, 0.8, 1.0, loss, "good"),
        best_loss=best_loss,
        view=None if view is None else Window(source, view),
    )


def painted(shape: tuple[int, ...] = (100, 100)) -> NDArray[np.int32]:
    """Enough of both classes."""
    labels = np.zeros(shape, np.int32)
    for i in range(6):
        labels[..., 10 * i : 10 * i + 2, 5:30] = 1
        labels[..., 10 * i : 10 * i + 2, 50:80] = 2
    return labels


def kinds(*args: Any, **options: Any) -> list[str]:
    return [hint.kind for hint in advise(state(*args, **options))]


WHOLE = ((0, 100), (0, 100))


def test_a_good_state_needs_no_advice() -> None:
    assert advise(state(painted(), view=WHOLE)) == ()
    assert advise(state(painted(), loss=None, best_loss=math.inf)) == ()
    stack = np.zeros((6, 100, 100), np.int32)
    stack[3] = painted()
    assert advise(state(stack)) == ()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "There is no stroke of 'class 2': paint it in more places."),
        (1, "There is one stroke of 'class 2': paint it in more places."),
        (2, "There are only 2 strokes of 'class 2': paint it in more places."),
    ],
)
def test_few_strokes(count: int, text: str) -> None:
    labels = painted()
    labels[10 * count :][labels[10 * count :] == 2] = 0
    assert advise(state(labels)) == (Hint("few strokes", text, "paint", {"class": 2}),)


def test_few_strokes_next_to_very_many() -> None:
    labels = np.zeros((200, 200), np.int32)
    labels[::4, :100:4] = 1
    labels[0, 150:160] = labels[10, 150:160] = labels[20, 150:160] = 2
    (hint,) = advise(state(labels))
    assert hint.text.startswith("There are only 3 strokes of 'class 2'")


def test_few_objects_are_asked_for_by_name() -> None:
    labels = painted()
    labels[labels == 2] = 0
    labels[60:80, 60:80] = 5
    (hint,) = advise(state(labels, task="objects"))
    assert hint.text == "There is one stroke of 'objects': paint it in more places."
    assert hint.value == {"class": 2}
    labels[labels == 1] = 0
    background, _ = advise(state(labels, task="objects"))
    assert "'background'" in background.text
    assert background.value == {"class": 1}


def test_contradiction() -> None:
    (hint,) = advise(state(painted(), agreement=0.6))
    assert (hint.kind, hint.action) == ("contradiction", "next")
    assert hint.text.startswith("Only 60% of what you painted")
    few = np.zeros((100, 100), np.int32)
    few[::20, 5:8], few[::20, 50:53] = 1, 2
    assert kinds(few, agreement=0.6) == []


def test_overfitting() -> None:
    (hint,) = advise(state(painted(), loss=0.8, best_loss=0.2))
    assert (hint.kind, hint.action) == ("overfitting", "next")
    assert kinds(painted(), loss=0.6, best_loss=0.2) == []


def test_flat() -> None:
    image = np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint8)
    image[:50, :50] = 100
    assert kinds(painted(), image, view=((0, 50), (0, 50))) == ["flat"]
    assert kinds(painted(), image, view=((50, 100), (0, 50))) == []


def test_strokes_on_an_empty_plane() -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 100, 100)).astype(np.uint8)
    image[2] = 0
    labels = np.zeros(image.shape, np.int32)
    labels[1] = painted()
    assert kinds(labels, image) == []
    labels[2, 5, 5:20] = 1
    (hint,) = advise(state(labels, image))
    assert (hint.kind, hint.action) == ("wrong plane", "go_to")
    assert hint.value == {"box": [[2, 3], [0, 100], [0, 100]]}
    (hint,) = advise(state(labels, image, axes="TYX"))
    assert hint.value == {"box": [[2, 3], [0, 100], [0, 100]]}


def test_what_is_far_from_the_strokes_may_be_empty() -> None:
    image = np.zeros((1000, 1000), np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (150, 150))
    image[:150, :150] = noise
    labels = np.zeros(image.shape, np.int32)
    labels[:100, :100] = painted()
    assert kinds(labels, image) == []


def squares(size: int) -> NDArray[np.int32]:
    labels = np.zeros((300, 300), np.int32)
    for i in range(4):
        labels[70 * i : 70 * i + size, 10 : 10 + size] = 900_000_000 + i
        labels[70 * i : 70 * i + 4, 200:210] = 1
    return labels


@pytest.mark.parametrize(
    ("size", "found"),
    [(2, ["small objects"]), (30, []), (60, ["large objects"])],
)
def test_scale(size: int, found: list[str]) -> None:
    assert kinds(squares(size), task="objects") == found
    assert kinds(np.where(squares(size) > 1, 2, squares(size))) == []


def test_the_sentence_about_scale_has_numbers() -> None:
    (hint,) = advise(state(squares(60), task="objects"))
    assert "about 60 pixels wide" in hint.text
    assert "sees 64 at a time" in hint.text
    assert hint.action == "rescale"
