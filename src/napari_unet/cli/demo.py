"""``napari-unet demo``."""

from __future__ import annotations

import argparse

from napari_unet import demo
from napari_unet.cli.common import given


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    demo.run(options.output, show=options.show, **given(minutes=options.minutes))
    return 0
