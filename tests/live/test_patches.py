from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import Box, ImageSource
from napari_unet.live import patches as module
from napari_unet.live.patches import LivePatches
from napari_unet.live.strokes import StrokeBook

RANGE = IntensityRange(np.zeros(1, np.float32), np.ones(1, np.float32))


class Drawn:
    """Patches of an image whose pixels say where they lie."""

    def __init__(
        self,
        labels: NDArray[Any],
        patch: tuple[int, ...],
        margin: tuple[int, ...] = (),
        *,
        task: Any = "classes",
        axes: str = "",
        ndim: int = 0,
    ) -> None:
        shape = labels.shape
        places = np.arange(labels.size, dtype=np.float32).reshape(shape) / 1e6
        self.source = ImageSource((places,), axes or "ZYX"[3 - len(shape) :], ndim=ndim)
        annotation = Annotation(labels, self.source, "sparse")
        classes = object_classes(1) if task == "objects" else make_classes([1, 2, 3], 1)
        self.book = StrokeBook(annotation, task, classes)
        for sample in range(self.source.n_samples):
            self.book.update(sample)
        margin = margin or (0,) * self.source.ndim
        self.patches = LivePatches(self.source, RANGE, self.book, patch, margin)
        self.asked: list[tuple[int, Box]] = []

    def belief(self, sample: int, box: Box) -> NDArray[np.float32]:
        self.asked.append((sample, box))
        place = self.source.read(sample, box).astype(np.float32)
        return np.repeat(place, self.book.n_outputs, axis=0)

    def draw(self, count: int = 60, seed: int = 0) -> Any:
        generator = torch.Generator().manual_seed(seed)
        return self.patches.draw(count, generator, self.belief)

    def where(self, batch: Any) -> NDArray[np.int64]:
        """Flat position in the image of each pixel of a batch."""
        return np.rint(batch.image[:, 0].numpy() * 1e6).astype(np.int64)


def strokes(shape: tuple[int, ...], count: int = 10) -> NDArray[np.int32]:
    labels = np.zeros(shape, np.int32)
    for i in range(count):
        labels[..., 4 * i, 2:8] = 1
        labels[..., 4 * i, 20:26] = 2
    return labels


@pytest.mark.parametrize("margin", [(0, 0), (7, 7)])
def test_patches_show_image_annotation_and_belief_of_one_place(
    margin: tuple[int, int],
) -> None:
    labels = strokes((60, 80))
    drawn = Drawn(labels, (32, 24), margin)
    batch = drawn.draw()
    assert batch.image.shape == (60, 1, 32 + 2 * margin[0], 24 + 2 * margin[1])
    assert batch.index.shape == batch.image[:, 0].shape
    assert batch.belief.shape == (60, 3, *batch.index.shape[1:])
    assert batch.distance is None
    torch.testing.assert_close(batch.belief[:, :1], batch.image)
    painted = labels.ravel()[drawn.where(batch)] - 1
    index = batch.index.numpy()
    assert (index[index >= 0] == painted[index >= 0]).all()
    assert (index >= 0).any()


def test_what_is_held_out_never_teaches() -> None:
    labels = strokes((60, 80))
    drawn = Drawn(labels, (32, 32), (7, 7))
    held = np.zeros(labels.shape, bool)
    for _, voxels, _ in drawn.book.held_out():
        held[tuple(voxels.T)] = True
    assert held.sum() == 24
    seen = np.zeros(labels.size, bool)
    for seed in range(5):
        batch = drawn.draw(seed=seed)
        where = drawn.where(batch)
        seen[where] = True
        assert (batch.index.numpy()[held.ravel()[where]] == -1).all()
    # They were looked at, though.
    assert seen[held.ravel()].all()


def test_ten_pixels_of_a_million_are_drawn() -> None:
    labels = np.zeros((1000, 1000), np.int32)
    labels[:600] = 1
    labels[900, 900:930] = 2
    labels[700, 100:105] = labels[702, 100:105] = 3
    drawn = Drawn(labels, (32, 32))
    batch = drawn.draw(120)
    having = [
        sum(bool((patch == value).any()) for patch in batch.index) for value in range(3)
    ]
    # Half of the patches lie anywhere near; the others are shared out evenly.
    assert min(having) >= 12


