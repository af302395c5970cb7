"""The model folder: what is in it, and changes that overwrite nothing."""

from __future__ import annotations

import os
import zipfile

import pytest

from napari_unet.data.classes import make_classes
from napari_unet.errors import ModelFileError
from napari_unet.models import library, library_entries, rdf_text
from napari_unet.models.fits import fits
from napari_unet.models.info import FORMAT_VERSION, ModelInfo, TrainingSummary
from napari_unet.models.library import free_path, model_name
from napari_unet.models.library_changes import (
    checked_name,
    delete_model,
    duplicate_model,
    export_model,
    import_model,
    rename_model,
)
from napari_unet.models.library_entries import (
    entries,
    find,
    read_note,
    size_text,
    sort_entries,
    write_note,
)
from napari_unet.models.library_settings import (
    SettingsError,
    choose_folder,
    chosen_folder,
    settings_path,
)
from napari_unet.models.model_file import OLD_SUFFIX, RDF_NAME, SUFFIX, read_info
from napari_unet.networks.info import NetworkInfo


def model_info(**changes):
    values = {
        "name": "cells",
        "task": "objects",
        "spatial": "YX",
        "n_channels": 1,
        "classes": make_classes([2], 1),
        "network": NetworkInfo(name="unet", arguments={}),
    }
    return ModelInfo(**{**values, **changes})


@pytest.fixture
def add(model_folder):
    """Put a model into the library, or elsewhere."""
    model_folder.mkdir()

    def write(name="cells", folder=None, filler=b"", **changes):
        weights = {"pytorch_state_dict": {"source": "weights.pt", "sha256": ""}}
        own = model_info(name=name, **changes).model_dump(mode="json")
        if "format_version" in changes:
            own["format_version"] = changes["format_version"]
        path = (folder or model_folder) / f"{name}{SUFFIX}"
        with zipfile.ZipFile(path, "w") as archive:
            rdf = {"weights": weights, "config": {"napari_unet": own}}
            archive.writestr(RDF_NAME, rdf_text.dump(rdf))
            archive.writestr("filler", filler)
        return path

    return write


# What is there -----------------------------------------------------------------------


def test_entries_say_what_a_model_is_or_why_it_cannot_be_read(add, model_folder):
    add(training=TrainingSummary(score=0.8), created="2026-03-01T10:00:00+00:00")
    (model_folder / f"broken{SUFFIX}").write_bytes(b"PK no zip")
    (model_folder / f".hidden{SUFFIX}").write_bytes(b"")
    (model_folder / "other.zip").write_bytes(b"")
    found = {e.name: e for e in entries()}
    assert set(found) == {"cells", "broken"}
    assert found["cells"].score == 0.8
    assert found["cells"].created.year == 2026
    assert found["broken"].info is None
    assert "damaged" in found["broken"].problem


def test_a_newer_model_is_refused_with_words(add):
    add(format_version=FORMAT_VERSION + 1)
    (entry,) = entries()
    assert "update napari-unet-live" in entry.problem


def test_unchanged_models_are_not_read_again(add, monkeypatch):
    path = add()
    before = entries()
    monkeypatch.setattr(library_entries, "read_info", None)  # reading would fail
    assert entries(known=before) == before
    write_note(path, "news")
    with pytest.raises(TypeError):
        entries(known=before)


def test_finding_looks_at_names_notes_classes_and_images(add):
    path = add("Liver", training=TrainingSummary(images=["slide_7"]))
    add("roots", task="classes", classes=make_classes([1, 2], 1))
    write_note(path, "for Anna, good on DAPI")
    names = {
        text: [e.name for e in find(entries(), text)]
        for text in ("liver", "anna dapi", "anna roots", "slide_7", "CLASSES", "")
    }
    assert names.pop("") != []
    assert names == {
        "liver": ["Liver"],
        "anna dapi": ["Liver"],
        "anna roots": [],
        "slide_7": ["Liver"],
        "CLASSES": ["roots"],
    }


