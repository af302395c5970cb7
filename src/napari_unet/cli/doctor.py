"""``napari-unet doctor``."""

from __future__ import annotations

import argparse

from napari_unet.cli.common import note, say
from napari_unet.doctor import format_report, report


def run(options: argparse.Namespace) -> int:
    """Print the report; 1 if something has to be mended."""
    seconds = options.seconds if options.benchmark else 0
    if seconds:
        note(f"Measuring the speed takes about {seconds:g} seconds …")
    findings = report(seconds)
    say(format_report(findings))
    return int(any(finding.status == "bad" for finding in findings))
