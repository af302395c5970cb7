"""``napari-unet models`` and ``napari-unet convert-labels``."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.data.classes import make_classes
from napari_unet.models import rdf_text
from napari_unet.models.info import ModelInfo, TrainingSummary
from napari_unet.models.library_settings import choose_folder
from napari_unet.models.model_file import RDF_NAME, SUFFIX
from napari_unet.networks.info import NetworkInfo


@pytest.fixture
def model(model_folder):
    model_folder.mkdir()
    info = ModelInfo(
        name="cells",
        task="objects",
        spatial="YX",
        n_channels=1,
        classes=make_classes([2], 1),
        network=NetworkInfo(name="unet", arguments={}),
        training=TrainingSummary(score=0.75, score_name="mean AP@0.5:0.9"),
    )
    path = model_folder / f"cells{SUFFIX}"
    own = {"napari_unet": info.model_dump(mode="json")}
    weights = {"pytorch_state_dict": {"source": "weights.pt", "sha256": ""}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(RDF_NAME, rdf_text.dump({"weights": weights, "config": own}))
    return path


def test_a_model_through_its_life(model, tmp_path, capsys, monkeypatch):
    assert main(["models", "list"]) == 0
    assert "cells  objects  2D, 1 ch  0.750" in capsys.readouterr().out
    assert main(["models", "note", "cells", "for Anna"]) == 0
    assert main(["models", "rename", "cells", "nuclei"]) == 0
    assert main(["models", "duplicate", "nuclei"]) == 0
    assert main(["models", "export", "nuclei", str(tmp_path / "out")]) == 0
    assert main(["models", "list", "--find", "anna", "--sort", "name", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out.partition("[")[2].join(["[", ""]))
    assert [m["name"] for m in plain] == ["nuclei", "nuclei copy"]
    assert plain[0]["info"]["training"]["score"] == 0.75
    assert main(["models", "show", "nuclei"]) == 0
    assert "for Anna" in capsys.readouterr().out
    monkeypatch.setattr("send2trash.send2trash", lambda p: __import__("os").unlink(p))
    assert main(["models", "delete", "nuclei", "nuclei copy"]) == 0
    assert main(["models", "import", str(tmp_path / f"out{SUFFIX}")]) == 0
    assert main(["models", "import", str(tmp_path / f"out{SUFFIX}")]) == 0
    out = capsys.readouterr().out
    assert "out: imported\nout: there already\n" in out


def test_wrong_names_and_files_are_told(model, tmp_path, capsys):
    assert main(["models", "rename", "missing", "x"]) == 2
    assert "models list" in capsys.readouterr().err
    assert main(["models", "delete", "cells", "missing"]) == 2
    assert model.exists()  # nothing is done before all is known
    assert main(["models", "rename", "cells", "a/b"]) == 1
    wrong = tmp_path / "photo.zip"
    wrong.write_bytes(b"no zip")
    assert main(["models", "import", str(wrong)]) == 1
    assert "photo.zip" in capsys.readouterr().err


def test_the_folder_is_moved(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NAPARI_UNET_MODELS")
    assert main(["models", "folder", str(tmp_path / "elsewhere")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "elsewhere")
    assert main(["models", "list"]) == 0
    assert str(tmp_path / "elsewhere") in capsys.readouterr().err
    choose_folder(None)


# convert-labels ----------------------------------------------------------------------


@pytest.fixture
def cells(tmp_path):
    labels = np.zeros((20, 30), np.uint16)
    labels[3:9, 4:12] = 1
    labels[3:9, 12:20] = 2
    tifffile.imwrite(tmp_path / "image.tif", np.zeros_like(labels))
    tifffile.imwrite(
        tmp_path / "cells.tif",
        labels,
        imagej=True,
        resolution=(4, 4),
        metadata={"unit": "um"},
    )
    return labels


def test_to_imagej_and_back_as_sparse_annotation(tmp_path, cells, capsys):
    rois, back = str(tmp_path / "cells.zip"), tmp_path / "back.tif"
    assert main(["convert-labels", str(tmp_path / "cells.tif"), rois]) == 0
    assert "2 outlines were written for ImageJ" in capsys.readouterr().out
    image = ["--image", str(tmp_path / "cells.tif")]
    command = ["convert-labels", rois, str(back), *image]
    assert main([*command, "--annotation", "sparse"]) == 0
    np.testing.assert_array_equal(
        tifffile.imread(back), np.where(cells > 0, cells + 1, 0)
    )
    with tifffile.TiffFile(back) as tif:
        assert tif.imagej_metadata["unit"] == "um"
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    np.testing.assert_array_equal(tifffile.imread(back), cells)


def test_classes_of_qupath_are_named(tmp_path, cells, capsys):
    square = [[1, 1], [5, 1], [5, 5], [1, 5], [1, 1]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {"classification": {"name": "Tumor", "color": [200, 0, 0]}},
    }
    source = tmp_path / "slide.geojson"
    source.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    out = tmp_path / "out.tif"
    arguments = ["--image", str(tmp_path / "image.tif"), "--meaning", "classes"]
    assert main(["convert-labels", str(source), str(out), *arguments]) == 0
    assert "label 1: Tumor" in capsys.readouterr().err
    assert (tifffile.imread(out) == 1).sum() == 16