def test_sorting(add):
    add("b", training=TrainingSummary(score=0.5), created="2026-01-01T00:00:00+00:00")
    add("C", filler=bytes(9999), created="2026-01-02T00:00:00+00:00")
    add("a", training=TrainingSummary(score=0.9), created="2025-01-01T00:00:00+00:00")
    orders = {
        by: "".join(e.name for e in sort_entries(entries(), by))
        for by in library_entries.SORT_KEYS
    }
    assert orders["name"] == "abC"
    assert orders["date"] == "Cba"
    assert orders["score"] == "abC"
    assert orders["size"][0] == "C"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (12_345, "12 kB"), (7_600_000, "7.6 MB")],
)
def test_sizes_in_words(size, text):
    assert size_text(size) == text


# Changes -----------------------------------------------------------------------------


def test_renaming_takes_the_note_along_and_never_overwrites(add):
    path = add("a")
    add("taken")
    write_note(path, "mine")
    with pytest.raises(ModelFileError, match="already a model 'taken'"):
        rename_model(path, "taken")
    moved = rename_model(path, "b")
    assert moved.name == f"b{SUFFIX}"
    assert not path.exists()
    assert read_note(moved) == "mine"
    assert read_note(path) == ""
    assert rename_model(moved, "b") == moved
    assert rename_model(moved, f"c{SUFFIX}").name == f"c{SUFFIX}"


def test_an_old_ending_is_the_same_name(add, model_folder):
    path = add("a")
    (model_folder / f"b{OLD_SUFFIX}").write_bytes(b"old")
    with pytest.raises(ModelFileError, match="already"):
        rename_model(path, "b")
    assert rename_model(model_folder / f"b{OLD_SUFFIX}", "c").name == f"c{OLD_SUFFIX}"


@pytest.mark.parametrize(
    "name", ["", " ", ".hidden", "a/b", "a\\b", "..", "a:b", "x" * 200, "a\nb"]
)
def test_names_that_no_file_can_have(name):
    with pytest.raises(ModelFileError, match=r"called|characters"):
        checked_name(name)


def test_copies_get_names_that_are_free(add):
    path = add("a")
    write_note(path, "mine")
    first, second = duplicate_model(path), duplicate_model(path)
    assert first.name == f"a copy{SUFFIX}"
    assert second.name == f"a copy (2){SUFFIX}"
    assert second.read_bytes() == path.read_bytes()
    assert read_note(second) == "mine"
    with pytest.raises(ModelFileError, match="already"):
        duplicate_model(path, "a copy")


def test_deleting_moves_to_the_trash(add, monkeypatch):
    trashed = []

    def trash(path):
        trashed.append(os.path.basename(path))
        os.unlink(path)

    monkeypatch.setattr("send2trash.send2trash", trash)
    path = add("a")
    write_note(path, "mine")
    delete_model(path)
    assert trashed == [f"a{SUFFIX}", "a.note.txt"]
    with pytest.raises(ModelFileError, match="gone already"):
        delete_model(path)


def test_without_a_trash_nothing_is_deleted(add, monkeypatch):
    def trash(path):
        raise OSError("no trash here")

    monkeypatch.setattr("send2trash.send2trash", trash)
    path = add("a")
    with pytest.raises(ModelFileError, match="could not be moved to the trash"):
        delete_model(path)
    assert path.exists()


def test_importing(add, tmp_path, model_folder):
    there = tmp_path / "usb"
    there.mkdir()
    source = add("a", there)
    first, new = import_model(source)
    assert (first, new) == (model_folder / f"a{SUFFIX}", True)
    assert import_model(source) == (first, False)
    assert import_model(first) == (first, False)
    other, new = import_model(add("a", there, filler=b"another"))
    assert (other.name, new) == (f"a (2){SUFFIX}", True)
    # A browser may have changed the ending.
    plain = there / "model (1).zip"
    plain.write_bytes(add("x", there, filler=b"x").read_bytes())
    assert import_model(plain)[0].name == f"model (1){SUFFIX}"


def test_what_is_no_model_is_not_imported(add, tmp_path, model_folder):
    wrong = tmp_path / "holiday.zip"
    with zipfile.ZipFile(wrong, "w") as archive:
        archive.writestr("beach.jpg", b"")
    with pytest.raises(ModelFileError, match=r"holiday\.zip"):
        import_model(wrong)
    with pytest.raises(ModelFileError, match="no model file"):
        import_model(tmp_path / "missing.zip")
    newer = add("n", tmp_path, format_version=FORMAT_VERSION + 1)
    with pytest.raises(ModelFileError, match="update"):
        import_model(newer)
    assert list(model_folder.iterdir()) == []


