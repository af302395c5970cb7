from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.source import ImageSource
from napari_unet.data.targets import centre_distance
from napari_unet.live import strokes
from napari_unet.live.strokes import StrokeBook


class Painted:
    """An annotation that is painted, and the book that keeps up with it."""

    def __init__(
        self,
        shape: tuple[int, ...] = (60, 60),
        axes: str = "",
        *,
        ndim: int = 0,
        task: Any = "classes",
        values: tuple[int, ...] = (1, 2, 3),
        background: bool = True,
        dtype: str = "int32",
    ) -> None:
        self.source = ImageSource(
            (np.zeros(shape, np.uint8),), axes or "TZYX"[4 - len(shape) :], ndim=ndim
        )
        self.labels: NDArray[Any] = np.zeros(shape, dtype)
        annotation = Annotation(self.labels, self.source, "sparse", background)
        first = 1 if background else None
        classes = (
            object_classes(first) if task == "objects" else make_classes(values, first)
        )
        self.book = StrokeBook(annotation, task, classes)

    def paint(self, value: int, *where: Any, sample: int = 0) -> bool:
        """Paint slices of one sample and tell the book of their box."""
        key = tuple(w if isinstance(w, slice) else slice(w, w + 1) for w in where)
        lead = np.unravel_index(sample, self.source.sample_shape or (1,))
        self.labels[(*lead[: len(self.source.sample_shape)], *key)] = value
        box = tuple(k.indices(n)[:2] for k, n in zip(key, self.shape, strict=True))
        return self.book.update(sample, box)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.spatial_shape

    def dots(self, value: int, count: int, x: int = 0) -> None:
        """Strokes of two pixels, far from each other, one after the other."""
        for i in range(count):
            self.paint(value, slice(4 * i, 4 * i + 1), slice(x, x + 2))

    def held(self, sample: int = 0) -> NDArray[np.bool_]:
        known = self.book.samples[sample]
        return (known.stroke < 0) & (known.index >= 0)

    def rows(self) -> list[int]:
        return sorted({int(v[0, -2]) for _, v, _ in self.book.held_out()})


def test_strokes_are_numbered_and_every_fifth_of_a_class_is_held_out() -> None:
    p = Painted()
    p.dots(1, 12)
    p.dots(2, 5, x=20)
    assert p.book.stroke_counts().tolist() == [12, 5, 0]
    assert [(v[0].tolist(), c) for _, v, c in p.book.held_out()] == [
        ([16, 0], 0),
        ([36, 0], 0),
        ([16, 20], 1),
    ]
    # Held-out strokes teach nothing.
    assert p.book.counts().tolist() == [20, 8, 0]
    teaching = p.book.samples[0].teaching
    assert teaching is not None
    assert (teaching[p.held()] == -1).all()
    assert p.book.can_teach


def test_the_last_held_out_strokes_are_the_newest_of_every_class() -> None:
    p = Painted((200, 60))
    p.dots(1, 5)
    p.dots(2, 40, x=20)
    p.dots(3, 10, x=40)
    assert [c for _, _, c in p.book.held_out()] == [1] * 6 + [1, 2, 0, 1, 2]
    rows = [(c, int(v[0, 0])) for _, v, c in p.book.held_out()[-3:]]
    assert rows == [(0, 16), (1, 156), (2, 36)]


def test_nothing_is_held_out_on_request() -> None:
    p = Painted()
    p.book.numbering.every = 0
    p.dots(1, 12)
    assert p.book.held_out() == []
    assert p.book.counts()[0] == 24


def test_the_share_of_strokes_that_are_held_out_can_be_chosen() -> None:
    p = Painted()
    p.book.numbering.every = StrokeBook(
        p.book.annotation, "classes", p.book.classes, hold_out=0.5
    ).numbering.every
    p.dots(1, 12)
    # The first ones teach, whatever their number.
    assert len(p.book.held_out()) == 6


