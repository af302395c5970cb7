"""A network as a model file stores it; readable without torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class NetworkInfo(BaseModel):
    """A network by its name in the registry and the arguments that build it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    arguments: dict[str, Any]
    package: str = ""
    """The distribution that brings it; empty for networks of this program."""