def test_an_image_smaller_than_the_patch() -> None:
    labels = np.zeros((20, 9), np.int32)
    labels[2, :] = 1
    labels[15, :] = 2
    drawn = Drawn(labels, (32, 32), (4, 4))
    batch = drawn.draw(8)
    assert batch.image.shape == (8, 1, 40, 40)
    # The whole image is in each, with every stroke once: mirrored ones do not count.
    assert ((batch.index == 0).sum(dim=(1, 2)) == 9).all()
    assert ((batch.index == 1).sum(dim=(1, 2)) == 9).all()
    assert set(np.unique(drawn.where(batch))) == set(range(180))


def test_mirrored_annotation_teaches_nothing() -> None:
    labels = np.ones((40, 40), np.int32)
    labels[20:] = 2
    drawn = Drawn(labels, (32, 32), (10, 10))
    for index, where in zip(
        (batch := drawn.draw(20)).index.numpy(), drawn.where(batch), strict=True
    ):
        _, counts = np.unique(where[index >= 0], return_counts=True)
        assert (counts == 1).all()


def test_a_stack_that_is_annotated_in_one_plane() -> None:
    labels = np.zeros((40, 80, 80), np.int32)
    labels[17] = strokes((80, 80))
    drawn = Drawn(labels, (8, 16, 16), (0, 3, 3))
    batch = drawn.draw(80)
    assert batch.image.shape == (80, 1, 8, 22, 22)
    planes = drawn.where(batch) // 6400
    # All lie close to the plane, and half of them show strokes.
    assert planes.min() >= 17 - 8 * 1.5 - 8
    assert planes.max() <= 17 + 8 * 1.5 + 8
    assert (batch.index >= 0).flatten(1).any(1).sum() >= 30
    annotated = np.unique(planes[batch.index.numpy() >= 0])
    assert annotated.tolist() == [17]


def test_patches_anywhere_stay_inside_the_limit() -> None:
    labels = strokes((200, 200), 40)
    drawn = Drawn(labels, (16, 16))
    drawn.book.set_limit(((40, 100), (0, 60)))
    where = drawn.where(drawn.draw(200))
    y, x = where[:, 8, 8] // 200, where[:, 8, 8] % 200
    assert y.min() >= 40 - 16
    assert y.max() < 100 + 16
    assert x.max() < 60 + 16


def test_samples_without_annotation_are_not_read() -> None:
    labels = np.zeros((5, 40, 40), np.int32)
    labels[3] = strokes((40, 40))
    drawn = Drawn(labels, (16, 16), axes="TYX")
    drawn.draw()
    assert {sample for sample, _ in drawn.asked} == {3}


def test_a_class_in_one_sample_and_another_in_the_next() -> None:
    labels = np.zeros((2, 40, 40), np.int32)
    labels[0, 5, 5:15], labels[1, 30, 5:15] = 1, 2
    drawn = Drawn(labels, (16, 16), axes="TYX")
    batch = drawn.draw()
    assert {sample for sample, _ in drawn.asked} == {0, 1}
    assert {0, 1} <= set(batch.index.unique().tolist())


def test_large_images_are_read_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Drawn(strokes((60, 80)), (32, 24), (7, 7)).draw()
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 0)
    pieces = Drawn(strokes((60, 80)), (32, 24), (7, 7))
    torch.testing.assert_close(pieces.draw().image, whole.image)
    assert pieces.patches._kept == {}


def test_distances_are_those_of_objects_that_teach() -> None:
    labels = np.zeros((120, 60), np.int32)
    for i in range(10):
        labels[12 * i : 12 * i + 9, 10:19] = i + 2
    labels[:, 40:44] = 1
    drawn = Drawn(labels, (48, 48), task="objects")
    batch = drawn.draw()
    assert (batch.distance[batch.index != 1] == 0).all()
    inside = batch.distance[batch.index == 1]
    assert inside.min() > 0
    assert inside.max() == 1


def test_the_size_can_change_in_between() -> None:
    drawn = Drawn(strokes((60, 80)), (32, 24), (7, 7))
    drawn.patches.resize((16, 8), (2, 2))
    assert drawn.draw(3).image.shape == (3, 1, 20, 12)
