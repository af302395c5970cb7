"""``napari-unet measure`` on files and folders."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from napari_unet import cli
from napari_unet.image_io import write_labels, write_probabilities


def run(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def squares() -> NDArray[np.uint16]:
    labels = np.zeros((30, 40), np.uint16)
    labels[2:6, 3:9] = 1
    labels[20:30, 10:20] = 5
    return labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 10):
        labels = squares() * (number != 2)
        path = tmp_path / "labels" / f"cell{number}.tif"
        write_labels(path, labels, "YX", (0.5, 0.5), "micrometer")
        image = np.stack([labels * 2.0, np.full(labels.shape, float(number))])
        write_probabilities(
            tmp_path / "images" / f"cell{number}.tif", image, "CYX", (0.5, 0.5)
        )
    return tmp_path


def test_one_file(folder: Path, capsys: Any) -> None:
    target = folder / "new" / "cells.csv"
    assert run("measure", folder / "labels" / "cell1.tif", "--csv", target) == 0
    found = rows(target)
    assert [row["id"] for row in found] == ["1", "5"]
    assert [float(row["area_um2"]) for row in found] == [6.0, 25.0]
    assert [row["touches_border"] for row in found] == ["0", "1"]
    assert "image" not in found[0]
    assert "2 rows from 1 of 1 files" in capsys.readouterr().out


def test_folders_with_brightness_and_classes(folder: Path) -> None:
    target = folder / "cells.csv"
    code = run(
        "measure",
        folder / "labels",
        "--image",
        folder / "images",
        "--classes",
        folder / "labels",
        "--channels",
        "DNA",
        "actin",
        "--csv",
        target,
        "--no-solidity",
    )
    assert code == 0
    found = rows(target)
    assert [row["image"] for row in found] == ["cell1", "cell1", "cell10", "cell10"]
    assert [float(row["intensity_mean_actin"]) for row in found] == [1, 1, 10, 10]
    assert [row["intensity_max_DNA"] for row in found[:2]] == ["2.0", "10.0"]
    assert [row["class"] for row in found[:2]] == ["1", "5"]
    assert "solidity" not in found[0]


def test_axes_voxel_size_and_planes_can_be_told(tmp_path: Path) -> None:
    stack = np.stack([squares(), squares() * 0, squares()])
    np.save(tmp_path / "stack.npy", stack)
    target = tmp_path / "t.csv"
    common = ("measure", tmp_path / "stack.npy", "--csv", target, "--overwrite")
    assert run(*common) == 0
    assert [float(r["volume_px3"]) for r in rows(target)] == [48, 200]
    assert run(*common, "--axes", "TYX", "--voxel-size", 2, 2, "--unit", "um") == 0
    assert [r["frame"] for r in rows(target)] == ["0", "0", "2", "2"]
    assert float(rows(target)[0]["area_um2"]) == 96
    assert run(*common, "--axes", "TYX", "--image", tmp_path / "stack.npy") == 0
    assert float(rows(target)[1]["intensity_mean"]) == 5
    assert run(*common, "--planes") == 0
    assert [r["plane"] for r in rows(target)] == ["0", "0", "2", "2"]


def test_pictures_with_a_palette_are_labels(tmp_path: Path) -> None:
    picture = Image.fromarray(squares().astype(np.uint8), mode="P")
    picture.putpalette([k % 256 for k in range(768)])
    picture.save(tmp_path / "cells.png")
    assert run("measure", tmp_path / "cells.png", "--csv", tmp_path / "t.csv") == 0
    assert [row["id"] for row in rows(tmp_path / "t.csv")] == ["1", "5"]


def test_nothing_is_replaced_unasked(folder: Path, capsys: Any) -> None:
    target = folder / "cells.csv"
    target.write_text("mine")
    one = folder / "labels" / "cell1.tif"
    assert run("measure", one, "--csv", target) == 1
    assert "add --overwrite" in capsys.readouterr().err
    assert target.read_text() == "mine"
    before = one.read_bytes()
    assert run("measure", one, "--csv", one, "--overwrite") == 1
    assert one.read_bytes() == before


def test_a_damaged_file_is_named_and_the_others_go_on(
    folder: Path, capsys: Any
) -> None:
    (folder / "labels" / "cell1.tif").write_bytes(b"II*\0 broken")
    assert run("measure", folder / "labels", "--csv", folder / "t.csv") == 1
    assert "cell1.tif: " in capsys.readouterr().err
    assert {row["image"] for row in rows(folder / "t.csv")} == {"cell10"}


def test_wrong_pairs_are_told(folder: Path, capsys: Any) -> None:
    (folder / "images" / "cell2.tif").unlink()
    common = ("measure", folder / "labels", "--csv", folder / "t.csv")
    assert run(*common, "--image", folder / "images") == 1
    assert "cell2" in capsys.readouterr().err
    one = ("measure", folder / "labels" / "cell1.tif", "--csv", folder / "t.csv")
    assert run(*one, "--image", folder / "images") == 1
    assert "two folders" in capsys.readouterr().err
    small = folder / "small.npy"
    np.save(small, np.zeros((3, 4)))
    assert run(*one, "--image", small) == 1
    assert "small" in capsys.readouterr().err
    assert not (folder / "t.csv").exists()
