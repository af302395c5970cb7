"""What other programs need of a package."""

from __future__ import annotations

import importlib.util
import io
import re
import subprocess
import sys
import zipfile
from hashlib import sha256

import numpy as np
import pytest
import torch

from napari_unet.models import rdf_text
from napari_unet.models.architecture import CLASS_NAME, architecture_source
from napari_unet.models.card import readme
from napari_unet.models.example import Example, fitted, normalized
from napari_unet.models.exports import ExportError, MapsNetwork
from napari_unet.models.info import ModelCard
from napari_unet.models.model import Model
from napari_unet.models.rdf import citations, identifiers, plain_name
from napari_unet.networks.registry import NETWORKS

from .conftest import entries
from .small_models import make_model, network_names


def package(path):
    found = entries(path)
    rdf = rdf_text.load(found["rdf.yaml"])
    return rdf, found


def array(data):
    return np.load(io.BytesIO(data), allow_pickle=False)


def imported(source, tmp_path):
    """The network's class from its one file, as another program gets it."""
    file = tmp_path / "architecture.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("their_architecture", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, CLASS_NAME)


@pytest.mark.parametrize(("name", "ndim"), network_names())
def test_the_architecture_file_gives_the_same_network(name, ndim, tmp_path):
    model = make_model(name, ndim=ndim)
    kind = imported(architecture_source(NETWORKS[name], "classes", 1.5), tmp_path)
    theirs = kind(**model.info.network.model_dump(mode="json")["arguments"]).eval()
    theirs.load_state_dict(model.network.state_dict())
    size = [2 * d for d in model.network.divisor]
    image = torch.rand(1, 1, *size)
    with torch.inference_mode():
        wanted = MapsNetwork(model.network, "classes", 1.5)(image)
        assert torch.equal(theirs(image), wanted)