def test_a_held_out_stroke_stays_so_when_more_is_painted() -> None:
    p = Painted()
    p.dots(1, 5)
    before = p.held()
    p.dots(2, 9, x=20)
    p.paint(1, 50, slice(0, 30))
    # On to the held-out stroke: a little more of it belongs to it.
    p.paint(1, 16, slice(2, 4))
    assert (p.held() & before).sum() == before.sum() == 2
    assert p.rows() == [16]
    assert p.held()[16, 0:4].all()


def test_what_is_close_to_a_held_out_stroke_does_not_teach_its_class() -> None:
    p = Painted()
    p.dots(1, 5)
    p.paint(1, slice(18, 22), slice(0, 2))  # two pixels below
    p.paint(2, slice(14, 15), slice(0, 2))  # another class is no twin
    teaching = p.book.samples[0].teaching
    assert teaching is not None
    assert (teaching[18:20, 0:2] == -1).all()
    assert (teaching[20:22, 0:2] == 0).all()
    assert (teaching[14, 0:2] == 1).all()


def test_erasing_a_part_keeps_the_rest_held_out() -> None:
    p = Painted()
    p.dots(1, 5)
    p.paint(0, 16, 0)
    assert np.argwhere(p.held()).tolist() == [[16, 1]]
    p.paint(0, 16, 1)
    assert p.book.held_out() == []
    assert p.book.stroke_counts()[0] == 4


@pytest.mark.parametrize("row", [0, 16])
def test_undo_brings_back_what_a_stroke_was(row: int) -> None:
    """A stroke that taught must never measure, nor the other way round."""
    p = Painted()
    p.dots(1, 9)
    before = p.book.samples[0].stroke.copy()
    for _ in range(7):
        p.paint(0, row, slice(0, 2))
        assert p.book.stroke_counts()[0] == 8
        p.paint(1, row, slice(0, 2))
    np.testing.assert_array_equal(p.book.samples[0].stroke, before)
    assert p.rows() == [16]


def test_undo_of_everything_brings_everything_back() -> None:
    p = Painted()
    p.dots(1, 10)
    p.dots(2, 10, x=30)
    before, rows = p.labels.copy(), p.rows()
    p.paint(0, slice(None), slice(None))
    assert p.book.counts().tolist() == [0, 0, 0]
    assert p.book.held_out() == []
    assert not p.book.can_teach
    p.labels[:] = before
    assert p.book.update(0)
    assert p.rows() == rows
    assert p.book.stroke_counts().tolist() == [10, 10, 0]


def test_painted_over_by_another_class_is_another_stroke() -> None:
    p = Painted()
    p.dots(1, 5)
    p.paint(2, 16, slice(0, 2))
    assert p.book.held_out() == []
    assert p.book.stroke_counts().tolist() == [4, 1, 0]
    p.paint(1, 16, slice(0, 2))
    # Not the old one: in between, the place taught something else.
    assert p.book.stroke_counts().tolist() == [5, 0, 0]


def test_strokes_joined_by_a_new_one_keep_what_they_were() -> None:
    p = Painted()
    p.dots(1, 5)
    p.paint(1, slice(12, 17), slice(0, 2))
    assert np.argwhere(p.held()).tolist() == [[16, 0], [16, 1]]
    known = p.book.samples[0]
    # The bridge teaches, but not within three pixels of what measures.
    assert (known.stroke[12:16, 0:2] > 0).all()
    assert known.teaching is not None
    assert (known.teaching[13:17, 0:2] == -1).all()
    assert (known.teaching[12, 0:2] == 0).all()


def test_a_fill_around_a_held_out_stroke_teaches() -> None:
    p = Painted()
    p.dots(1, 5)
    p.dots(2, 5, x=20)
    p.paint(0, slice(0, 14), slice(0, 2))  # only the held-out one is left to touch
    p.labels[p.labels == 0] = 1
    p.book.update(0)
    assert p.book.counts()[0] > 3000
    assert p.held()[16, 0:2].all()
    assert p.held().sum() == 4  # two pixels of each class


def test_a_stroke_larger_than_all_that_teaches_is_not_held_out() -> None:
    p = Painted()
    p.dots(1, 4)
    p.paint(1, slice(20, 40), slice(0, 20))
    assert p.book.held_out() == []
    p.paint(1, 50, slice(0, 10))
    assert p.rows() == [50]
    # The next one is the fifth after that.
    for i in range(5):
        p.paint(1, 55, slice(4 * i, 4 * i + 2))
    assert p.rows() == [50, 55]


