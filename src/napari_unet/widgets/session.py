"""What the widgets of one napari process share, whatever viewer they are in."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal


class Session:
    """News that one widget has for the others."""

    model_saved = Signal(Path)
    """A model file was written and is complete."""
    predicted = Signal()
    """A prediction came to its end and its layers were added."""
    library_changed = Signal()
    """Models were added, renamed or deleted, or the folder is another one."""


session = Session()
"""The session of this process."""