@pytest.mark.parametrize("task", ["classes", "objects", "regression"])
def test_the_architecture_file_needs_torch_alone(task, tmp_path):
    source = architecture_source(NETWORKS["pixel_unet"], task)
    (tmp_path / "theirs.py").write_text(source)
    code = (
        "import sys\nsys.modules['napari_unet'] = None\nimport theirs\n"
        f"print(theirs.{CLASS_NAME}.__name__)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.stdout.strip() == CLASS_NAME, found.stderr
    assert not re.search(r"(from|import) napari_unet", source)


# Torch says that TorchScript will go.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("task", ["classes", "objects", "regression"])
@pytest.mark.parametrize(("name", "ndim"), [("unet", 3), ("pixel_unet", 2)])
def test_torchscript_gives_the_test_output_at_any_size(task, name, ndim, tmp_path):
    model = make_model(name, task, ndim, n_channels=2)
    rdf, found = package(model.save(tmp_path / "m.bioimage.io.zip"))
    pixels = array(found["test_input.npy"])[0]
    image = torch.from_numpy(normalized(pixels, model.info.normalization))[np.newaxis]
    traced = torch.jit.load(io.BytesIO(found["weights_torchscript.pt"]))
    with torch.inference_mode():
        wanted = MapsNetwork(model.network, task)(image)
        np.testing.assert_allclose(traced(image), wanted, atol=1e-5)
        np.testing.assert_allclose(array(found["test_output.npy"]), wanted, atol=1e-5)
        step = model.network.divisor
        other = torch.rand(2, 2, *(7 * d for d in step))
        wanted = MapsNetwork(model.network, task)(other)
        np.testing.assert_allclose(traced(other), wanted, atol=1e-5)
    assert set(rdf["weights"]) == {"pytorch_state_dict", "torchscript"}


def test_every_file_is_named_with_its_checksum(model, tmp_path):
    rdf, found = package(model.save(tmp_path / "m.bioimage.io.zip"))
    named = [rdf["inputs"][0]["test_tensor"], rdf["outputs"][0]["test_tensor"]]
    for weights in rdf["weights"].values():
        named.append(weights)
    named.append(rdf["weights"]["pytorch_state_dict"]["architecture"])
    for file in named:
        assert sha256(found[file["source"]]).hexdigest() == file["sha256"]
    assert all("/" not in name for name in found)
    listed = {f["source"] for f in named} | {rdf["documentation"], *rdf["covers"]}
    assert listed | {"rdf.yaml"} == set(found)


def test_the_shapes_that_old_readers_need(model, tmp_path):
    rdf, found = package(model.save(tmp_path / "m.bioimage.io.zip"))
    assert rdf["documentation"] == "README.md"  # a mapping breaks Fiji's reader
    assert b"# Validation" in found["README.md"]
    for tensor in (*rdf["inputs"], *rdf["outputs"]):
        for axis in tensor["axes"]:
            assert "scale" not in axis  # the official library stumbles over it
    steps = [s["id"] for s in rdf["inputs"][0]["preprocessing"]]
    assert steps == ["ensure_dtype", "scale_range", "clip", "ensure_dtype"]
    smallest = rdf["inputs"][0]["axes"][-1]["size"]["min"]
    assert smallest - 2 * rdf["outputs"][0]["axes"][-1]["halo"] >= 1
    assert "+" not in rdf["weights"]["torchscript"]["pytorch_version"]
    assert not any("github_user" in author for author in rdf["authors"])


def test_onnx_is_asked_for_in_words_where_it_is_missing(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    path = tmp_path / "m.bioimage.io.zip"
    with pytest.raises(ExportError, match=r"pip install .*\[onnx\]"):
        model.save(path, onnx=True)
    assert not path.exists()


@pytest.mark.parametrize(("name", "ndim"), [("unet", 2), ("unet", 3)])
def test_onnx_gives_the_test_output(name, ndim, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    model = make_model(name, ndim=ndim)
    path = model.save(tmp_path / "m.bioimage.io.zip", onnx=True)
    rdf, _ = package(path)
    # Before it is written it is run at two sizes; see exports._try_onnx.
    assert rdf["weights"]["onnx"]["opset_version"] == 18
    assert Model.load(path).info == model.info


def test_names_that_packages_allow():
    assert plain_name("Zellkerne µ/7") == "Zellkerne _7"
    assert plain_name("细胞") == "U-Net"
    assert len(plain_name("x" * 500)) == 128
    assert identifiers(["class 2", "class", "7", "", "class 2"], "c") == [
        "class_2", "c1_class", "c2_7", "c3", "class_2_4",
    ]  # fmt: skip
    cited = citations(["See 10.1038/s41592-018-0261-2.", "https://a.b/c", "a book"])
    assert cited[0]["doi"] == "10.1038/s41592-018-0261-2"
    assert cited[1]["url"] == "https://a.b/c"
    assert len(cited) == 3


def test_the_model_card_says_what_people_ask(model):
    card = ModelCard(limits="Not for tissue.", authors=["A. Person"], license="MIT")
    text = readme(model.info.model_copy(update={"card": card}), cover="cover.png")
    for words in (
        "![", "a.tif", "class 2: 50", "class 2: 7", "0.800 (95 % interval 0.700 to",
        "Not for tissue", "MIT", "A. Person", "0.5 × 0.5 micrometer",
    ):  # fmt: skip
        assert words in text, words


def test_the_recipe_for_objects_works(tmp_path):
    model = make_model(task="objects")
    text = readme(model.info, cover=None)
    code = text.split("```python")[1].split("```")[0]
    maps = np.zeros((2, 20, 40), np.float32)
    for centre in (10, 28):
        y, x = np.mgrid[:20, :40]
        inside = np.clip(1 - np.hypot(y - 10, x - centre) / 8, 0, 1)
        maps[1] = np.maximum(maps[1], inside)
    maps[0] = maps[1] > 0
    known = {"maps": maps}
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image renames arguments now and then
        exec(code, known)
    assert len(np.unique(known["objects"])) == 3


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((1, 40, 40), np.nan, np.float16),
        np.zeros((1, 3, 5), bool),
        np.ones((1, 1, 1), np.int64),
        np.full((1, 100, 100), 7, np.uint8),
    ],
)
def test_any_image_makes_a_package(model, pixels, tmp_path):
    model.example = Example(pixels)
    path = model.save(tmp_path / "m.bioimage.io.zip")
    output = array(entries(path)["test_output.npy"])
    assert np.isfinite(output).all()


def test_small_pieces_are_mirrored():
    pixels = np.arange(4).reshape(1, 1, 4)
    assert fitted(pixels, (1, 7)).tolist() == [[[0, 1, 2, 3, 2, 1, 0]]]
    assert fitted(pixels, (1, 2)).tolist() == [[[1, 2]]]


def test_nothing_of_bioimageio_or_onnx_is_imported(model, tmp_path):
    path = model.save(tmp_path / "m.bioimage.io.zip")
    code = (
        "import sys\nfrom napari_unet.models.model import Model\n"
        f"m = Model.load({str(path)!r})\nm.save({str(path)!r})\n"
        "heavy = {'bioimageio', 'onnx', 'onnxruntime', 'onnxscript'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.stdout.strip() == "[]", found.stderr


def test_the_archive_is_not_packed(model, tmp_path):
    path = model.save(tmp_path / "m.bioimage.io.zip", quick=True)
    with zipfile.ZipFile(path) as archive:
        kinds = {e.compress_type for e in archive.infolist()}
    assert kinds == {zipfile.ZIP_STORED}
