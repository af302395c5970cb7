"""What is known beforehand about objects, and sizes in pixels and micrometres."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.errors import ConfigError
from napari_unet.segmentation.objects import constrain, decode_objects
from napari_unet.segmentation.settings import DecoderInfo, object_settings
from napari_unet.segmentation.sizes import Size


def settings(**wishes: Any) -> DecoderInfo:
    return DecoderInfo(**{"min_size": 0, **wishes})


def test_holes_are_filled_as_scipy_fills_them() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 80), np.int32)
    labels[5:30, 5:30], labels[35:55, 40:75] = 1, 2
    labels[rng.random(labels.shape) < 0.1] = 0
    expected = labels.copy()
    for number in (1, 2):
        expected[ndimage.binary_fill_holes(labels == number)] = number
    np.testing.assert_array_equal(
        constrain(labels, settings(fill_holes=True)), expected
    )


def test_a_gap_between_two_objects_and_what_lies_in_a_ring_stay() -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[2:18, 2:10], labels[2:18, 10:20] = 1, 2
    labels[8:12, 8:12] = 0  # enclosed by two
    labels[3:6, 3:6] = 0
    labels[4, 4] = 3  # an object of its own in a hole of the first
    found = constrain(labels, settings(fill_holes=True))
    np.testing.assert_array_equal(found, labels)


def test_holes_in_3d_are_closed_on_all_sides() -> None:
    labels = np.zeros((9, 9, 9), np.int32)
    labels[1:8, 1:8, 1:8] = 1
    labels[4, 4, 4] = 0
    labels[0:4, 2, 2] = 0  # a channel to the outside
    found = constrain(labels, settings(fill_holes=True))
    assert found[4, 4, 4] == 1
    assert found[2, 2, 2] == 0


def test_only_the_largest_piece_is_kept_and_sizes_are_judged_by_it() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[1:5, 1:5] = labels[10:12, 10:12] = 1
    labels[15:17, 1:4] = labels[15:17, 6:9] = 2  # 12 voxels, in two pieces of 6
    found = constrain(labels, settings(one_piece=True, min_size=7))
    np.testing.assert_array_equal(found[1:5, 1:5], 1)
    assert np.count_nonzero(found) == 16


def test_objects_at_the_border_go_once_their_fragments_have_gone() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[0:4, 4:9] = 1
    labels[8:14, 8:14] = 2
    labels[19, 10] = 2  # a fragment at the border
    both = constrain(labels, settings(clear_border=True))
    assert not both.any()
    found = constrain(labels, settings(clear_border=True, one_piece=True))
    assert np.count_nonzero(found) == 36
    inner = ((False, True), (True, True))  # the image goes on above
    found = constrain(labels, settings(clear_border=True), border=inner)
    np.testing.assert_array_equal(found, labels == 1)


def test_sizes_are_a_range() -> None:
    labels = np.zeros((10, 40), np.int32)
    for number, width in enumerate((2, 4, 8), start=1):
        labels[2:4, 10 * number : 10 * number + width] = number
    found = constrain(labels, settings(min_size=8, max_size=8))
    np.testing.assert_array_equal(found, labels == 2)


def test_nothing_is_found_outside_a_mask_and_no_hole_of_it_filled() -> None:
    foreground = np.zeros((30, 30))
    foreground[4:26, 4:26] = 1
    inside = np.ones((30, 30), bool)
    inside[:10] = False
    inside[15:18, 15:18] = False
    wishes = settings(fill_holes=True)
    found = decode_objects(foreground, foreground, wishes, inside=inside)
    np.testing.assert_array_equal(found > 0, (foreground > 0) & inside)


def test_old_models_have_no_constraints() -> None:
    assert not DecoderInfo.model_validate({"min_size": 7}).needs_pieces


@pytest.mark.parametrize(
    ("text", "voxels"),
    [
        (30, 30),
        ("30 px", 30),
        ("1.5 um2", 6),
        ("1.5µm²", 6),
        ("1500000 nm^2", 6),
        ("1e-6 mm2", 4),
    ],
)
def test_areas_become_pixels_by_the_size_of_a_pixel(text: Any, voxels: int) -> None:
    assert Size.parse(text).in_voxels((0.5, 0.5), "micrometer") == voxels
    assert Size.parse(text).in_voxels((0.5, 0.5), "µm") == voxels


def test_volumes_follow_anisotropic_voxels() -> None:
    assert Size.parse("9 um3").in_voxels((2.0, 0.3, 0.3), "um") == 50


@pytest.mark.parametrize("text", ["-3", "wide", "5 um", "3 parsec2", "nan", True, ""])
def test_what_is_no_size_is_told(text: Any) -> None:
    with pytest.raises(ConfigError, match="give a size such as"):
        object_settings({"min_size": text})


def test_sizes_that_the_image_cannot_tell_are_told() -> None:
    with pytest.raises(ConfigError, match="how large its pixels are"):
        Size.parse("4 um2").in_voxels((1.0, 1.0), "pixel")
    with pytest.raises(ConfigError, match="is an area, but objects here have a volume"):
        Size.parse("4 um2").in_voxels((1.0, 1.0, 1.0), "um")


def test_wishes_change_only_what_they_say() -> None:
    model = DecoderInfo(foreground_threshold=0.4, min_size=20, max_size=500)
    wishes = object_settings({"min_size": "4 um2", "fill_holes": True})
    made = wishes.applied(model, (0.5, 0.5), "um")
    assert made == DecoderInfo(
        foreground_threshold=0.4, min_size=16, max_size=500, fill_holes=True
    )
    limitless = object_settings({"max_size": 0}).applied(model, (1, 1), "pixel")
    assert limitless.max_size is None


def test_a_largest_size_below_the_smallest_is_told() -> None:
    wishes = object_settings({"max_size": 10})
    with pytest.raises(ConfigError, match="must not be smaller"):
        wishes.applied(DecoderInfo(min_size=20), (1.0, 1.0), "pixel")
