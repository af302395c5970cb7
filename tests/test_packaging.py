"""What users install: manifest, entry points, wheel and source distribution."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from npe2 import PluginManifest

import napari_unet

PACKAGE = Path(napari_unet.__file__).parent
ROOT = Path(__file__).parents[1]
NAME = "napari-unet-live"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this checkout."""
    for module in ("build", "hatchling"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    folder = tmp_path_factory.mktemp("dist")
    command = ["-m", "build", "--no-isolation", "--sdist", "--wheel"]
    run = subprocess.run(
        [sys.executable, *command, "--outdir", str(folder), str(ROOT)],
        env=os.environ | {"GITHUB_REPOSITORY": "Somebody/some-name"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return folder


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_wheel_holds_manifest_types_licence_and_nothing_foreign(built: Path) -> None:
    with zipfile.ZipFile(one(built, "*.whl")) as wheel:
        names = set(wheel.namelist())
        manifest = wheel.read("napari_unet/napari.yaml")
    assert manifest == (PACKAGE / "napari.yaml").read_bytes()
    assert "napari_unet/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    tops = {name.partition("/")[0] for name in names}
    info = f"{NAME.replace('-', '_')}-{napari_unet.__version__}.dist-info"
    assert tops == {"napari_unet", info}


def test_wheel_holds_every_module(built: Path) -> None:
    with zipfile.ZipFile(one(built, "*.whl")) as wheel:
        names = set(wheel.namelist())
    modules = {p.relative_to(PACKAGE.parent).as_posix() for p in PACKAGE.rglob("*.py")}
    assert modules <= names


def test_wheel_is_small(built: Path) -> None:
    assert one(built, "*.whl").stat().st_size < 12e6


def test_package_index_gets_addresses_and_a_readme_whose_links_work_there(
    built: Path,
) -> None:
    with zipfile.ZipFile(one(built, "*.whl")) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        text = wheel.read(name).decode()
    assert "Project-URL: Source, https://github.com/Somebody/some-name\n" in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    pictures = [target for target in targets if target.endswith(".png")]
    assert len(pictures) >= 2
    assert all(target.startswith(("https://", "http://", "#")) for target in targets)
    raw = "https://raw.githubusercontent.com/Somebody/some-name/"
    for target in pictures:
        tag, _, path = target.removeprefix(raw).partition("/")
        assert tag == f"v{napari_unet.__version__}"
        assert (ROOT / path).is_file()


def test_links_that_lead_elsewhere_stay_as_they_are() -> None:
    pytest.importorskip("hatchling")
    path = ROOT / "scripts" / "package_metadata.py"
    spec = importlib.util.spec_from_file_location("package_metadata", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = "[a](https://a.org) [b](#here) [c](mailto:x@y.org) `[d]` (e) [f\ng](h/i.md)"
    assert module.with_absolute_links(text, "o/n", "v1") == text.replace(
        "h/i.md", "https://github.com/o/n/blob/v1/h/i.md"
    )


def test_oldest_versions_that_are_tested_are_those_that_are_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = dict(line.split(">=") for line in project["dependencies"])
    tested = dict(
        line.lower().split("==")
        for line in (ROOT / "constraints-lower.txt").read_text().splitlines()
        if not line.startswith("#")
    )

    def number(version: str) -> tuple[int, ...]:
        parts = [int(part) for part in version.split(".")]
        return tuple(parts + [0] * (4 - len(parts)))

    del promised["torch"]  # constraints-lower.txt says why
    assert {name: number(tested[name]) for name in promised} == {
        name: number(version) for name, version in promised.items()
    }


def test_source_distribution_can_be_tested_and_built_again(built: Path) -> None:
    with tarfile.open(one(built, "*.tar.gz")) as sdist:
        files = {m.name.partition("/")[2]: m for m in sdist.getmembers()}
    for name in (
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "mkdocs.yml",
        "napari.yaml",
        "pyproject.toml",
        "scripts/make_environment.sh",
        "src/napari_unet/napari.yaml",
        "src/napari_unet/py.typed",
        "tests/test_packaging.py",
    ):
        assert name in files
    manifest = files["napari.yaml"]
    assert manifest.issym() or manifest.size > 0


def test_manifest_at_the_top_is_the_one_in_the_package() -> None:
    link = ROOT / "napari.yaml"
    assert link.read_bytes() == (PACKAGE / "napari.yaml").read_bytes()
    if sys.platform != "win32":  # git on Windows may check links out as files
        assert link.is_symlink()


def test_npe2_finds_the_manifest_of_the_installed_plugin() -> None:
    manifest = PluginManifest.from_distribution(NAME)
    assert manifest.name == NAME
    assert manifest.display_name == "U-Net Live"
    assert manifest.package_metadata is not None
    commands = manifest.contributions.commands or []
    assert commands
    assert all(command.id.startswith(f"{NAME}.") for command in commands)


def test_every_name_in_the_manifest_can_be_imported() -> None:
    PluginManifest.from_distribution(NAME).validate_imports()


def test_command_and_version_are_those_of_the_package() -> None:
    distribution = metadata.distribution(NAME)
    assert distribution.version == napari_unet.__version__
    scripts = {
        point.name: point.value
        for point in distribution.entry_points
        if point.group == "console_scripts"
    }
    assert scripts == {"napari-unet": "napari_unet.cli:main"}


def test_nothing_that_could_disturb_the_users_environment_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = requirement.split(">")[0]
        assert name not in {"napari", "qtpy", "pyqt5", "pyqt6", "pyside6"}
        assert "<" not in requirement
        assert "==" not in requirement


def test_changelog_names_this_version_or_what_is_coming() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{napari_unet.__version__}]" in changelog or (
        "## [Unreleased]" in changelog
    )
