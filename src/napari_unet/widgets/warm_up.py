"""Work that napari would do at the first stroke, done beside the viewer instead.

From labels to colours napari goes with loops that numba compiles for each dtype and
number of axes, and with a dictionary that it compiles anew in every program. On a
computer where napari is new that takes three to ten seconds, in which the viewer would
stand still when *New* is pressed for the first time, at the first stroke, and at the
first preview. Where numba is not installed napari does without, and so does this.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec

import numpy as np

_begun = threading.Event()

N_COLORS = 49
"""Of napari's own Labels layers; their number decides on the dtype of a texture."""


def warm_up() -> None:
    """Begin, once per process, on a thread; returns at once."""
    if _begun.is_set() or find_spec("numba") is None:
        return
    _begun.set()
    # Not a daemon: a thread that is cut off while it compiles can take the
    # interpreter's orderly end with it.
    threading.Thread(target=_compile, name="napari-unet warm-up").start()


def _compile() -> None:
    """Colour a few labels, as layers of ours do, in the order in which they are met."""
    from napari.utils.colormaps import label_colormap

    from napari_unet.widgets.annotation_layer import annotation_colors

    # What is on screen, and the label of a stroke.
    plane, stroke = np.zeros((2, 2), np.int32), np.zeros(1, np.int32)
    for colors in (annotation_colors(), label_colormap(N_COLORS)):
        # napari's own name for it may go; then there is nothing to prepare.
        colored = getattr(colors, "_data_to_texture", None)
        if colored is not None:
            colored(plane)
            colored(stroke)
