"""What the documentation says can be done: its code runs, its commands are understood.

A fenced block below ``<!-- run -->`` is executed in an empty folder, together with the
other such blocks of its page and in their order, with images, steps and networks made
small. A page that needs ``viewer``, as napari's console has it, gets one without a
window. All other blocks are looked at without running them.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from napari_unet import cli
from napari_unet.cli.parser import make_parser
from napari_unet.config import TrainingConfig

ROOT = Path(__file__).parents[1]
OTHER_TEXTS = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md"]
PAGES = sorted((ROOT / "docs").rglob("*.md")) + [ROOT / name for name in OTHER_TEXTS]
SHELLS = ("sh", "bash", "bat")
FENCE = re.compile(
    r"^(?P<run> *<!-- run -->\n)?(?P<indent> *)```(?P<language>\w+)\n"
    r"(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")
SMALLER: dict[str, dict[str, Any]] = {
    "sample_data:nuclei_2d": {"shape": (160, 160)},
    "sample_data:nuclei_3d": {"shape": (8, 64, 64)},
    "sample_cells:cells_two_channels": {"shape": (224, 224)},
    "sample_timelapse:nuclei_timelapse": {"frames": 4, "shape": (96, 96)},
}
FEW_STEPS = ["--steps", "2", "--base-channels", "4", "--batch-size", "2"]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    code: str
    run: bool


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def script(name: str) -> Any:
    """A module of ``scripts/``."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@functools.cache
def blocks_of(page: Path) -> list[Block]:
    text = script("docs_hooks").on_page_markdown(page.read_text(encoding="utf-8"))
    return [
        Block(
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            inspect.cleandoc("\n" + match["code"]) + "\n",
            bool(match["run"]),
        )
        for match in FENCE.finditer(text)
    ]


def commands_in(code: str) -> Iterator[list[str]]:
    """Words of each command of a shell block."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


with_code = pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks_of(page)], ids=name_of
)


# -- without running ------------------------------------------------------------------


@with_code
def test_python_of_the_pages_uses_what_exists(page: Path) -> None:
    for block in blocks_of(page):
        if block.language != "python":
            continue
        place = f"{name_of(page)}, block at line {block.line}"
        for node in ast.walk(ast.parse(block.code, place)):
            if isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
                module = importlib.import_module(node.module or "")
                missing = [a.name for a in node.names if not hasattr(module, a.name)]
                assert not missing, f"{place}: {node.module} has no {missing}"
            elif isinstance(node, ast.Attribute) and is_package(node.value):
                package = importlib.import_module("napari_unet")
                assert hasattr(package, node.attr), f"{place}: no {node.attr}"
            elif isinstance(node, ast.Call):
                check_keywords(node, place)


def is_ours(module: str) -> bool:
    return module.split(".")[0] == "napari_unet"


def is_package(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "napari_unet"


def check_keywords(call: ast.Call, place: str) -> None:
    """Keywords of calls such as ``napari_unet.train(…)``."""
    if not (isinstance(call.func, ast.Attribute) and is_package(call.func.value)):
        return
    package = importlib.import_module("napari_unet")
    parameters = inspect.signature(getattr(package, call.func.attr)).parameters
    known = set(parameters)
    if call.func.attr == "train":
        known |= set(TrainingConfig.model_fields)
    elif any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return  # checked where the call is run
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    assert given <= known, f"{place}: {call.func.attr} takes no {given - known}"


@with_code
def test_commands_of_the_pages_are_understood(page: Path) -> None:
    for block in blocks_of(page):
        if block.language not in SHELLS:
            continue
        for words in commands_in(block.code):
            place = f"{name_of(page)}, block at line {block.line}: {shlex.join(words)}"
            assert is_understood(words), place


def is_understood(words: list[str]) -> bool:
    """Whether a command of ours exists with these options; others are believed."""
    if words[0] == "napari-unet":
        try:
            # TASK stands for any.
            make_parser().parse_args([w.replace("TASK", "objects") for w in words[1:]])
        except SystemExit as end:  # --help ends with 0
            return end.code == 0
    elif words[0] == "python" and words[1].endswith(".py"):
        return (ROOT / words[1]).exists() or words[1] == "write_samples.py"
    elif words[0] == "make":
        return words[1] in re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE)
    return True


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OTHER_TEXTS)
def test_links_outside_of_the_site_lead_somewhere(name: str) -> None:
    # mkdocs looks at those of the pages themselves.
    links = LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [
        p.relative_to(ROOT / "docs").as_posix() for p in PAGES if "docs" in p.parts
    ]
    assert [page for page in pages if page not in navigation] == []


def test_every_picture_is_used() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = sorted(path.name for path in (ROOT / "docs" / "images").iterdir())
    assert [name for name in pictures if f"images/{name}" not in texts] == []


def test_figures_are_those_that_the_script_draws() -> None:
    # Whoever changes one should change the other.
    drawn = {
        name: draw().svg() for name, draw in script("unet_figures").FIGURES.items()
    }
    for name, figure in drawn.items():
        assert (ROOT / "docs/images" / name).read_text(encoding="utf-8") == figure, name


# -- running --------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small samples, and trainings of a few steps."""
    from napari_unet import api

    for place, smaller in SMALLER.items():
        module_name, name = place.split(":")
        module = importlib.import_module(f"napari_unet.{module_name}")
        make = functools.partial(getattr(module, name), **smaller)
        monkeypatch.setattr(module, name, make)
    train = api.train

    def short(*arguments: Any, **settings: Any) -> Any:
        few = {"max_steps": 2, "base_channels": 4, "batch_size": 2, "device": "cpu"}
        return train(*arguments, **settings | few)

    monkeypatch.setattr(api, "train", short)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.run for b in blocks_of(page))], ids=name_of
)
@pytest.mark.usefixtures("small")
def test_what_the_page_shows_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if not block.run:
            continue
        place = f"{name_of(page)}, block at line {block.line}"
        if block.language == "python":
            if "viewer" in block.code and "viewer" not in names:
                names["viewer"] = viewer_without_window()
            exec(compile(block.code, place, "exec"), names)
        else:
            for words in commands_in(block.code):
                run_command(words, place)


def viewer_without_window() -> Any:
    return pytest.importorskip("napari.components").ViewerModel()


def run_command(words: list[str], place: str) -> None:
    assert words[0] == "napari-unet", f"{place}: only our own command is run"
    few = FEW_STEPS if words[1] == "train" else []
    assert cli.main([*words[1:], *few]) == 0, f"{place}: {shlex.join(words)}"
