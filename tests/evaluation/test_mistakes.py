from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.evaluation.kinds import KINDS
from napari_unet.evaluation.mistakes import class_mistakes, object_mistakes


def value(kind):
    return KINDS.index(kind) + 1


@pytest.fixture
def scene():
    """One error of each kind, and one object that is right."""
    truth = np.zeros((40, 60), np.int32)
    made = np.zeros_like(truth)
    truth[2:10, 2:10] = 1
    made[2:10, 3:10] = 11  # right
    truth[2:10, 20:28] = 2  # missed
    made[2:10, 40:48] = 12  # invented
    truth[15:25, 5:25] = 3  # split
    made[15:25, 5:15], made[15:25, 15:25] = 13, 14
    truth[28:38, 5:15], truth[28:38, 15:25] = 4, 5  # merged
    made[28:38, 5:25] = 15
    return truth, made


def test_every_kind_is_found_where_it_is(scene):
    truth, made = scene
    wrong = object_mistakes(truth, made)
    drawn, mistakes = wrong.map, wrong.listed
    found = {m.kind: m for m in mistakes}
    assert {(m.kind, m.label, m.others) for m in mistakes} == {
        ("missed", 2, ()),
        ("invented", 12, ()),
        ("split", 3, (13, 14)),
        ("merged", 15, (4, 5)),
    }
    assert found["missed"].box == ((2, 10), (20, 28))
    assert found["missed"].centroid == (5.5, 23.5)
    assert found["missed"].size == 64
    assert (drawn[truth == 2] == value("missed")).all()
    assert (drawn[made == 12] == value("invented")).all()
    assert (drawn[truth == 3] == value("split")).all()
    assert (drawn[made == 15] == value("merged")).all()
    assert not drawn[2:10, 2:10].any()
    assert [m.size for m in mistakes] == sorted(
        (m.size for m in mistakes), reverse=True
    )
    assert found["split"].sentence == "3 was cut into 13 and 14"
    assert found["merged"].sentence == "15 joins 4 and 5"


def test_a_swallowed_neighbour_is_merged_although_the_large_one_matches():
    truth = np.zeros((30, 30), int)
    truth[5:25, 5:20], truth[5:25, 20:24] = 1, 2
    made = (truth > 0) * 7
    mistakes = object_mistakes(truth, made).listed
    assert [(m.kind, m.others) for m in mistakes] == [("merged", (1, 2))]


def test_debris_is_invented_and_no_split():
    truth = np.zeros((30, 30), int)
    truth[5:25, 5:25] = 1
    made = truth.copy()
    made[10:12, 10:12] = 2
    mistakes = object_mistakes(truth, made).listed
    assert [(m.kind, m.label) for m in mistakes] == [("invented", 2)]


def test_a_poor_match_depends_on_the_iou():
    truth = np.zeros((20, 20), int)
    truth[2:12, 2:12] = 1
    made = np.roll(truth, 3, axis=1)  # IoU 70 / 130
    assert object_mistakes(truth, made, 0.5).listed == []
    kinds = {m.kind for m in object_mistakes(truth, made, 0.6).listed}
    assert kinds == {"missed", "invented"}


def test_where_nobody_looked_nothing_is_wrong():
    truth = np.full((20, 30), -1)
    truth[:, :10] = 0
    truth[2:6, 2:6] = 1
    made = np.zeros_like(truth)
    made[2:6, 2:6] = 1
    made[5:15, 15:25] = 2  # beyond the annotation
    wrong = object_mistakes(truth, made)
    drawn, mistakes = wrong.map, wrong.listed
    assert mistakes == []
    assert not drawn.any()
    made[12:16, 8:11] = 3  # mostly within
    wrong = object_mistakes(truth, made)
    drawn, mistakes = wrong.map, wrong.listed
    assert [m.kind for m in mistakes] == ["invented"]
    assert not drawn[truth < 0].any()


labels = hnp.arrays(np.int32, (6, 7), elements=st.integers(-1, 4))


@settings(deadline=None)
@given(labels, hnp.arrays(np.int32, (6, 7), elements=st.integers(0, 4)))
def test_every_true_object_is_right_or_in_the_list(truth, made):
    from napari_unet.metrics import match, overlaps

    wrong = object_mistakes(truth, made)
    drawn, mistakes = wrong.map, wrong.listed
    found = overlaps(truth, made)
    partner = match(found.iou, 0.5)
    right = {int(found.true_ids[p]) for p in partner if p >= 0}
    told = {m.label for m in mistakes if m.kind in ("missed", "split")}
    told |= {n for m in mistakes if m.kind == "merged" for n in m.others}
    assert right | told == set(found.true_ids.tolist())
    missed = {m.label for m in mistakes if m.kind == "missed"}
    assert not missed & right
    if not mistakes:
        assert not drawn.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint32])
def test_any_integers_and_huge_ids_in_3d(dtype):
    truth = np.zeros((4, 10, 12), dtype)
    truth[1:3, 2:6, 2:6] = 200
    made = np.zeros(truth.shape, np.uint32)
    made[:, 7:9, 8:11] = 4_000_000_000
    mistakes = object_mistakes(truth, made).listed
    assert {(m.kind, m.label, m.size) for m in mistakes} == {
        ("missed", 200, 32),
        ("invented", 4_000_000_000, 24),
    }


def test_pixels_of_classes_by_region():
    truth = np.zeros((20, 30), int)
    truth[2:8, 2:8], truth[12:18, 2:8] = 1, 2
    truth[:, 25:] = -1
    made = np.zeros_like(truth)
    made[12:18, 2:8] = 1  # confused
    made[3:5, 20:24] = 2  # invented
    made[:, 25:] = 1
    wrong = class_mistakes(truth, made)
    drawn, mistakes = wrong.map, wrong.listed
    assert [(m.kind, m.label, m.others, m.size) for m in mistakes] == [
        ("missed", 1, (), 36),
        ("confused", 2, (1,), 36),
        ("invented", 2, (), 8),
    ]
    assert (drawn[2:8, 2:8] == value("missed")).all()
    assert not drawn[:, 25:].any()
    # Without background every error is one class for another.
    mistakes = class_mistakes(truth + (truth >= 0), made + 1, None).listed
    assert {m.kind for m in mistakes} == {"confused"}


def test_all_regions_are_counted_and_the_largest_are_listed():
    truth = np.zeros((80, 80), int)
    made = np.indices(truth.shape).sum(axis=0) % 2  # a checkerboard
    made[:10, :10] = 1
    wrong = class_mistakes(truth, made)
    assert wrong.counts["invented"] > len(wrong.listed) == 500
    assert wrong.listed[0].size >= 100
