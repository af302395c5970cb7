"""Watching a real Labels layer; no viewer is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.widgets import stroke_watch
from napari_unet.widgets.stroke_watch import StrokeWatch, bounds, item_box, pieces

Boxes = list[tuple[tuple[int, int], ...]]


class Watched:
    """A layer, the copy that a watch keeps, and what it told."""

    def __init__(self, layer: Labels, qtbot: Any) -> None:
        self.layer = layer
        self.known = np.array(layer.data)
        self.boxes: Boxes = []
        self.watch = StrokeWatch(layer, self.known)
        self.watch.changed.connect(self.boxes.append)
        self._qtbot = qtbot

    def told(self) -> Boxes:
        """What was told of the last change."""
        self._qtbot.waitUntil(lambda: bool(self.boxes), timeout=10_000)
        boxes, self.boxes[:] = list(self.boxes), []
        np.testing.assert_array_equal(self.known, self.layer.data)
        return boxes


@pytest.fixture
def watched(qtbot: Any) -> Iterator[Watched]:
    layer = Labels(np.zeros((60, 80), np.int32))
    layer.brush_size = 5
    made = Watched(layer, qtbot)
    yield made
    made.watch.close()


def test_a_stroke_is_told_with_its_own_box(watched: Watched) -> None:
    watched.layer.paint((10, 20), 2)
    assert watched.told() == [((8, 13), (18, 23))]


@pytest.mark.parametrize("way", ["erase", "undo", "redo", "fill", "polygon", "data"])
def test_everything_that_changes_pixels_is_seen(watched: Watched, way: str) -> None:
    layer = watched.layer
    layer.paint((10, 20), 2)
    if way == "redo":
        layer.undo()
    else:
        watched.told()
    changes: dict[str, Callable[[], Any]] = {
        "erase": lambda: layer.paint((10, 20), 0),
        "undo": layer.undo,
        "redo": layer.redo,
        "fill": lambda: layer.fill((10, 20), 3),
        "polygon": lambda: layer.paint_polygon([[8, 18], [8, 22], [12, 22]], 4),
        "data": lambda: setattr(layer, "data", np.roll(layer.data, 1, 0)),
    }
    changes[way]()
    if way == "redo":  # undone and done again before anybody looked
        watched.told()
        return
    ((rows, columns),) = watched.told()
    assert 7 <= rows[0] < rows[1] <= 14
    assert 18 <= columns[0] < columns[1] <= 23


def test_undo_and_redo_are_two_changes(watched: Watched) -> None:
    watched.layer.paint((10, 20), 2)
    watched.told()
    watched.layer.undo()
    assert watched.told() == [((8, 13), (18, 23))]
    assert not watched.known.any()
    watched.layer.redo()
    assert watched.told() == [((8, 13), (18, 23))]
    assert watched.known.any()


def test_strokes_far_apart_are_told_one_by_one(watched: Watched) -> None:
    watched.layer.paint((10, 20), 2)
    watched.layer.paint((50, 70), 2)
    assert sorted(watched.told()) == [((8, 13), (18, 23)), ((48, 53), (68, 73))]


def test_many_strokes_are_told_together(watched: Watched) -> None:
    for column in range(5, 75, 5):
        watched.layer.paint((10, column), 2)
    assert watched.told() == [((8, 13), (3, 73))]


def test_indices_of_older_steps_and_of_code_are_understood(watched: Watched) -> None:
    watched.layer.data_setitem((np.array([3, 9]), np.array([7, 4])), 5)
    assert watched.told() == [((3, 10), (4, 8))]
    old = [((np.array([1, 2]), np.array([3, 3])), np.zeros(2), 1)]
    assert item_box(old, (60, 80)) == ((1, 3), (3, 4))
    assert item_box(["what is this"], (60, 80)) is None


def test_a_step_that_nobody_understands_is_found_by_comparing(
    watched: Watched,
) -> None:
    watched.layer.data[30:32, 40] = 9
    watched.layer.events.paint(value=["unknown"])
    assert watched.told() == [((30, 32), (40, 41))]


def test_code_that_writes_and_refreshes_is_seen(watched: Watched) -> None:
    watched.layer.data[5, 6] = 7
    watched.layer.refresh()
    assert watched.told() == [((5, 6), (6, 7))]


def test_nothing_is_told_when_nothing_changed(watched: Watched, qtbot: Any) -> None:
    watched.layer.refresh()
    watched.layer.data = watched.layer.data.copy()
    qtbot.wait(400)
    assert watched.boxes == []


def test_other_planes_of_a_stack_are_compared_too(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stroke_watch, "PIECE", 500)  # little by little
    monkeypatch.setattr(stroke_watch, "SLICE_SECONDS", 0.0)
    watched = Watched(Labels(np.zeros((9, 30, 40), np.uint8)), qtbot)
    watched.layer.data[7, 3, 4] = 1
    watched.layer.refresh()
    assert watched.told() == [((7, 8), (3, 4), (4, 5))]
    watched.watch.close()


def test_planes_on_screen_are_compared_first(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stroke_watch, "PIECE", 1200)
    layer = Labels(np.zeros((9, 30, 40), np.uint8))
    known = np.zeros(layer.data.shape, np.uint8)
    planes = ((8, 9), (0, 30), (0, 40))
    watch = StrokeWatch(layer, known, lambda: planes)
    boxes: Boxes = []
    watch.changed.connect(boxes.append)
    layer.data[2, 0, 0] = layer.data[8, 0, 0] = 1
    layer.refresh()
    qtbot.waitUntil(lambda: len(boxes) == 2, timeout=10_000)
    assert [box[0] for box in boxes] == [(8, 9), (2, 3)]
    watch.close()


def test_the_beginning_takes_over_everything_and_tells_once(qtbot: Any) -> None:
    layer = Labels(np.zeros((30, 40), np.int32))
    layer.data[3:6, 4:9] = 2
    known = np.zeros((30, 40), np.int32)
    watch = StrokeWatch(layer, known)
    boxes: Boxes = []
    began: list[Boxes] = []
    watch.changed.connect(boxes.append)
    watch.began.connect(lambda: began.append(list(boxes)))
    watch.begin()
    layer.paint((20, 20), 1)
    qtbot.waitUntil(lambda: began == [[]], timeout=10_000)
    np.testing.assert_array_equal(known[:10], layer.data[:10])
    qtbot.waitUntil(lambda: bool((known == layer.data).all()), timeout=10_000)
    watch.close()


def test_another_shape_is_told_and_watching_goes_on_later(
    watched: Watched, qtbot: Any
) -> None:
    fits: list[bool] = []
    watched.watch.fits_changed.connect(fits.append)
    before = watched.layer.data
    watched.layer.data = np.zeros((5, 6), np.int32)
    qtbot.waitUntil(lambda: fits == [False], timeout=10_000)
    again = before.copy()
    again[40, 50] = 3
    watched.layer.data = again
    assert watched.told() == [((40, 41), (50, 51))]
    assert fits == [False, True]


def test_a_closed_watch_is_silent(watched: Watched, qtbot: Any) -> None:
    watched.layer.paint((10, 20), 2)
    watched.watch.close()
    watched.layer.paint((30, 20), 2)
    qtbot.wait(300)
    assert watched.boxes == []
    watched.watch = StrokeWatch(watched.layer, watched.known)


def test_pieces_cover_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stroke_watch, "PIECE", 50)
    seen = np.zeros((3, 17, 23), int)
    for piece in pieces(seen.shape):
        part = seen[tuple(slice(*span) for span in piece)]
        assert part.size <= 50
        part += 1
    assert (seen == 1).all()


def test_bounds_of_a_mask() -> None:
    mask = np.zeros((4, 5, 6), bool)
    assert bounds(mask) is None
    mask[1, 2, 3] = mask[2, 4, 3] = True
    assert bounds(mask) == ((1, 3), (2, 5), (3, 4))