def test_exporting_never_overwrites_unasked(add, tmp_path):
    path = add("a")
    out = tmp_path / "out"
    out.mkdir()
    assert export_model(path, out) == out / path.name
    assert export_model(path, out / "b") == out / f"b{SUFFIX}"
    with pytest.raises(ModelFileError, match="already"):
        export_model(path, out)
    assert export_model(path, out, overwrite=True) == out / path.name
    with pytest.raises(ModelFileError, match="itself"):
        export_model(path, path, overwrite=True)
    assert path.exists()


# The folder --------------------------------------------------------------------------


def test_the_model_folder_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.delenv(library.FOLDER_VARIABLE)
    usual = library.model_folder()
    projects = library.project_folder()
    choose_folder(tmp_path / "shared" / "models")
    assert library.model_folder() == tmp_path / "shared" / "models"
    assert library.model_folder().is_dir()
    assert library.project_folder() == projects
    choose_folder(None)
    assert chosen_folder() is None
    assert library.model_folder() == usual


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SettingsError, match="may write to"):
        choose_folder(blocked / "models")
    assert chosen_folder() is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_folder": 3}', "[" * 10**5])
def test_damaged_settings_count_as_none(text):
    settings_path().write_text(text)
    assert chosen_folder() is None


# What fits ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "image", "reason"),
    [
        ({}, ("YX", 1), None),
        ({}, ("TZYX", 1), None),  # plane by plane
        ({"spatial": "ZYX"}, ("ZYX", 1), None),
        ({"spatial": "ZYX"}, ("TYX", 1), "for volumes"),
        ({"n_channels": 3}, ("YX", 1), "for 3 channels"),
        ({}, ("CYX", 2), "for 1 channel"),
        ({"voxel_size": [0.5, 0.5]}, ("YX", 1, (0.5, 0.4), "pixel"), None),
    ],
)
def test_models_that_fit(model, image, reason):
    assert fits(model_info(**model), *image) == reason


def test_pixels_of_another_world_do_not_fit():
    model = model_info(voxel_size=[0.25, 0.25], unit="micrometer")
    assert fits(model, "YX", 1, (0.4, 0.4), "micrometer") is None
    assert fits(model, "ZYX", 1, (9.0, 0.4, 0.4), "micrometer") is None
    assert fits(model, "YX", 1, (1.0, 1.0), "micrometer") == "for pixels of 0.25 µm"
    assert fits(model, "YX", 1, (0.1, 0.1), "micrometer") == "for pixels of 0.25 µm"
    assert fits(model, "YX", 1, (1.0, 1.0), "nanometer") is None


# What comes with the program ---------------------------------------------------------


@pytest.fixture
def built_in(add):
    """A model that comes with the program."""
    library.BUILT_IN.mkdir()
    return add("nuclei", library.BUILT_IN)


def test_models_of_the_program_come_last(add, built_in):
    own = add("cells")
    os.utime(own, (0, 0))
    assert library.list_models() == [own, built_in]
    assert library.list_models(own.parent) == [own]


def test_models_of_the_program_stay_as_they_are(built_in, model_folder):
    for change in (
        lambda: rename_model(built_in, "mine"),
        lambda: delete_model(built_in),
        lambda: write_note(built_in, "good"),
    ):
        with pytest.raises(ModelFileError, match="comes with the program"):
            change()
    assert list(library.BUILT_IN.iterdir()) == [built_in]
    copy = duplicate_model(built_in)
    assert copy == model_folder / f"nuclei copy{SUFFIX}"
    assert rename_model(copy, "mine").is_file()


def test_the_program_brings_models(monkeypatch):
    monkeypatch.undo()
    (found,) = [p for p in library.list_models() if library.is_built_in(p)]
    assert read_info(found).name == model_name(found)


def test_names_that_no_file_system_takes_are_cut(tmp_path):
    """Images made from images made from images have long names."""
    first = free_path("µm " * 200, tmp_path)
    first.touch()
    second = free_path("µm " * 200, tmp_path)
    second.with_name(f".{second.name}.partial-1234").touch()
    assert second.name.startswith("µm µm")
    assert second != first
