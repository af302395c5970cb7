"""Parts of the documentation that are made from the code when the pages are built.

A page asks with a comment on a line of its own: ``<!-- made: settings -->``.
"""

from __future__ import annotations

import argparse
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_unet.cli.parser import make_parser
from napari_unet.config import (
    AugmentationConfig,
    LossConfig,
    TrackingConfig,
    TrainingConfig,
)
from napari_unet.networks.catalogue import own_networks

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
MARK = re.compile(r"^<!-- made: ([\w ]+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks of a page; mkdocs calls this for each one."""
    return MARK.sub(lambda mark: MAKERS[mark[1]](), markdown)


def settings_table(model: type[BaseModel]) -> str:
    """A table of the fields of `model` that hold a value."""
    lines = ["| setting | default | values | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(
            field.annotation, BaseModel
        ):
            continue
        meaning = field.title or ""
        if field.description:
            meaning += f": {field.description[:1].lower()}{field.description[1:]}"
        default = "automatic" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{name}` | {default} | {_values(field)} | {meaning} |")
    return "\n".join(lines)


def _values(field: FieldInfo) -> str:
    words = _type(field.annotation)
    for rule in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (limit := getattr(rule, name, None)) is not None:
                words += f", {sign} {limit:g}"
    return words


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if origin in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return " or ".join(_type(a) for a in inner)
    if origin is tuple and get_args(annotation)[0] is float:
        return "numbers"
    if origin is tuple:
        return "whole numbers, (Z) Y X"
    if hasattr(annotation, "__metadata__"):
        return _type(get_args(annotation)[0])
    return {
        int: "whole number",
        float: "number",
        bool: "`True`, `False`",
        str: "a name",
    }[annotation]


def command_line() -> str:
    """The help of the command and of all its parts."""
    parser = make_parser()
    (commands,) = (
        action
        for action in parser._actions  # argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction)
    )
    parts = [_fenced(parser.format_help())]
    for name, command in commands.choices.items():
        parts.append(f"## napari-unet {name}\n\n{_fenced(command.format_help())}")
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def networks_table() -> str:
    """Every network with what it is good for and its papers."""
    lines = ["| name | network | paper |", "|---|---|---|"]
    for spec in own_networks().values():
        paper = re.sub(r"arXiv:([\d.]+)", r"[\1](https://arxiv.org/abs/\1)", spec.paper)
        lines.append(f"| `{spec.name}` | **{spec.title}.** {spec.summary} | {paper} |")
    return "\n".join(lines)


def example(name: str) -> str:
    """The code of an example; tests run it."""
    code = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    return f"```python\n{code.rstrip()}\n```"


MAKERS: dict[str, Callable[[], str]] = {
    "networks": networks_table,
    "network example": lambda: example("dilated_network"),
    "sample folders": lambda: example("write_samples"),
    "settings": lambda: settings_table(TrainingConfig),
    "loss": lambda: settings_table(LossConfig),
    "augmentation": lambda: settings_table(AugmentationConfig),
    "tracking": lambda: settings_table(TrackingConfig),
    "command line": command_line,
}
