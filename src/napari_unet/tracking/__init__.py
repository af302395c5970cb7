"""Objects keep their identity over time: labels in, labels with lasting ids out.

Neither torch nor LapTrack is imported before it is needed.
"""

from napari_unet.tracking.run import Film, FrameDone, follow, relabel, track
from napari_unet.tracking.tracks import Tracks

__all__ = ["Film", "FrameDone", "Tracks", "follow", "relabel", "track"]
