"""The *Models* widget in a real viewer, and what dropping files does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.exchange import export_labels, import_labels
from napari_unet.models.info import TrainingSummary
from napari_unet.models.library_entries import read_note
from napari_unet.models.library_settings import choose_folder, chosen_folder
from napari_unet.widgets import preferences as preferences_module
from napari_unet.widgets.models import ModelsWidget
from napari_unet.widgets.preferences import Preferences
from napari_unet.widgets.session import Session

pytestmark = pytest.mark.viewer


@pytest.fixture
def news() -> Session:
    return Session()


@pytest.fixture
def widget(viewer: Any, host: Any, news: Session, write_model: Any) -> ModelsWidget:
    summary = TrainingSummary(score=0.9, score_name="mean Dice", images=["slide_7"])
    write_model("nuclei", created="2026-02-01T10:00:00+00:00")
    write_model("roots", training=summary, created="2026-01-01T10:00:00+00:00")
    made = ModelsWidget(viewer, host, news)
    viewer.window.add_dock_widget(made, name="Models")
    return made


def names(widget: ModelsWidget) -> list[str]:
    rows = range(widget.table.rowCount())
    return [widget.table.item(row, 0).text() for row in rows]


def choose(widget: ModelsWidget, name: str) -> None:
    widget.table.selectRow(names(widget).index(name))


def test_models_are_listed_found_and_sorted(widget: ModelsWidget) -> None:
    assert names(widget) == ["nuclei", "roots"]  # newest first
    widget.search.setText("SLIDE")
    assert names(widget) == ["roots"]
    widget.search.setText("slide nuclei")
    assert names(widget) == []
    assert "No model" in widget.empty.text()
    widget.search.clear()
    widget.table.horizontalHeader().sectionClicked.emit(2)
    assert names(widget) == ["roots", "nuclei"]
    assert not widget.trash.isEnabled()
    assert not widget.details.isVisibleTo(widget)


def test_a_model_is_renamed_noted_and_copied(
    widget: ModelsWidget, model_folder: Path
) -> None:
    choose(widget, "roots")
    assert "Pixels that agree: 90 %, on annotation" in widget.details.facts.text()
    assert "mean Dice 0.900" in widget.details.facts.toolTip()
    widget.details.note.setPlainText("ask Anna")
    widget.details.name.setText("nuclei")
    widget.details.name.editingFinished.emit()
    assert "already a model" in widget.message.text()
    assert widget.details.name.text() == "roots"
    widget.details.name.setText("wheat")
    widget.details.name.editingFinished.emit()
    assert widget.table.entry.name == "wheat"
    choose(widget, "nuclei")  # leaves the note
    choose(widget, "wheat")
    assert read_note(widget.table.entry.path) == "ask Anna"
    assert widget.details.note.toPlainText() == "ask Anna"
    widget.copy.click()
    assert widget.table.entry.name == "wheat copy"
    assert sorted(names(widget)) == ["nuclei", "wheat", "wheat copy"]


def test_a_model_is_deleted_or_the_reason_told(
    widget: ModelsWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(widget, "roots")

    def no_trash(path: str) -> None:
        raise OSError("no trash")

    monkeypatch.setattr("send2trash.send2trash", no_trash)
    widget.trash.click()
    assert "could not be moved to the trash" in widget.message.text()
    monkeypatch.setattr("send2trash.send2trash", lambda path: Path(path).unlink())
    widget.trash.click()
    assert names(widget) == ["nuclei"]
    assert widget.message.text() == "'roots' is in the trash."
    assert widget.table.entry is None


def test_models_go_out_and_come_in(widget: ModelsWidget, tmp_path: Path) -> None:
    choose(widget, "roots")
    widget.export(tmp_path / "out.zip")
    assert (tmp_path / "out.zip").is_file()
    widget.take([tmp_path / "out.zip"])
    assert "was here" in widget.message.text()
    (tmp_path / "bad.zip").write_bytes(b"nothing")
    widget.take([tmp_path / "bad.zip"])
    assert "bad.zip" in widget.message.text()
    assert len(names(widget)) == 2


def test_a_new_model_is_chosen_when_it_is_saved(
    widget: ModelsWidget, news: Session, write_model: Callable[..., Path]
) -> None:
    news.model_saved.emit(write_model("fresh"))
    assert widget.table.entry.name == "fresh"


def test_a_damaged_model_says_so(widget: ModelsWidget, model_folder: Path) -> None:
    (model_folder / "bad.bioimage.io.zip").write_bytes(b"PK")
    widget.refresh()
    choose(widget, "bad")
    assert "damaged" in widget.details.facts.text()
    widget.details.name.setText("worse")
    widget.details.name.editingFinished.emit()
    assert widget.table.entry.name == "worse"


def test_the_folder_is_moved_and_preferences_follow(
    widget: ModelsWidget, news: Session, tmp_path: Path, monkeypatch: Any
) -> None:
    assert not widget.move_folder.isEnabled()  # the variable says where models are
    monkeypatch.delenv("NAPARI_UNET_MODELS")
    widget.refresh()
    assert widget.move_folder.isEnabled()
    pytest.importorskip("napari", "0.9")
    group = _group()
    monkeypatch.setattr(preferences_module, "_group", lambda: group)
    mirror = Preferences(news)
    mirror.follow()
    choose_folder(tmp_path / "a")
    mirror.show(tmp_path / "a")
    assert group.folder == str(tmp_path / "a")
    group.folder = str(tmp_path / "b")
    assert chosen_folder() == tmp_path / "b"
    assert str(tmp_path / "b") in widget.where.text()
    # What the command line chose meanwhile counts; what Preferences chose later, too.
    choose_folder(tmp_path / "c")
    Preferences(news).follow()
    assert group.folder == str(tmp_path / "c")
    group.folder = ""
    assert chosen_folder() is None


def _group() -> Any:
    from napari.utils.events import EventedModel

    class Group(EventedModel):
        folder: str = ""

    return Group()


def test_napari_knows_the_preference() -> None:
    settings = pytest.importorskip("napari.settings")
    if not hasattr(settings, "get_plugin_settings"):
        pytest.skip("this napari has no settings of plugins")
    assert preferences_module._group() is not None


# Dropping files ----------------------------------------------------------------------


def test_a_dropped_model_joins_the_library(
    viewer: Any, write_model: Callable[..., Path], tmp_path: Path, model_folder: Path
) -> None:
    path = write_model("gift").rename(tmp_path / "gift.bioimage.io.zip")
    viewer.open(path, plugin="napari-unet-live")
    assert (model_folder / path.name).is_file()
    assert len(viewer.layers) == 0


@pytest.mark.parametrize("ending", [".zip", ".geojson"])
def test_dropped_outlines_lie_over_the_image(
    viewer: Any, tmp_path: Path, ending: str
) -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[5:15, 5:15], labels[5:15, 15:25] = 1, 2
    path = tmp_path / f"cells{ending}"
    export_labels(path, labels, "YX")
    image = viewer.add_image(np.zeros((40, 50)), scale=(0.5, 0.5), translate=(3, 4))
    (layer,) = viewer.open(path, plugin="napari-unet-live")
    np.testing.assert_array_equal(layer.data, labels)
    np.testing.assert_array_equal(layer.scale, image.scale)
    np.testing.assert_array_equal(layer.translate, image.translate)


def test_dropped_classes_come_with_names(viewer: Any, tmp_path: Path) -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[5:15, 5:15] = 1
    path = tmp_path / "slide.geojson"
    names = {1: ("tumour", "#ff0000")}
    export_labels(path, labels, "YX", classes=names)
    viewer.add_image(np.zeros((40, 50)))
    _, classes = viewer.open(path, plugin="napari-unet-live")
    assert classes.features["class"].tolist() == ["background", "tumour"]
    assert classes.colormap.map(1).tolist() == [1, 0, 0, 1]
    viewer.layers.selection = {classes}
    out = tmp_path / "again.geojson"
    classes.save(str(out), plugin="napari-unet-live")
    assert import_labels(out, meaning="classes").names == {1: "tumour"}


@pytest.mark.parametrize("ending", [".tif", ".zip", ".geojson"])
def test_labels_are_saved_by_ending(viewer: Any, tmp_path: Path, ending: str) -> None:
    labels = np.zeros((3, 40, 50), np.int32)
    labels[1, 5:15, 5:15] = 7
    layer = viewer.add_labels(labels, scale=(2, 0.5, 0.5), units=("um",) * 3)
    path = tmp_path / f"out{ending}"
    assert layer.save(str(path), plugin="napari-unet-live") == [str(path)]
    found = import_labels(path)
    assert (found.labels == 7).sum() == 100
    if ending == ".tif":
        import tifffile

        with tifffile.TiffFile(path) as tif:
            assert tif.imagej_metadata["spacing"] == 2.0


def test_what_cannot_be_read_adds_nothing(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text("{")
    viewer.open(path, plugin="napari-unet-live")
    assert len(viewer.layers) == 0
