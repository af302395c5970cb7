"""Axis letters: the language of shapes in this package.

Arrays come with one letter an axis out of ``T C Z Y X``. Inside, every image is seen as
``S C (Z) Y X``: S ("sample") runs over all axes that are neither channel nor spatial.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_unet.errors import DataError

SPATIAL = "ZYX"
KNOWN = "TCZYX"


def check_axes(axes: str, shape: Sequence[int]) -> str:
    """Return `axes` in capitals, or say why they do not describe `shape`.

    ``S`` (samples of a pixel, tifffile's letter for RGB) is read as ``C``.

    Raises
    ------
    DataError
        If a letter is unknown or stands twice, Y or X is missing, or the number of
        letters differs from the number of dimensions.
    """
    axes = axes.upper()
    if "C" not in axes:
        axes = axes.replace("S", "C")
    unknown = sorted(set(axes) - set(KNOWN))
    if unknown:
        raise DataError(
            f"The axes {axes!r} hold the unknown letter {unknown[0]!r}: use letters "
            f"out of {KNOWN} (time, channel, depth, height, width)."
        )
    if len(set(axes)) != len(axes):
        raise DataError(f"The axes {axes!r} name an axis twice: use each letter once.")
    if "Y" not in axes or "X" not in axes:
        raise DataError(f"The axes {axes!r} lack Y or X: an image needs both.")
    if len(axes) != len(shape):
        raise DataError(
            f"The axes {axes!r} name {len(axes)} axes, but the image has "
            f"{len(shape)}: its shape is {tuple(shape)}."
        )
    return axes


def guess_axes(shape: Sequence[int], *, rgb: bool = False) -> str:
    """Axes of an array about which nothing else is known.

    2 axes are ``YX``, 3 are ``ZYX`` (``YXC`` where `rgb`), 4 are ``TZYX``, 5 ``TCZYX``.
    """
    by_count = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}
    count = len(shape) - int(rgb)
    if count not in by_count:
        raise DataError(
            f"An image of shape {tuple(shape)} has {len(shape)} axes: "
            "2 to 5 can be used (time, channel, depth, height, width)."
        )
    axes = by_count[count]
    if rgb:
        axes = axes.replace("C", "") + "C"
    return axes


def spatial_axes(axes: str) -> str:
    """The spatial letters of `axes` in the order Z, Y, X."""
    return "".join(letter for letter in SPATIAL if letter in axes)


def looks_rgb(shape: Sequence[int], dtype_kind_size: tuple[str, int]) -> bool:
    """Whether a bare array is most likely RGB(A): 3 or 4 in the last axis, 8 bit."""
    return (
        len(shape) >= 3
        and shape[-1] in (3, 4)
        and min(shape[-3:-1]) > 4
        and dtype_kind_size == ("u", 1)
    )
