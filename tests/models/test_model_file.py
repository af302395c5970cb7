from __future__ import annotations

import json
import pickle
import zipfile

import pytest
import torch

from napari_unet.data.classes import make_classes
from napari_unet.errors import ModelFileError
from napari_unet.models.info import FORMAT_VERSION, ModelInfo, NetworkInfo
from napari_unet.models.model_file import (
    INFO_NAME,
    WEIGHTS_NAME,
    read_info,
    read_model_file,
    write_model_file,
)

INFO = ModelInfo(
    name="nuclei µ",
    task="classes",
    spatial="YX",
    n_channels=3,
    classes=make_classes([1, 2, 5], 1),
    network=NetworkInfo(name="unet", arguments={"channels": [4, 8]}),
    voxel_size=[0.5, 0.5],
    unit="micrometer",
)


def weights():
    torch.manual_seed(0)
    conv = torch.randn(4, 3, 3, 3)
    return {
        "conv": conv.to(memory_format=torch.channels_last),
        "half": torch.randn(5).to(torch.bfloat16),
        "count": torch.tensor(7),
    }


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "new folder" / "m.unet.zip"
    write_model_file(path, INFO, weights())
    return path


def rewrite(path, **entries):
    """The same archive with some entries replaced (``None`` leaves one out)."""
    names = {"info": INFO_NAME, "weights": WEIGHTS_NAME}
    with zipfile.ZipFile(path) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    old.update({names[k]: v for k, v in entries.items()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in old.items():
            if data is not None:
                archive.writestr(name, data)


def test_a_model_comes_back_bit_for_bit(path):
    info, read = read_model_file(path)
    assert info == INFO == read_info(path)
    for name, tensor in weights().items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError):
        read_model_file(path)


def test_a_flipped_bit_is_never_read_as_a_good_model_without_notice(path):
    whole = path.read_bytes()
    for at in range(0, len(whole), 9):
        for bit in (1, 8, 128):
            data = bytearray(whole)
            data[at] ^= bit
            path.write_bytes(data)
            try:
                info, read = read_model_file(path)
            except ModelFileError:
                continue
            # Bits that carry nothing (times, attributes of the zip) may differ.
            assert info == INFO
            assert all(torch.equal(read[k], v) for k, v in weights().items())


def test_foreign_files_are_told_from_damaged_ones(path, tmp_path):
    for name, data in (("a.txt", b"hello"), ("a.pt", pickle.dumps({"w": 1}))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelFileError, match="is not a model"):
            read_info(tmp_path / name)
    torch.save({"w": torch.zeros(3)}, tmp_path / "w.pt")  # a zip, too
    with pytest.raises(ModelFileError, match="is not a model"):
        read_info(tmp_path / "w.pt")
    rewrite(path, weights=None)
    with pytest.raises(ModelFileError, match="is not a model"):
        read_model_file(path)
    with pytest.raises(ModelFileError, match="There is no model file"):
        read_info(tmp_path / "missing")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_info(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "update napari-unet-live"),
        ({"format_version": "new"}, "is not a model"),
        ({"n_channels": 0}, "damaged .*n_channels"),
        ({"task": "boxes"}, "damaged .*task"),
    ],
)
def test_descriptions_that_cannot_be_used(path, change, sentence):
    rewrite(path, info=json.dumps({**json.loads(INFO.model_dump_json()), **change}))
    with pytest.raises(ModelFileError, match=sentence):
        read_info(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff\xfe", "null"])
def test_descriptions_that_are_none(path, text):
    rewrite(path, info=text.encode("latin1"))
    with pytest.raises(ModelFileError):
        read_info(path)


def test_a_pickle_in_the_place_of_weights_is_not_opened(path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was executed",))

    rewrite(path, weights=pickle.dumps(Evil()))
    with pytest.raises(ModelFileError, match="weights cannot be read"):
        read_model_file(path)


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
        write_model_file(path, INFO, {})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
