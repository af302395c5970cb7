"""Models written anew for others: with ONNX, a licence and authors."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from napari_unet.cli import main
from napari_unet.models import rdf_text
from napari_unet.models.model import Model
from napari_unet.models.model_file import ONNX_NAME, read_info

from .foreign_packages import blur_package

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def rdf(path):
    with zipfile.ZipFile(path) as archive:
        return rdf_text.load(archive.read("rdf.yaml"))


def test_a_copy_says_who_made_it_and_what_is_allowed(path, tmp_path, capsys):
    before = path.read_bytes()
    copy = tmp_path / "for others"
    people = ["--author", "Ada L.", "--author", "Alan T."]
    options = [*people, "--license", "MIT"]
    assert main(["models", "export", str(path), str(copy), *options]) == 0
    made = tmp_path / "for others.bioimage.io.zip"
    assert str(made) in capsys.readouterr().out
    assert path.read_bytes() == before
    card = read_info(made).card
    assert (card.authors, card.license) == (["Ada L.", "Alan T."], "MIT")
    assert [a["name"] for a in rdf(made)["authors"]] == card.authors
    assert rdf(made)["license"] == "MIT"
    old, new = Model.load(path), Model.load(made)
    assert old.info.training == new.info.training
    for name, weights in old.network.state_dict().items():
        np.testing.assert_array_equal(weights, new.network.state_dict()[name])


def test_onnx_is_added_and_stays(path, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    first, second = (tmp_path / f"{n}.bioimage.io.zip" for n in "ab")
    assert main(["models", "export", str(path), str(first), "--onnx"]) == 0
    assert main(["models", "export", str(first), str(second), "--license", "MIT"]) == 0
    for made in (first, second):
        assert rdf(made)["weights"]["onnx"]["source"] == ONNX_NAME


def test_what_cannot_be_exported_is_said_in_words(path, tmp_path, capsys):
    there = tmp_path / "there.bioimage.io.zip"
    there.write_bytes(b"mine")
    export = ["models", "export", str(path)]
    assert main([*export, str(there), "--license", "MIT"]) == 1
    assert there.read_bytes() == b"mine"
    assert main([*export, str(tmp_path / "x"), "--license", "do what you like"]) == 1
    assert "spdx.org" in capsys.readouterr().err
    assert main([*export, str(path), "--author", "A", "--overwrite"]) == 1
    assert "is the model itself" in capsys.readouterr().err
    foreign = blur_package(tmp_path / "other.zip", [])
    out = str(tmp_path / "y")
    assert main(["models", "export", str(foreign), out, "--author", "A"]) == 1
    assert "another program" in capsys.readouterr().err
    assert not list(tmp_path.glob("[xy]*"))
