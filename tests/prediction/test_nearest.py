"""Masks in a coarser grid than their own."""

from __future__ import annotations

import numpy as np

from napari_unet.prediction.nearest import NearestArray


def test_a_grid_of_nearest_pixels_is_read_piece_by_piece() -> None:
    whole = np.arange(7 * 11 * 5).reshape(7, 11, 5)
    small = NearestArray(whole, (3, 11, 2))
    everything = np.asarray(small)
    assert everything.shape == (3, 11, 2)
    np.testing.assert_array_equal(everything, whole[[1, 3, 5]][:, :, [1, 3]])
    np.testing.assert_array_equal(small[1:3, 4:6], everything[1:3, 4:6])
    np.testing.assert_array_equal(small[2, :, 1], everything[2, :, 1])
    assert small[2:2].shape == (0, 11, 2)
