"""Files made to do harm: one clear sentence each, and nothing runs."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import zipfile
from hashlib import sha256

import numpy as np
import pytest
import torch

from napari_unet.errors import ModelFileError
from napari_unet.models import archive as archive_module
from napari_unet.models import rdf_text
from napari_unet.models.model import Model
from napari_unet.models.model_file import read_cover, read_example, read_info

from .conftest import entries, rewrite

HARM = "may be made to do harm"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch, tmp_path):
    """Whatever ran would leave something behind."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path.parent / "harm").exists()


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def change_rdf(path, change):
    rdf = rdf_text.load(entries(path)["rdf.yaml"])
    change(rdf)
    rewrite(path, rdf__yaml=rdf_text.dump(rdf))


def put_weights(path, data):
    """Weights with the right checksum: whoever means harm computes it, too."""

    def change(rdf):
        rdf["weights"]["pytorch_state_dict"]["sha256"] = sha256(data).hexdigest()

    change_rdf(path, change)
    rewrite(path, weights__pt=data)


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def refused(path, sentence):
    with pytest.raises(ModelFileError, match=sentence) as caught:
        Model.load(path)
    assert "\n" not in str(caught.value)


def test_a_pickle_bomb_as_weights(path):
    put_weights(path, saved({"head.bias": Bomb()}))
    refused(path, HARM)


def test_a_bare_pickle_as_weights(path):
    put_weights(path, pickle.dumps(Bomb()))
    refused(path, "its weights cannot be read")


def test_weights_that_are_a_whole_network(path):
    put_weights(path, saved(torch.nn.Linear(2, 2)))
    refused(path, HARM)


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"a": 1}, {1: torch.zeros(2)}, 5])
def test_weights_that_are_none(path, value):
    put_weights(path, saved(value))
    refused(path, "none of a network")


def test_a_test_image_of_objects(path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], object), allow_pickle=True)
    rewrite(path, test_input__npy=buffer.getvalue())
    refused(path, "test image")


def test_a_test_image_of_another_shape(path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 3)))
    rewrite(path, test_input__npy=buffer.getvalue())
    refused(path, "test image does not fit")


def test_a_test_image_that_claims_to_be_huge(path):
    head = b"\x93NUMPY\x01\x00"
    text = (
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 9999999, 9999999)}"
    )
    rewrite(path, test_input__npy=head + struct.pack("<H", len(text)) + text)
    refused(path, "test image cannot be read")


def test_code_in_the_architecture_is_never_looked_at(path):
    rewrite(path, architecture__py=b"import os\nos.system('touch harm')\n")
    Model.load(path)  # the autouse fixture says that nothing ran


@pytest.mark.parametrize("kind", ["library", "custom"])
def test_callables_and_custom_steps_are_never_looked_at(path, kind):
    def change(rdf):
        if kind == "library":
            state = rdf["weights"]["pytorch_state_dict"]
            state["architecture"] = {"import_from": "os", "callable": "system"}
        else:
            step = {"id": "custom", "source": "architecture.py", "callable": "x"}
            rdf["outputs"][0]["postprocessing"] = [step]

    change_rdf(path, change)
    Model.load(path)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../harm",
        "a/../../harm",
        "C:\\harm",
        "..\\harm",
        "a\nb",
        "x" * 300,
    ],
)
def test_entries_that_point_elsewhere(path, name):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"harm")
    refused(path, HARM)


def test_a_link(path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, HARM)


@pytest.mark.parametrize(
    "source", ["/etc/hostname", "../weights.pt", "http://example.org/w.pt", 5, None]
)
def test_weights_that_lie_elsewhere(path, source):
    def change(rdf):
        rdf["weights"]["pytorch_state_dict"]["source"] = source

    change_rdf(path, change)
    refused(path, HARM)


def test_a_zip_bomb(path, monkeypatch):
    monkeypatch.setattr(archive_module, "SMALL_BYTES", 2**18)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.bin", bytes(2**20))
    refused(path, "swells")


def test_a_zip_bomb_within_the_weights(path, monkeypatch):
    monkeypatch.setattr(archive_module, "SMALL_BYTES", 2**18)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("archive/data/0", bytes(2**20))
    put_weights(path, buffer.getvalue())
    refused(path, "swells")


def test_too_many_entries(path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 3)
    refused(path, "entries")


def test_two_entries_of_one_name(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Dup"):
        archive.writestr("rdf.yaml", b"config: {}")
    refused(path, HARM)


def test_text_that_stands_for_a_huge_one(path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 9):
        again = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} [{again}]")
    rewrite(path, rdf__yaml="\n".join(lines).encode())
    refused(path, "refers to itself")


def test_text_nested_without_end(path):
    rewrite(path, rdf__yaml=b"a: " + b"[" * 100_000)
    refused(path, "description cannot be read")


def test_objects_in_the_description(path):
    text = entries(path)["rdf.yaml"] + b"\nx: !!python/object/apply:os.system ['ls']\n"
    rewrite(path, rdf__yaml=text)
    refused(path, "description cannot be read")


@pytest.mark.parametrize(
    "change",
    [
        {"n_in": 10**9},
        {"convolutions": [10**9, 1]},
        {"channels": [4] * 5000},
        {"channels": [50_000, 50_000]},
        {"channels": [float("nan"), 8]},
        {"convolutions": [90_000, 90_000]},
        {"strides": [[90_000, 90_000]]},
    ],
)
def test_networks_of_a_huge_size_take_no_memory(path, change):
    def put(rdf):
        own = rdf["config"]["napari_unet"]
        own["network"]["arguments"].update(change)

    change_rdf(path, put)
    refused(path, "huge|do not fit|cannot be built|too far")


def test_a_wrong_checksum(path):
    data = bytearray(entries(path)["weights.pt"])
    data[len(data) // 2] ^= 1
    rewrite(path, weights__pt=bytes(data))
    refused(path, "not what was saved")


def test_no_checksum(path):
    change_rdf(path, lambda rdf: rdf["weights"]["pytorch_state_dict"].pop("sha256"))
    refused(path, "checksum")


def test_a_package_of_another_program_runs_its_code_only_with_leave(path):
    change_rdf(path, lambda rdf: rdf["config"].pop("napari_unet"))
    rewrite(path, architecture__py=b"import os\nos.system('touch harm')\n")
    assert read_info(path).network.name == "bioimageio"
    refused(path, "--allow-model-code")


@pytest.mark.parametrize("read", [read_info, read_cover, read_example])
def test_whatever_is_read_the_archive_is_checked_first(path, read):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../harm", b"harm")
    with pytest.raises(ModelFileError, match=HARM):
        read(path)
