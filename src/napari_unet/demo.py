"""The whole way in one command: sample image, training in the viewer, labels.

The viewer's part is in :mod:`napari_unet.widgets.demo`. Without a display, everything
runs in a virtual one (Xvfb) and leaves pictures behind.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from napari_unet.errors import UserError

OUTPUT = Path("demo-output")
MINUTES = 1.0


class DemoError(UserError):
    """The demo cannot run here, or one of its steps failed."""


def run(
    output: Path = OUTPUT, *, show: bool | None = None, minutes: float = MINUTES
) -> None:
    """Open the sample in napari, train a U-Net, and show the segmentation.

    Parameters
    ----------
    output : Path
        Folder for screenshots, labels and the model; made where it is missing.
    show : bool, optional
        Keep the window open at the end. By default where there is a display.
    minutes : float
        Longest training time.

    Raises
    ------
    DemoError
        If the viewer or a display is missing, or training or prediction failed.
    """
    if importlib.util.find_spec("napari") is None:
        raise DemoError(
            "The demo needs napari, which is not installed: run "
            'pip install "napari-unet-live[all]".'
        )
    if not has_display():
        if show:
            raise DemoError(
                "There is no display to show the demo on: leave out --show to get "
                "screenshots instead."
            )
        _run_in_virtual_display(output, minutes)
        return
    # This module stands beside the command line, above the widgets.
    from napari_unet.widgets.demo import run_in_viewer  # noqa: TID251

    run_in_viewer(output, minutes=minutes, stay=show is None or show)


def has_display() -> bool:
    """Whether windows can be opened, as far as the environment tells."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _run_in_virtual_display(output: Path, minutes: float) -> None:
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        raise DemoError(
            "There is no display, and no xvfb-run to make a virtual one: install it "
            "with `sudo apt-get install xvfb`."
        )
    screen = ["-a", "-s", "-screen 0 1600x1000x24"]
    demo = [sys.executable, "-m", "napari_unet.demo", "--no-show"]
    options = ["--output", str(output), "--minutes", str(minutes)]
    # Without this, Qt may look for a desktop that is not there.
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb"}
    code = subprocess.run([xvfb, *screen, *demo, *options], env=environment).returncode
    if code:
        raise DemoError("The demo did not come to its end; see what it said above.")


def main(arguments: list[str] | None = None) -> int:
    """``python -m napari_unet.demo``: what runs inside the virtual display."""
    parser = argparse.ArgumentParser(prog="python -m napari_unet.demo")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--show", action=argparse.BooleanOptionalAction, default=None)
    chosen = parser.parse_args(arguments)
    try:
        run(chosen.output, show=chosen.show, minutes=chosen.minutes)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
