"""The command ``napari-unet``.

Nothing heavy is imported before a command needs it: ``napari-unet --help`` answers at
once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from napari_unet.cli.parser import make_parser
from napari_unet.errors import UserError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 is success, 1 a problem that the last line on stderr explains, 2 a command that
    was not understood, 130 an interruption.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names may hold what a console of another country cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = make_parser().parse_args(arguments)
    command = import_module(f"napari_unet.cli.{options.module}")
    try:
        code: int = command.run(options)
        sys.stdout.flush()
    except UserError as error:
        if options.debug:
            raise
        _complain(str(error))
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        if options.debug:
            raise
        _complain("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, a closed pager) has seen enough; say nothing more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.debug:
            raise
        _complain(
            f"Something went wrong inside this program ({type(error).__name__}: "
            f"{error}): run it again with --debug and report what it says."
        )
        return 1
    return code


def _complain(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
