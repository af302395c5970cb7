"""Outlines bring back the very same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.errors import DataError
from napari_unet.exchange.outlines import objects_of, one_line, polygons_of
from napari_unet.exchange.shapes import Shape, draw, extent

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def redraw(rings, shape):
    return draw([Shape(tuple(rings))], "YX", shape, "objects").labels


@given(MASKS)
@settings(deadline=None, max_examples=150)
def test_any_mask_comes_back_from_its_polygons(mask):
    polygons = polygons_of(mask)
    if not mask.any():
        assert polygons == []
        return
    rings = [ring for polygon in polygons for ring in polygon]
    np.testing.assert_array_equal(redraw(rings, mask.shape) > 0, mask)


@given(MASKS)
@settings(deadline=None, max_examples=150)
def test_any_mask_comes_back_from_a_single_line(mask):
    if mask.any():
        line = one_line(polygons_of(mask))
        np.testing.assert_array_equal(redraw([line], mask.shape) > 0, mask)


def test_holes_belong_to_the_piece_around_them():
    mask = np.ones((7, 7), bool)
    mask[2:4, 2:4] = False
    ((outer, hole),) = polygons_of(mask, offset=(10, 20))
    assert outer.min(axis=0).tolist() == [10, 20]
    assert outer.max(axis=0).tolist() == [17, 27]
    assert hole.min(axis=0).tolist() == [12, 22]
    assert len(outer) == len(hole) == 4


def test_huge_label_numbers_need_no_room():
    plane = np.zeros((4, 4), np.int64)
    plane[0, 0], plane[3, 3] = 5, 2**31 - 1
    assert [value for value, _ in objects_of(plane)] == [5, 2**31 - 1]


def square(x, y, size=2, **more):
    corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
    return Shape((np.array(corners, float),), **more)


def test_outlines_are_drawn_into_their_planes():
    shapes = [square(0, 0, plane={"Z": 1}), square(2, 2, plane={"T": 1, "Z": 0})]
    labels = draw(shapes, "TZYX", (2, 2, 4, 4), "objects").labels
    assert labels[0, 1, 0, 0] == 1
    assert labels[1, 0, 2, 2] == 2
    assert labels[0, 0].max() == 0
    # The first names no time and is in every frame.
    assert labels[1, 1, 0, 0] == 1


def test_axes_may_come_in_any_order():
    shapes = [square(0, 0, plane={"Z": 1})]
    labels = draw(shapes, "YXZ", (4, 5, 3), "objects").labels
    assert labels.shape == (4, 5, 3)
    assert np.argwhere(labels).min(axis=0).tolist() == [0, 0, 1]


def test_classes_share_a_label_and_keep_name_and_colour():
    shapes = [
        square(0, 0, class_name="tumour", color="#ff0000"),
        square(3, 0, class_name="stroma"),
        square(0, 3, class_name="tumour", color="#ff0000"),
    ]
    drawing = draw(shapes, "YX", (6, 6), "classes")
    assert drawing.labels[0, 0] == drawing.labels[3, 0] == 1
    assert drawing.labels[0, 3] == 2
    assert drawing.names == {1: "tumour", 2: "stroma"}
    assert drawing.colors == {1: "#ff0000"}


def test_objects_keep_the_numbers_that_they_have():
    shapes = [square(0, 0), square(2, 0, label=1), square(4, 0)]
    labels = draw(shapes, "YX", (2, 6), "objects").labels
    assert labels[0, ::2].tolist() == [2, 1, 3]


def test_what_is_left_out_is_told():
    shapes = [square(0, 0), square(1, 1), square(90, 90), square(0, 0, plane={"Z": 7})]
    drawing = draw(shapes, "ZYX", (2, 9, 9), "objects")
    assert any(note.startswith("2 outlines lie outside") for note in drawing.notes)
    assert any("over others" in note for note in drawing.notes)
    assert any("drawn into all" in note for note in drawing.notes)


def test_outlines_of_another_image_are_refused():
    with pytest.raises(DataError, match="None of the outlines"):
        draw([square(90, 90)], "YX", (9, 9), "objects")


def test_the_extent_is_that_of_the_last_outline():
    assert extent([square(3, 1), square(0, 0, plane={"Z": 4})]) == ("ZYX", (5, 3, 5))
    with pytest.raises(DataError, match="too far"):
        extent([square(5e8, 1)])
