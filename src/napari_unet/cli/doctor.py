"""``napari-unet doctor``."""

from __future__ import annotations

import argparse

from napari_unet.cli.common import say
from napari_unet.doctor import format_report, report


def run(options: argparse.Namespace) -> int:
    """Print the report; 1 if something has to be mended."""
    findings = report()
    say(format_report(findings))
    return int(any(finding.status == "bad" for finding in findings))
