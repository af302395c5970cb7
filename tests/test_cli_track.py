"""The command ``napari-unet track``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.image_io import read_image


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """One object that moves to the right, under other numbers, 0.5 µm a pixel."""
    labels = np.zeros((3, 24, 24), np.uint16)
    for t in range(3):
        labels[t, 8:14, 6 + t : 12 + t] = 7 - t
    path = tmp_path / "movie.tif"
    tifffile.imwrite(
        path,
        labels,
        imagej=True,
        resolution=(2, 2),
        metadata={"axes": "TYX", "unit": "um"},
    )
    return path


def test_labels_and_table_are_written(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, table = tmp_path / "new" / "tracked.tif", tmp_path / "tracks.csv"
    assert (
        main(["track", str(movie), "--output", str(output), "--csv", str(table)]) == 0
    )
    assert "1 track and 0 divisions in 3 frames" in capsys.readouterr().out
    written = read_image(output)
    assert (written.axes, written.voxel_size) == ("TYX", (0.5, 0.5))
    assert set(np.unique(np.asarray(written.arrays[0]))) == {0, 1}
    lines = table.read_text().splitlines()
    assert lines[1].startswith("1,0,10.500,8.500,9,7,")
    assert len(lines) == 4


def test_the_longest_distance_is_in_the_unit_of_the_file(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.tif")
    assert main(["track", str(movie), "--output", output, "--max-distance", "0.4"]) == 0
    assert "3 tracks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--axes", "ZYX"], "no time axis"),
        (["--max-distance", "0"], "max_distance"),
        (["--max-gap", "-1"], "max_gap"),
        (["--voxel-size", "1"], "voxel size"),
    ],
)
def test_what_cannot_be_done_is_told_and_writes_nothing(
    options: list[str],
    words: str,
    movie: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.tif"
    assert main(["track", str(movie), "--output", str(output), *options]) == 1
    assert words in capsys.readouterr().err
    assert not output.exists()


def test_no_file_is_replaced_without_leave(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = movie.read_bytes()
    assert main(["track", str(movie), "--output", str(movie), "--overwrite"]) == 1
    assert "would replace the labels" in capsys.readouterr().err
    assert movie.read_bytes() == before
    output = tmp_path / "out.tif"
    output.write_bytes(b"mine")
    assert main(["track", str(movie), "--output", str(output)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_bytes() == b"mine"
    assert main(["track", str(movie), "--output", str(output), "--overwrite"]) == 0
    assert main(["track", str(movie), "--output", str(tmp_path / "out.png")]) == 1
    assert "ends in .tif" in capsys.readouterr().err
