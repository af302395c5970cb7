"""Packages of other programs, in shapes that ours do not have."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

import napari_unet
from napari_unet.data.source import ImageSource
from napari_unet.errors import ModelFileError
from napari_unet.models import foreign_network, rdf_text
from napari_unet.models.foreign import needs_code
from napari_unet.models.model import Model
from napari_unet.models.model_file import read_info
from napari_unet.prediction.predictor import Predictor

from .foreign_packages import (
    Blur,
    blur_package,
    file,
    half_package,
    onnx_package,
    state_dict_package,
)

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture
def half(tmp_path):
    return half_package(tmp_path / "half.zip")


def test_what_another_program_says_about_its_model(half):
    info = read_info(half)
    assert (info.name, info.task, info.spatial) == ("Other model", "classes", "YX")
    assert [(c.name, c.background) for c in info.classes] == [
        ("background", True),
        ("cell", False),
    ]
    assert (info.card.authors, info.card.license) == (["Somebody"], "MIT")


@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (150, 201)])
def test_other_axes_bytes_one_size_and_half_the_output(half, shape):
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 60, shape).astype(np.uint8)
    dark[: shape[0] // 2] += 180
    labels = napari_unet.predict(Model.load(half), dark)
    assert labels.shape == shape
    # The brighter half is background to this model, away from the edge between them.
    assert (labels[: shape[0] // 2 - 4] == 0).all()
    assert (labels[shape[0] // 2 + 4 :] != 0).all()


@pytest.mark.parametrize("name", ["zero_mean_unit_variance", "scale_range"])
def test_statistics_are_those_of_the_whole_image(name, tmp_path):
    kwargs = {"axes": ["y", "x"]}
    if name == "scale_range":
        kwargs |= {"min_percentile": 2.0, "max_percentile": 98.0}
    shift = {"id": "scale_linear", "kwargs": {"gain": 3.0, "offset": 1.0}}
    path = blur_package(tmp_path / "b.zip", [{"id": name, "kwargs": kwargs}, shift])
    image = np.random.default_rng(0).normal(1000, 200, (90, 70)).astype(np.float32)
    image[40:] += 3000
    model = Model.load(path)
    assert model.info.task == "regression"
    found = napari_unet.predict(model, image)
    if name == "scale_range":
        low, high = np.percentile(image, [2, 98])
        scaled = (image - low) / (high - low + 1e-6)
    else:
        scaled = (image - image.mean()) / (image.std() + 1e-6)
    wanted = Blur()(torch.from_numpy(scaled * 3 + 1).float()[None, None])[0, 0]
    # Where the network sees beyond the image, ours is mirrored up to its sizes.
    inner = (slice(3, -4), slice(3, -4))
    np.testing.assert_allclose(found[inner], wanted.numpy()[inner], atol=2e-3)


def test_tiles_equal_the_whole(tmp_path):
    path = blur_package(tmp_path / "b.zip", [])
    model = Model.load(path)
    image = np.random.default_rng(0).normal(0, 9, (101, 83)).astype(np.float32)
    source = ImageSource((image,), "YX")
    from napari_unet.data.normalization import measure_range

    intensity = measure_range(source, model.info.normalization)
    found = []
    for tile in ((128, 128), (24, 32)):
        predictor = Predictor(
            model.network, "regression", torch.device("cpu"), torch.float32, tile=tile
        )
        whole = np.zeros(image.shape, np.float32)
        for part in predictor.run(source, intensity, 0):
            whole[part.tile.target] = part.maps[0]
        found.append(whole)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert abs(found[0]).max() > 5  # nothing was cut off at -5


def test_one_map_of_probabilities_is_compared_with_background(tmp_path):
    path = blur_package(tmp_path / "b.zip", [], postprocessing=[{"id": "sigmoid"}])
    image = np.full((40, 40), -4.0, np.float32)
    image[20:] = 4
    model = Model.load(path)
    assert [c.name for c in model.info.classes] == ["background", "glow"]
    labels = napari_unet.predict(model, image)
    assert (labels[:17] == 0).all()
    assert (labels[23:] == 2).all()


def test_code_runs_only_with_leave(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = state_dict_package(tmp_path / "s.zip")
    assert read_info(path).task == "regression"
    assert needs_code(path)
    with pytest.raises(ModelFileError, match="--allow-model-code"):
        Model.load(path)
    assert not (tmp_path / "ran").exists()
    model = Model.load(path, allow_code=True)
    assert (tmp_path / "ran").exists()
    found = napari_unet.predict(model, np.full((20, 20), 3.0, np.float32))
    np.testing.assert_allclose(found, 6.0)


def test_onnx_of_another_program(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    path = onnx_package(tmp_path / "o.zip")
    assert not needs_code(path)
    image = np.random.default_rng(0).normal(0, 9, (37, 70)).astype(np.float32)
    found = napari_unet.predict(Model.load(path), image)
    np.testing.assert_allclose(found, 2 * image, rtol=1e-5)
    # Where the extra is missing, it is named.
    monkeypatch.setattr(foreign_network, "onnx_session", lambda data: None)
    with pytest.raises(ModelFileError, match=r"pip install .*\[bioimageio\]"):
        Model.load(path)


def test_torchscript_never_needs_leave(half, path):
    assert not needs_code(half)
    assert not needs_code(path)  # one of ours


def test_it_cannot_be_saved_as_ours(half, tmp_path):
    with pytest.raises(ModelFileError, match="another program"):
        Model.load(half).save(tmp_path / "n.bioimage.io.zip")


def changed(path, change):
    with zipfile.ZipFile(path) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()}
    rdf = rdf_text.load(entries["rdf.yaml"])
    change(rdf)
    entries["rdf.yaml"] = rdf_text.dump(rdf)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda r: r["outputs"][0].update(
                postprocessing=[{"id": "custom", "source": "x.py", "callable": "f"}]
            ),
            "'custom', which is not known",
        ),
        (lambda r: r["inputs"].append(r["inputs"][0]), "2 images at a time"),
        (lambda r: r["weights"]["torchscript"].update(source="/etc/passwd"), "harm"),
        (lambda r: r["weights"]["torchscript"].update(source="../w.pt"), "harm"),
        (lambda r: r["weights"]["torchscript"].update(sha256="0" * 64), "not what was"),
        (lambda r: r.update(weights={"keras_hdf5": {"source": "k.h5"}}), "keras_hdf5"),
        (lambda r: r["inputs"][0]["axes"].append({"type": "time", "size": 3}), "axis"),
        (lambda r: r["inputs"][0]["axes"][1].update(size=10**9), "make no sense"),
        (lambda r: r.pop("inputs"), "not complete"),
        (lambda r: r.update(type="dataset"), "no model"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(half, change, sentence):
    changed(half, change)
    with pytest.raises(ModelFileError, match=sentence) as caught:
        Model.load(half)
    assert "\n" not in str(caught.value)


def test_a_torchscript_program_that_touches_files_is_refused(tmp_path):
    @torch.jit.script
    def write_file(x: torch.Tensor) -> torch.Tensor:
        return torch.from_file("harm", True, 10) + x

    path = blur_package(tmp_path / "b.zip", [])
    buffer = io.BytesIO()
    torch.jit.save(write_file, buffer)
    with zipfile.ZipFile(path) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()}
    entries["w.pt"] = buffer.getvalue()
    rdf = rdf_text.load(entries["rdf.yaml"])
    rdf["weights"]["torchscript"] = file("w.pt", entries["w.pt"])
    entries["rdf.yaml"] = rdf_text.dump(rdf)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(ModelFileError, match="reads or writes files"):
        Model.load(path)