def test_one_update_of_many_strokes_is_like_many_updates() -> None:
    p, q = Painted(), Painted()
    p.dots(1, 12)
    q.labels[:] = p.labels
    q.book.update(0)
    assert q.rows() == p.rows() == [16, 36]


def test_a_box_that_holds_nothing_new_is_no_news() -> None:
    p = Painted()
    assert not p.paint(0, slice(0, 9), slice(0, 9))
    p.dots(1, 3)
    before = p.book.samples[0]
    assert not p.book.update(0)
    assert not p.paint(1, 4, slice(0, 2))
    assert not p.paint(9, 30, 30)  # not one of the classes
    assert p.book.samples[0] is before


def test_a_stroke_told_in_pieces_is_one() -> None:
    p = Painted()
    for x in range(0, 40, 4):
        p.paint(2, 30, slice(x, x + 4))
    assert p.book.stroke_counts().tolist() == [0, 1, 0]


def test_diagonal_neighbours_are_one_stroke() -> None:
    p = Painted()
    for i in range(6):
        p.labels[i, i] = 1
    p.book.update(0)
    assert p.book.stroke_counts()[0] == 1


def test_samples_count_together_and_are_kept_apart() -> None:
    p = Painted((3, 20, 20), "TYX")
    for sample in (0, 1, 2):
        p.paint(1, 2, slice(0, 2), sample=sample)
        p.paint(1, 10, slice(0, 2), sample=sample)
        p.paint(2, 15, slice(0, 2), sample=sample)
    # The fifth stroke of class 1 is the first of the last sample.
    assert [(s, v[0].tolist()) for s, v, _ in p.book.held_out()] == [(2, [2, 0])]
    assert p.book.stroke_counts().tolist() == [6, 3, 0]
    p.paint(0, slice(None), slice(None), sample=2)
    assert p.book.stroke_counts().tolist() == [4, 2, 0]


def test_planes_of_a_stack_as_samples_or_as_depth() -> None:
    flat, deep = Painted((4, 20, 20), ndim=2), Painted((4, 20, 20), ndim=3)
    for z in range(4):
        flat.paint(1, 3, slice(0, 5), sample=z)
        deep.paint(1, z, 3, slice(0, 5))
    assert flat.book.stroke_counts()[0] == 4
    assert deep.book.stroke_counts()[0] == 1
    assert deep.book.counts()[0] == 20


def test_the_limit_bounds_what_teaches_and_measures() -> None:
    p = Painted()
    p.dots(1, 12)
    p.book.set_limit(((0, 20), (0, 60)))
    assert p.book.counts()[0] == 8
    assert p.rows() == [16]
    p.paint(1, 56, slice(0, 9))  # outside
    assert p.book.counts()[0] == 8
    p.book.set_limit(((24, 60), (0, 60)))
    assert p.rows() == [36]
    p.book.set_limit(None)
    assert p.rows() == [16, 36]
    assert p.book.counts()[0] == 29


def test_a_new_class_without_a_stroke_is_counted_at_once() -> None:
    p = Painted(values=(1, 2))
    p.dots(1, 3)
    p.dots(2, 3, x=20)
    p.book.set_classes(make_classes([1, 2, 7], 1))
    assert p.book.counts().tolist() == [6, 6, 0]
    assert p.book.stroke_counts().tolist() == [3, 3, 0]
    p.paint(7, 50, slice(0, 5))
    assert p.book.counts().tolist() == [6, 6, 5]


def test_a_removed_class_leaves_the_held_out_strokes_of_the_others() -> None:
    p = Painted()
    p.dots(2, 10)
    p.dots(3, 10, x=20)
    before = [(v.tolist(), c) for _, v, c in p.book.held_out() if c == 2]
    p.book.set_classes(make_classes([1, 3], 1))
    assert [(v.tolist(), c + 1) for _, v, c in p.book.held_out()] == before
    assert p.book.stroke_counts().tolist() == [0, 10]
    # And back again.
    p.book.set_classes(make_classes([1, 2, 3], 1))
    assert len(p.book.held_out()) == 4
    assert p.book.stroke_counts().tolist() == [0, 10, 10]


