"""What the package index shows: the README with links that work there, and addresses.

On the index there are no neighbours to a README, so that relative pictures and links
would lead nowhere. The address of the repository is not written down anywhere in it;
GitHub tells it to its workflows as ``GITHUB_REPOSITORY``, and for a release by hand:

    GITHUB_REPOSITORY=owner/name python -m build

Without it, the package is built with the README as it is and without addresses. Called
by hatchling (``[tool.hatch.metadata.hooks.custom]`` in pyproject.toml).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

SERVER = "https://github.com"
PICTURES = "https://raw.githubusercontent.com"
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
"""A link or a picture in Markdown; its text may run over the end of a line."""


def with_absolute_links(text: str, repository: str, tag: str) -> str:
    """Markdown whose relative links lead to a tag of a repository ``owner/name``."""

    def absolute(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        base = f"{SERVER}/{repository}/blob/{tag}"
        if match["picture"]:
            base = f"{PICTURES}/{repository}/{tag}"
        return f"{match['picture']}[{match['text']}]({base}/{target})"

    return LINK.sub(absolute, text)


def addresses(repository: str, tag: str) -> dict[str, str]:
    """Where things are, by the names that the package index has icons for."""
    owner, _, name = repository.partition("/")
    home = f"{SERVER}/{repository}"
    return {
        "Homepage": home,
        "Documentation": f"https://{owner.lower()}.github.io/{name}/",
        "Source": home,
        "Issues": f"{home}/issues",
        "Changelog": f"{home}/blob/{tag}/CHANGELOG.md",
    }


class PackageMetadata(MetadataHookInterface):
    """Fills in ``readme`` and ``urls``, which pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = os.environ.get("GITHUB_REPOSITORY", "")
        metadata["urls"] = {}
        if repository:
            tag = f"v{metadata['version']}"
            text = with_absolute_links(text, repository, tag)
            metadata["urls"] = addresses(repository, tag)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
