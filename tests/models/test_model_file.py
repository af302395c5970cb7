from __future__ import annotations

import json
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unet.errors import ModelFileError
from napari_unet.models import rdf_text
from napari_unet.models.info import FORMAT_VERSION
from napari_unet.models.migrations import STEPS
from napari_unet.models.model import Model
from napari_unet.models.model_file import (
    read_cover,
    read_example,
    read_info,
    read_model_file,
    write_model_file,
)
from napari_unet.models.package import weights_bytes

from .conftest import entries, rewrite
from .small_models import make_model

OLD = Path(__file__).parent / "old"


def test_a_model_comes_back_bit_for_bit(path, model):
    loaded = Model.load(path)
    assert loaded.info == model.info == read_info(path)
    wanted = model.network.state_dict()
    for name, tensor in loaded.network.state_dict().items():
        assert tensor.dtype == wanted[name].dtype
        assert torch.equal(tensor, wanted[name])


def test_a_piece_of_the_image_travels_with_the_model(path, model, tmp_path):
    pixels = read_example(path)
    assert pixels.dtype == np.uint16
    assert read_cover(path) is None  # saved while learning goes on
    final = model.save(tmp_path / "final.bioimage.io.zip")
    # Mirrored up to the smallest size that the network takes.
    assert np.array_equal(read_example(final)[:, :60], model.example.pixels)
    assert read_cover(final).startswith(b"\x89PNG")
    # A model that was read and is saved in haste keeps its picture.
    again = Model.load(final).save(tmp_path / "again.bioimage.io.zip", quick=True)
    assert read_cover(again) == read_cover(final)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError):
        read_model_file(path)


def test_a_flipped_bit_is_never_read_as_a_good_model_without_notice(path, model):
    whole = path.read_bytes()
    weights = model.network.state_dict()
    for at in range(0, len(whole), 997):
        for bit in (1, 128):
            data = bytearray(whole)
            data[at] ^= bit
            path.write_bytes(data)
            try:
                info, read = read_model_file(path)
            except ModelFileError:
                continue
            # Bits that carry nothing (times, attributes of the zip, what only other
            # programs read) may differ.
            assert info == model.info
            assert all(torch.equal(read[k], v) for k, v in weights.items())


def test_foreign_files_are_told_from_damaged_ones(path, tmp_path):
    for name, data in (("a.txt", b"hello"), ("a.pt", pickle.dumps({"w": 1}))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelFileError, match="is not a model"):
            read_info(tmp_path / name)
    torch.save({"w": torch.zeros(3)}, tmp_path / "w.pt")  # a zip, too
    with pytest.raises(ModelFileError, match="is not a model"):
        read_info(tmp_path / "w.pt")
    rewrite(path, weights__pt=None)
    with pytest.raises(ModelFileError, match=r"weights.pt is missing"):
        read_model_file(path)
    with pytest.raises(ModelFileError, match="There is no model file"):
        read_info(tmp_path / "missing")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_info(tmp_path)


def described(path, change):
    rdf = rdf_text.load(entries(path)["rdf.yaml"])
    rdf["config"]["napari_unet"].update(change)
    rewrite(path, rdf__yaml=rdf_text.dump(rdf))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "update napari-unet-live"),
        ({"format_version": "new"}, "is not a model"),
        ({"format_version": 0}, "is not a model"),
        ({"n_channels": 0}, "damaged .*n_channels"),
        ({"task": "boxes"}, "damaged .*task"),
        ({"network": {"name": "rnn", "arguments": {}}}, "network 'rnn'"),
    ],
)
def test_descriptions_that_cannot_be_used(path, change, sentence):
    described(path, change)
    with pytest.raises(ModelFileError, match=sentence):
        Model.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff\xfe", "null", "a: [", "&a [*a]"])
def test_descriptions_that_are_none(path, text):
    rewrite(path, rdf__yaml=text.encode("latin1"))
    with pytest.raises(ModelFileError):
        read_info(path)


def test_an_entry_that_claims_to_be_huge_is_not_read(path, monkeypatch):
    monkeypatch.setattr("napari_unet.models.model_file.MAX_INFO_BYTES", 10)
    with pytest.raises(ModelFileError, match="claims"):
        read_info(path)


def test_a_failed_save_leaves_the_old_model(path, monkeypatch):
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(ModelFileError, match="No space left on device"):
        write_model_file(path, {"a": b""})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_weights_of_another_network_are_refused(path):
    other = make_model(n_channels=2).network
    data = weights_bytes(other)
    rdf = rdf_text.load(entries(path)["rdf.yaml"])
    state = rdf["weights"]["pytorch_state_dict"]
    state["sha256"] = sha256(data).hexdigest()
    rewrite(path, weights__pt=data, rdf__yaml=rdf_text.dump(rdf))
    with pytest.raises(ModelFileError, match="do not fit"):
        Model.load(path)


# --- older formats -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["format1_classes", "format1_objects"])
def test_models_of_the_first_format_give_what_they_gave(name, tmp_path):
    path = OLD / f"{name}.unet.zip"
    model = Model.load(path)
    image = np.random.default_rng(0).random(
        (1, model.info.n_channels, 32, 32), dtype=np.float32
    )
    with torch.inference_mode():
        found = model.network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, np.load(OLD / f"{name}.npy"), atol=1e-5)
    assert model.info.format_version == FORMAT_VERSION
    again = Model.load(model.save(tmp_path / "n.bioimage.io.zip", quick=True))
    assert again.info == model.info


def test_the_first_format_keeps_what_it_said():
    info = read_info(OLD / "format1_classes.unet.zip")
    assert info.name == "leaf µ / 7"
    assert [c.value for c in info.classes] == [1, 2, 5]
    assert info.voxel_size == [0.5, 0.5]
    assert info.training.annotated_voxels == {
        "background": 120, "class 2": 50, "class 5": 7,
    }  # fmt: skip
    assert info.training.seed == 4


def test_the_height_of_seeds_is_forgotten(tmp_path):
    with zipfile.ZipFile(OLD / "format1_objects.unet.zip") as archive:
        old = {n: archive.read(n) for n in archive.namelist()}
    info = json.loads(old["model.json"])
    info["decoder"]["seed_threshold"] = 0.4
    old["model.json"] = json.dumps(info).encode()
    write_model_file(tmp_path / "old.unet.zip", old)
    assert read_info(tmp_path / "old.unet.zip").decoder.min_size == 7


def test_every_older_format_has_a_step():
    assert sorted(STEPS) == list(range(1, FORMAT_VERSION))
