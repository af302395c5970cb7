"""``napari-unet evaluate`` beyond what it prints: files, models, robustness."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.data.source import ImageSource
from napari_unet.image_io import write_labels, write_probabilities


def run(*words: Any) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three images whose objects are bright, their labels, and guesses."""
    rng = np.random.default_rng(0)
    for k in range(3):
        truth = np.zeros((40, 50), np.uint8)
        for number, (y, x) in enumerate([(4, 4), (4, 30), (24, 10)], start=1):
            truth[y : y + 10, x : x + 10] = number
        guess = np.where(truth == k + 1, 0, truth)
        image = (150 * (truth > 0) + rng.integers(0, 40, truth.shape)).astype(np.uint8)
        write_labels(
            tmp_path / "t" / f"a{k}.tif", truth, "YX", (0.5, 0.5), "micrometer"
        )
        write_labels(tmp_path / "p" / f"a{k}.tif", guess, "YX")
        (tmp_path / "i").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "i" / f"a{k}.tif", image)
    return tmp_path


def test_csv_report_and_intervals(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        *("evaluate", "--predictions", folders / "p", "--labels", folders / "t"),
        *("--images", folders / "i", "--task", "objects", "--resamples", 200),
        *("--thresholds", 0.5, 0.9, "--csv", folders / "s.csv"),
        *("--report", folders / "r.html", "--json", folders / "s.json"),
    )
    assert code == 0
    told = capsys.readouterr().out
    assert "95 % interval" in told
    assert "0.667 to 0.667" in told  # each image misses one of three
    assert "errors: 3 missed, 0 invented" in told
    assert "Intervals from 3 images are too narrow" in told
    page = (folders / "r.html").read_text()
    assert page.count("data:image/") == 9
    scores = json.loads((folders / "s.json").read_text())
    assert set(scores["thresholds"]) == {"0.50", "0.90"}
    assert scores["unit"] == "micrometer"
    assert scores["interval"]["resamples"] == 200
    assert scores["errors"]["missed"] == 3
    assert (folders / "s.csv").read_text().startswith("image,score,of,value")


@pytest.mark.parametrize("option", ["--csv", "--json", "--report"])
def test_what_is_there_is_replaced_only_with_leave(
    folders: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = folders / "mine"
    mine.write_text("notes")
    command = (
        *("evaluate", "--predictions", folders / "p", "--labels", folders / "t"),
        *("--task", "objects", "--resamples", 20, option, mine),
    )
    assert run(*command) == 1
    assert f"choose another {option}, or add --overwrite." in capsys.readouterr().err
    assert mine.read_text() == "notes"
    assert run(*command, "--overwrite") == 0
    assert mine.read_text() != "notes"


def test_calibration_of_written_probabilities(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(3):
        truth = tifffile.imread(folders / "t" / f"a{k}.tif")
        maps = np.stack([np.where(truth > 0, 0.9, 0.1), np.zeros(truth.shape)])
        write_probabilities(folders / "m" / f"a{k}.tif", maps, "CYX")
    code = run(
        *("evaluate", "--predictions", folders / "p", "--labels", folders / "t"),
        *("--probabilities", folders / "m", "--task", "objects"),
    )
    assert code == 0
    assert "expected calibration error 0.100" in capsys.readouterr().out


def test_options_that_contradict_each_other(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("evaluate", "--labels", folders / "t")
    made = ("--predictions", folders / "p")
    for options, words in [
        ((), "nothing to compare"),
        (made, "--task is needed"),
        ((*made, "--task", "objects", "--robustness"), "give --model"),
        ((*made, "--model", "m"), "not both"),
        (("--model", "m"), "needs --images"),
    ]:
        assert run(*labels, *options) == 2
        assert words in capsys.readouterr().err
    assert run(*labels, *made, "--task", "objects", "--tolerance", -2) == 1
    assert "'tolerance' cannot be -2" in capsys.readouterr().err
    assert not list(folders.glob("*.json"))


def test_a_disk_that_refuses_is_told(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("evaluate", "--predictions", folders / "p", "--labels", folders / "t")
    (folders / "file").write_text("")
    code = run(*both, "--task", "objects", "--report", folders / "file" / "r.html")
    assert code == 1
    assert "could not be written" in capsys.readouterr().err


def test_a_model_is_scored_and_stressed(
    folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the network: bright is an object."""
    from napari_unet.cli import evaluate as command

    seen: list[float] = []

    class Threshold(command._Model):
        def __init__(self, options: Any) -> None:
            pass

        task = "objects"

        def open(self, files: Any, settings: Any, size: Any, change: str = "") -> Any:
            cool = SimpleNamespace(temperature=1.0)
            info = SimpleNamespace(ndim=2, classes=[], calibration=cool)
            self._model = SimpleNamespace(info=info)
            return super().open(files, settings, size, change)

        def _segment(self, source: ImageSource) -> Any:
            from napari_unet.metrics import pieces

            pixels = source.read(0)[0]
            seen.append(float(pixels.mean()))
            maps = np.stack([pixels / 255.0, pixels / 255.0]).astype(np.float16)
            return pieces(pixels > 100), maps

    monkeypatch.setattr(command, "_Model", Threshold)
    code = run(
        *("evaluate", "--model", "any", "--images", folders / "i"),
        *("--labels", folders / "t", "--robustness", "--report", folders / "r.html"),
        *("--json", folders / "s.json"),
    )
    assert code == 0
    rows = json.loads((folders / "s.json").read_text())["robustness"]
    names = ["as they are", "noise", "blur", "half contrast", "brighter"]
    assert [row["images"] for row in rows] == [*names, "half resolution"]
    assert rows[0]["value"] == 1.0
    assert len(seen) == 3 * 6
    assert seen[12] > seen[0]  # brighter images were really segmented
    assert "expected calibration error" in capsys.readouterr().out
    assert "Robustness" in (folders / "r.html").read_text()
