"""How every command of ``napari-unet`` begins."""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What commands are added to."""


def make_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: str = "",
    *,
    module: str | None = None,
) -> Parser:
    """A command that is done by ``run`` of `module`, which is called like it if None.

    Parameters
    ----------
    commands : Commands
        What it is added to.
    name : str
        What a user types.
    summary : str
        What it does, in a line without a capital and a full stop.
    examples : str
        Lines of a terminal, and what else is to be known.
    module : str, optional
        Name of a module in `napari_unet.cli`.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        epilog=f"Examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.set_defaults(module=module or name)
    parser.add_argument(
        "--debug", action="store_true", help="show where in the program an error arose"
    )
    return parser
