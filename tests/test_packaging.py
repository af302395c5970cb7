"""What users install: manifest, entry points, wheel and source distribution."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

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