def test_classes_without_background() -> None:
    p = Painted(values=(1, 2), background=False)
    p.dots(1, 3)
    p.dots(2, 3, x=20)
    assert p.book.counts().tolist() == [6, 6]


def test_a_large_fill_keeps_a_draw_of_its_voxels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strokes, "MAX_POINTS", 100)
    p = Painted()
    p.paint(1, slice(0, 50), slice(None))
    assert p.book.counts().tolist() == [100, 0, 0]
    assert p.book.voxels().tolist() == [3000, 0, 0]
    points = p.book.samples[0].points[0]
    assert len(np.unique(points, axis=0)) == 100
    assert points[:, 0].max() > 40
    assert points[:, 0].min() < 10


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_objects_that_touch_are_strokes_of_their_own(dtype: str) -> None:
    p = Painted(task="objects", dtype=dtype)
    p.labels[10:20, 10:20] = 2
    p.labels[10:20, 20:30] = 3
    p.labels[40:45, 40:45] = 200
    p.paint(1, 50, slice(0, 30))
    p.book.update(0)
    assert p.book.stroke_counts().tolist() == [1, 3]
    known = p.book.samples[0]
    assert known.instances is not None
    assert set(np.unique(known.instances)) == {0, 2, 3, 200}
    assert known.smallest == 25
    np.testing.assert_array_equal(
        known.distance, centre_distance(known.instances, (1, 1))
    )


@pytest.mark.parametrize("shape", [(60, 60), (12, 40, 40)])
def test_centre_distance_follows_every_change_of_an_object(
    shape: tuple[int, ...],
) -> None:
    p = Painted(shape, task="objects")
    rng = np.random.default_rng(0)
    for step in range(12):
        key = tuple(
            slice(a := int(rng.integers(n - 4)), a + int(rng.integers(3, n // 2)))
            for n in shape
        )
        # Objects cut each other, grow, reach the border and are erased.
        p.paint(int(rng.integers(0, 6)), *key)
        if not p.book.samples:
            continue
        known = p.book.samples[0]
        assert known.instances is not None
        assert known.distance is not None
        expected = centre_distance(known.instances, p.source.voxel_size)
        np.testing.assert_allclose(known.distance, expected, err_msg=str(step))


def test_every_fifth_object_is_held_out_whole() -> None:
    p = Painted(task="objects")
    for i in range(10):
        p.paint(2 + i, slice(6 * i, 6 * i + 4), slice(10, 14))
    assert [len(v) for _, v, _ in p.book.held_out()] == [16, 16]
    assert p.rows() == [24, 54]


def test_a_run_that_goes_on_holds_out_what_it_held_out() -> None:
    p = Painted()
    p.dots(1, 12)
    p.dots(2, 7, x=20)
    q = Painted()
    q.labels[:] = p.labels
    q.labels[58, 50:52] = 1  # painted in between
    held = np.where(p.book.samples[0].stroke < 0, p.book.samples[0].stroke, 0)
    q.book.restore(p.book.counters(), {0: held})
    assert q.rows() == p.rows()
    assert q.book.stroke_counts().tolist() == [13, 7, 0]
    assert q.book.counters()["1"] == p.book.counters()["1"] == 2
    # Both go on alike.
    for painted in (p, q):
        for i in range(3):
            painted.paint(1, 55, slice(4 * i, 4 * i + 2))
    assert q.rows() == p.rows() == [16, 36, 55]


def test_restoring_objects_without_what_was_erased_since() -> None:
    p, q = Painted(task="objects"), Painted(task="objects")
    for i in range(10):
        p.paint(2 + i, slice(6 * i, 6 * i + 4), slice(10, 14))
    q.labels[:] = p.labels
    q.labels[24:28] = 0
    held = np.where(p.book.samples[0].stroke < 0, p.book.samples[0].stroke, 0)
    q.book.restore(p.book.counters(), {0: held})
    assert q.rows() == [54]
    assert q.book.samples[0].smallest == 16
