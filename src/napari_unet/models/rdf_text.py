"""Descriptions as YAML 1.2 text, which is what ``rdf.yaml`` is written in.

PyYAML reads YAML 1.1, in which ``1e-06`` is a text, and ``on`` and ``no`` are truth
values. What is written here means the same in both.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
MAX_DEPTH = 40


class RdfTextError(ValueError):
    """Text that is no description."""


class _Loader(_BASE):  # type: ignore[misc]
    """Safe loader with the core schema of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as in PyYAML


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _resolvers(kind: Any, *, old: bool) -> None:
    if not old:
        words = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
        kind.add_implicit_resolver("tag:yaml.org,2002:bool", words, list("tTfF"))
        nothing = re.compile(r"^(?:~|null|Null|NULL|)$")
        kind.add_implicit_resolver(
            "tag:yaml.org,2002:null", nothing, ["~", "n", "N", ""]
        )
        whole = re.compile(r"^[-+]?[0-9]+$")
        kind.add_implicit_resolver("tag:yaml.org,2002:int", whole, list("-+0123456789"))
    # After the whole numbers: the first that fits counts.
    kind.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


_resolvers(_Loader, old=False)
_resolvers(_Dumper, old=True)


def _whole(loader: Any, node: Any) -> int:
    # Not PyYAML's: there a leading 0 means octal.
    return int(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def load(data: bytes) -> Any:
    """What a description says; nothing but plain values, lists and mappings.

    Raises
    ------
    RdfTextError
        If it is no YAML, or names a part twice by an alias: small texts could stand for
        huge ones that way.
    """
    try:
        text = data.decode("utf-8")
        for depth, token in _depths(text):
            if isinstance(token, yaml.AliasToken):
                raise RdfTextError("it refers to itself")
            if depth > MAX_DEPTH:
                raise RdfTextError("it is nested too deeply")
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        if isinstance(error, RdfTextError):
            raise
        raise RdfTextError("it is no YAML") from error


def _depths(text: str) -> Any:
    depth = 0
    for token in yaml.scan(text, Loader=_BASE):
        if isinstance(
            token,
            yaml.BlockMappingStartToken
            | yaml.BlockSequenceStartToken
            | yaml.FlowMappingStartToken
            | yaml.FlowSequenceStartToken,
        ):
            depth += 1
        elif isinstance(
            token,
            yaml.BlockEndToken | yaml.FlowMappingEndToken | yaml.FlowSequenceEndToken,
        ):
            depth -= 1
        yield depth, token


def dump(value: Any) -> bytes:
    """A description as text; keys keep their order."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=88
    )
    return text.encode()
