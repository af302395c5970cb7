from __future__ import annotations

import pytest

from napari_unet.units import METRES, UNITS, unit_name


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("µm", "micrometer"),
        ("μm", "micrometer"),
        (" Micron ", "micrometer"),
        ("nanometre", "nanometer"),
        ("picometre", "picometer"),
        ("voxels", "pixel"),
        ("", "pixel"),
        ("furlong", "furlong"),
    ],
)
def test_spellings_become_one_word(spelled: str, name: str) -> None:
    assert unit_name(spelled) == name


def test_every_word_is_a_length_or_known_to_be_none() -> None:
    assert set(UNITS.values()) <= METRES.keys() | {"pixel", "inch"}
