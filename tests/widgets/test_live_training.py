"""Painting while it learns, in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_unet.live.messages import (
    Classes,
    Continue,
    FindNext,
    Hint,
    Pause,
    StartAfresh,
    Strokes,
    View,
    from_plain,
)
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.edit_layers import Original, remember_original
from napari_unet.widgets.live_view import inside_of
from napari_unet.widgets.navigation import camera_of
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

LONG = 20_000
"""A guard against hangs, in milliseconds."""

SHAPE = (64, 96)


class Loop:
    """The widget, its layers, and what reaches the engine."""

    def __init__(self, widget: TrainWidget, engine: Any, qtbot: Any) -> None:
        self.widget = widget
        self.viewer = widget.viewer
        self.live = widget.live
        self.engine = engine
        self.qtbot = qtbot
        self.image = self.viewer.add_image(
            np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8), name="cells"
        )
        widget.annotation.task.value = "classes"
        widget.new_annotation()
        self.annotation = widget.annotation.layer.value
        self.annotation.brush_size = 5
        self.annotation.paint((10, 10), 1)
        self.annotation.paint((40, 40), 2)
        widget.check()

    @property
    def job(self) -> Any:
        return self.engine.job

    def start(self) -> None:
        """Press Train, and let the engine take the whole annotation."""
        self.live.main.click()
        self.job.tell("StateChanged", state="running")
        self.job.tell("ModeChanged", mode="learning", text="Learning.")
        whole = tuple((0, n) for n in SHAPE)
        assert self.next(Strokes).box == whole
        self.qtbot.waitUntil(self.live.main.isEnabled, timeout=LONG)

    def next(self, kind: type) -> Any:
        """Wait for a message of a kind; it and those before it are done with."""

        def found() -> list[Any]:
            messages = [from_plain(m) for m in self.job.sent]
            return [m for m in messages if isinstance(m, kind)]

        self.qtbot.waitUntil(lambda: bool(found()), timeout=LONG)
        message = found()[0]
        kinds = [type(from_plain(m)) for m in self.job.sent]
        del self.job.sent[: kinds.index(kind) + 1]
        return message

    def tell_preview(self, box: Any, labels: np.ndarray, show: str = "") -> None:
        """Play the engine: write a preview and announce it."""
        self.job.outputs["preview"][: labels.size] = labels.ravel()
        self.job.tell(
            "Preview",
            box=[list(span) for span in box],
            serial=1,
            step=1,
            source="network",
            show=show,
            rows=[0, labels.shape[0]],
        )

    def preview(self) -> Labels:
        """The layer of the preview, once it is there."""

        def layers() -> list[Labels]:
            found = [x for x in self.viewer.layers if x.name == "cells preview"]
            return [x for x in found if isinstance(x, Labels)]

        self.qtbot.waitUntil(lambda: bool(layers()), timeout=LONG)
        (layer,) = layers()
        return layer

    def shows(self, labels: np.ndarray) -> None:
        """Wait until the preview shows these labels."""
        layer = self.preview()
        self.qtbot.waitUntil(lambda: np.array_equal(layer.data, labels), timeout=LONG)


@pytest.fixture
def loop(viewer: Any, host: Any, engine: Any, qtbot: Any) -> Loop:
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget, name="Train U-Net")
    return Loop(widget, engine, qtbot)


BOX = ((8, 40), (16, 80))


def some_labels() -> np.ndarray:
    labels = np.zeros((32, 64), np.int32)
    labels[4:20, 8:40] = 2
    return labels


def test_strokes_cross_with_their_own_box(loop: Loop) -> None:
    loop.start()
    shared = loop.job.outputs["annotation"]
    np.testing.assert_array_equal(shared, loop.annotation.data)
    loop.annotation.paint((20, 60), 2)
    assert loop.next(Strokes) == Strokes(((18, 23), (58, 63)), 2)
    np.testing.assert_array_equal(shared, loop.annotation.data)
    loop.annotation.undo()
    assert loop.next(Strokes) == Strokes(((18, 23), (58, 63)), 3)
    np.testing.assert_array_equal(shared, loop.annotation.data)
    loop.annotation.redo()
    assert loop.next(Strokes).serial == 4
    assert loop.job.params["config"]["annotation"] == "sparse"
    assert "annotation" not in loop.job.inputs


def test_what_is_painted_before_the_engine_is_ready_is_not_lost(loop: Loop) -> None:
    loop.live.main.click()
    loop.annotation.paint((20, 60), 2)
    loop.job.tell("StateChanged", state="running")
    loop.next(Strokes)
    shared = loop.job.outputs["annotation"]
    np.testing.assert_array_equal(shared, loop.annotation.data)


def test_a_class_painted_for_the_first_time_is_told_before_its_strokes(
    loop: Loop,
) -> None:
    loop.start()
    assert [c["value"] for c in loop.job.params["classes"]] == [1, 2]
    loop.annotation.paint((20, 60), 3)
    message = loop.next(Classes)
    assert [c["value"] for c in message.classes] == [1, 2, 3]
    loop.next(Strokes)
    loop.widget.check()
    loop.widget.annotation.paint.names[3].setText("nucleolus")
    loop.widget.annotation.paint.names[3].editingFinished.emit()
    assert loop.next(Classes).classes[2]["name"] == "nucleolus"


def test_the_view_is_followed(loop: Loop) -> None:
    loop.start()
    camera_of(loop.viewer).zoom = 20
    camera_of(loop.viewer).center = (0, 32, 48)
    loop.image.corner_pixels = np.array([[20, 30], [43, 65]])  # what a draw does

    def told() -> bool:
        views = [from_plain(m) for m in loop.job.sent if m["message"] == "View"]
        return View(((20, 44), (30, 66))) in views

    loop.qtbot.waitUntil(told, timeout=LONG)


def test_a_preview_is_drawn_in_place_below_the_annotation(loop: Loop) -> None:
    loop.start()
    labels = some_labels()
    loop.annotation.mode = "paint"
    loop.tell_preview(BOX, labels)
    loop.shows(labels)
    layer = loop.preview()
    layers = loop.viewer.layers
    assert layers.selection.active is loop.annotation
    assert loop.annotation.mode == "paint"
    assert layers.index(layer) < layers.index(loop.annotation)
    assert layers.index(layer) > layers.index(loop.image)
    assert not layer.editable
    np.testing.assert_allclose(
        layer.data_to_world((0, 0)), loop.image.data_to_world((8, 16))
    )
    loop.tell_preview(BOX, labels.T.reshape(labels.shape))
    loop.shows(labels.T.reshape(labels.shape))
    other = ((0, 20), (0, 30))
    loop.tell_preview(other, np.full((20, 30), 2))
    loop.shows(np.full((20, 30), 2))
    assert loop.preview() is layer
    assert not layer.editable
    np.testing.assert_allclose(layer.translate, (0, 0))
    assert layer not in loop.widget.annotation.layer.choices


def test_only_changed_rows_are_copied(loop: Loop) -> None:
    loop.start()
    labels = some_labels()
    loop.tell_preview(BOX, labels)
    loop.shows(labels)
    new = labels.copy()
    new[:] = 2
    loop.job.outputs["preview"][: new.size] = new.ravel()
    values = {"serial": 1, "step": 2, "source": "network", "show": ""}
    loop.job.tell("Preview", box=[list(s) for s in BOX], rows=[3, 5], **values)
    labels[3:5] = 2
    loop.shows(labels)


def test_a_deleted_preview_comes_back_only_when_asked(loop: Loop) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    loop.viewer.layers.remove(loop.preview())
    loop.qtbot.waitUntil(lambda: not loop.live.visible.value, timeout=LONG)
    loop.tell_preview(BOX, some_labels())
    loop.qtbot.wait(400)
    assert not any(is_preview(layer) for layer in loop.viewer.layers)
    loop.live.visible.value = True
    loop.shows(some_labels())


def test_preview_and_checkbox_agree(loop: Loop) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    layer = loop.preview()
    loop.live.toggle_preview()
    assert not layer.visible
    layer.visible = True
    loop.qtbot.waitUntil(lambda: loop.live.visible.value is True, timeout=LONG)


def test_a_result_hides_the_preview_of_a_run_that_has_ended(loop: Loop) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    layer = loop.preview()
    loop.widget._news.predicted.emit()
    assert layer.visible  # it goes on learning
    loop.live.stop.click()
    loop.job.end(
        "done", stopped=True, result={"model_path": "/m/cells.bioimage.io.zip"}
    )
    loop.widget._news.predicted.emit()
    assert not layer.visible
    loop.qtbot.waitUntil(lambda: loop.live.visible.value is False, timeout=LONG)


def test_a_map_is_shown_on_demand(loop: Loop) -> None:
    loop.start()
    loop.live.map.value = ("probability", 1)
    view = loop.next(View)
    assert (view.show, view.channel) == ("probability", 1)
    loop.job.outputs["map"][: 32 * 64] = 200
    loop.tell_preview(BOX, some_labels(), show="probability")

    def maps() -> list[Image]:
        return [
            layer
            for layer in loop.viewer.layers
            if isinstance(layer, Image) and "probability of class 2" in layer.name
        ]

    loop.qtbot.waitUntil(lambda: bool(maps()), timeout=LONG)
    assert (maps()[0].data == 200).all()
    assert maps()[0] not in loop.widget.image.image.choices
    loop.viewer.layers.remove(maps()[0])
    loop.qtbot.waitUntil(lambda: loop.live.map.value == ("", 0), timeout=LONG)
    loop.tell_preview(BOX, some_labels(), show="probability")
    loop.qtbot.wait(400)
    assert maps() == []


def test_pause_continue_stop(loop: Loop) -> None:
    loop.start()
    button = loop.live.main
    assert button.text() == "Pause"
    button.click()
    loop.next(Pause)
    loop.job.tell("ModeChanged", mode="paused", text="Paused.")
    assert button.text() == "Continue"
    assert loop.live.status.text() == "Paused."
    button.click()
    loop.next(Continue)
    loop.job.tell("ModeChanged", mode="resting", text="Nothing improves any more.")
    assert button.text() == "Continue"
    loop.live.stop.click()
    assert loop.job.stops == 1
    loop.job.end(
        "done", stopped=True, result={"model_path": "/m/cells.bioimage.io.zip"}
    )
    assert button.text() == "Train"
    assert "'cells' is saved" in loop.live.status.text()
    assert loop.widget.learn.enabled


def test_starting_afresh_asks_only_after_a_minute(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    monkeypatch.setattr(loop.live, "confirm", lambda q: bool(questions.append(q)))
    loop.start()
    loop.live.afresh.click()
    loop.next(StartAfresh)
    loop.live.run._learnt = 100.0
    loop.live.afresh.click()
    assert "about 2 minutes" in questions[0]
    assert not loop.job.sent or loop.job.sent[-1]["message"] != "StartAfresh"


def test_next_moves_the_viewer_and_frames_the_place(loop: Loop) -> None:
    loop.start()
    before = loop.viewer.layers.selection.active
    loop.image.corner_pixels = np.array([[0, 0], [7, 7]])  # zoomed in
    loop.live.next.click()
    loop.next(FindNext)
    loop.job.tell("NextRegion", box=[[30, 34], [60, 64]])
    np.testing.assert_allclose(camera_of(loop.viewer).center[1:], (31.5, 61.5))
    assert loop.viewer.layers[-1].name == "look here"
    assert loop.viewer.layers.selection.active is before
    loop.qtbot.waitUntil(
        lambda: loop.viewer.layers[-1].name != "look here", timeout=LONG
    )


def test_advice_has_buttons_that_help(loop: Loop) -> None:
    loop.start()
    hints = [
        Hint("few strokes", "Paint more of class 2.", "paint", {"class": 1}),
        Hint("contradiction", "Two classes.", "go_to", {"box": [[0, 4], [0, 4]]}),
        Hint("converged", "It rests.", "resume"),
        Hint("scale", "The objects are large.", "rescale"),
    ]
    loop.job.tell("Advice", hints=[asdict(hint) for hint in hints])
    section = loop.live.hints
    loop.qtbot.waitUntil(lambda: len(section.sentences) == 4, timeout=LONG)
    assert set(section.buttons) == {"few strokes", "contradiction", "converged"}
    loop.viewer.layers.selection.active = loop.image
    section.buttons["few strokes"].click()
    assert loop.viewer.layers.selection.active is loop.annotation
    assert loop.annotation.selected_label == 1
    section.buttons["contradiction"].click()
    assert max(camera_of(loop.viewer).center[1:]) < 25  # the corner is in view
    section.buttons["converged"].click()
    loop.next(Continue)


def test_training_as_i_paint_starts_by_itself(loop: Loop) -> None:
    loop.annotation.undo()
    loop.live.by_itself.value = True
    loop.widget.check()
    assert loop.engine.jobs == []
    loop.annotation.paint((40, 40), 2)
    loop.qtbot.waitUntil(lambda: len(loop.engine.jobs) == 1, timeout=LONG)
    loop.qtbot.waitUntil(loop.live.stop.isEnabled, timeout=LONG)
    loop.live.stop.click()
    loop.job.end("stopped")
    loop.annotation.paint((20, 20), 2)
    loop.qtbot.wait(800)
    assert len(loop.engine.jobs) == 1  # what was stopped stays stopped


# Layers, viewer and engine may go ----------------------------------------------------


def test_a_deleted_annotation_is_told_and_the_rest_goes_on(loop: Loop) -> None:
    loop.start()
    loop.viewer.layers.remove(loop.annotation)
    note = loop.live.note
    loop.qtbot.waitUntil(lambda: "was removed" in note.text(), timeout=LONG)
    loop.tell_preview(BOX, some_labels())
    loop.shows(some_labels())
    assert loop.live.run.active
    loop.viewer.add_layer(loop.annotation)
    loop.annotation.paint((20, 60), 2)
    loop.next(Strokes)
    loop.qtbot.waitUntil(lambda: note.text() == "", timeout=LONG)


def test_an_annotation_of_another_shape_is_told(loop: Loop) -> None:
    loop.start()
    loop.annotation.data = np.zeros((5, 5), np.int32)
    note = loop.live.note
    loop.qtbot.waitUntil(lambda: "shape" in note.text(), timeout=LONG)
    loop.annotation.data = np.ones(SHAPE, np.int32)
    loop.qtbot.waitUntil(lambda: note.text() == "", timeout=LONG)
    loop.next(Strokes)


def test_a_deleted_image_is_told_and_the_rest_goes_on(loop: Loop) -> None:
    loop.start()
    loop.viewer.layers.remove(loop.image)
    note = loop.live.note
    loop.qtbot.waitUntil(lambda: "image was removed" in note.text(), timeout=LONG)
    loop.annotation.paint((20, 60), 2)
    loop.next(Strokes)
    loop.tell_preview(BOX, some_labels())
    loop.shows(some_labels())


@pytest.mark.parametrize("way", ["dock", "viewer"])
def test_dock_and_viewer_can_close_while_it_learns(loop: Loop, way: str) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    loop.preview()
    if way == "dock":
        loop.viewer.window.remove_dock_widget(loop.widget)
    else:
        with loop.qtbot.waitSignal(loop.widget.destroyed, timeout=LONG):
            loop.viewer.close()
    assert loop.job.stops == 1
    loop.tell_preview(BOX, some_labels())
    loop.job.tell("NextRegion", box=[[0, 4], [0, 4]])
    loop.annotation.paint((20, 60), 2)
    loop.qtbot.wait(300)
    loop.job.end(
        "done", stopped=True, result={"model_path": "/m/cells.bioimage.io.zip"}
    )


def test_a_crash_is_one_sentence_and_train_works_again(loop: Loop) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    loop.shows(some_labels())
    before = loop.annotation.data.copy()
    loop.job.end("crashed", error="The engine process ended: press Train.")
    assert loop.live.status.text() == "The engine process ended: press Train."
    np.testing.assert_array_equal(loop.annotation.data, before)
    loop.annotation.paint((20, 60), 2)
    loop.qtbot.wait(300)
    assert loop.live.main.text() == "Train"
    loop.start()
    assert len(loop.engine.jobs) == 2
    loop.tell_preview(BOX, some_labels())
    loop.shows(some_labels())


# Corrections -------------------------------------------------------------------------


def test_edits_of_a_copy_are_learnt(loop: Loop) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    loop.shows(some_labels())
    section = loop.live.corrections
    section.edit.click()
    copy = loop.viewer.layers.selection.active
    assert copy.name == "cells edited"
    assert copy.data.shape == SHAPE
    assert copy.editable
    assert not loop.preview().visible
    assert (copy.mode, copy.selected_label) == ("paint", 2)  # a class, not napari's 1
    copy.data[12, 24] = 0
    copy.data[60, 90] = 3
    before = loop.annotation.data.copy()
    section.learn.click()
    after = loop.annotation.data
    assert after[12, 24] == 1
    assert after[60, 90] == 3
    assert np.count_nonzero(after != before) == 2
    loop.next(Strokes)
    np.testing.assert_array_equal(loop.job.outputs["annotation"], after)
    # The copy would cover what comes of it.
    assert not copy.visible
    assert loop.preview().visible
    assert loop.viewer.layers.selection.active is loop.annotation
    section.learn.click()
    assert "Nothing was changed" in section.note.text()


def test_what_is_looked_at_lies_within_what_the_run_knows() -> None:
    # Somebody's script gave the image more columns, or another axis.
    assert inside_of(((0, 5), (99, 103)), (64, 96)) == ((0, 5), (95, 96))
    assert inside_of(((60, 70), (0, 96)), (64, 96)) == ((60, 64), (0, 96))
    assert inside_of(((0, 5), (3, 4)), (64, 96)) == ((0, 5), (3, 4))
    assert inside_of(((0, 5),), (64, 96)) is None


def test_a_result_gives_way_to_the_preview(loop: Loop) -> None:
    result = loop.viewer.add_labels(np.zeros(SHAPE, np.int32), name="result")
    box = tuple((0, n) for n in SHAPE)
    other = loop.viewer.add_labels(np.zeros(SHAPE, np.int32), name="of somebody")
    remember_original(result, Original(result.data.copy(), box, SHAPE, "classes", {}))
    loop.viewer.layers.selection.active = result
    loop.start()
    assert not result.visible
    assert other.visible
    assert "'result' was hidden" in loop.live.notices.text()
    assert loop.viewer.layers.selection.active is loop.annotation


def test_what_the_next_run_will_know_is_hidden_in_this_one(loop: Loop) -> None:
    widget = loop.widget
    assert widget.folded.isVisibleTo(widget)
    loop.start()
    for part in (widget.folded, widget.name.native, widget.learn.native):
        assert not part.isVisibleTo(widget)
    loop.job.end("stopped")
    loop.qtbot.waitUntil(lambda: loop.live.main.text() == "Train", timeout=LONG)
    for part in (widget.folded, widget.name.native, widget.learn.native):
        assert part.isVisibleTo(widget)


def test_what_is_shown_can_be_accepted(loop: Loop) -> None:
    loop.start()
    loop.tell_preview(BOX, some_labels())
    loop.shows(some_labels())
    painted = loop.annotation.data.copy()
    loop.live.corrections.accept.click()
    part = (slice(8, 40), slice(16, 80))
    after, before = loop.annotation.data[part], painted[part]
    wanted = np.where(some_labels() == 2, 2, 1)
    np.testing.assert_array_equal(after, np.where(before > 0, before, wanted))
    loop.next(Strokes)


def test_the_widget_is_as_narrow_as_before(loop: Loop, viewer: Any, host: Any) -> None:
    loop.start()
    hint = Hint("a", "A long sentence about what is wrong and what to do.", "next")
    loop.job.tell("Advice", hints=[asdict(hint)])
    loop.tell_preview(BOX, some_labels())
    loop.preview()
    loop.qtbot.wait(300)
    assert loop.widget.minimumSizeHint().width() <= 360


def test_the_live_form_is_there_before_an_annotation(
    viewer: Any, host: Any, engine: Any
) -> None:
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget, name="Train U-Net")
    widget.check()
    assert widget.learn.native.isVisibleTo(widget)
    assert widget.live.isVisibleTo(widget)
    assert not widget.panel.isVisibleTo(widget)
    assert not widget.live.main.isEnabled()
    assert widget.live.problem.text() == "There is no image: open one and choose it."
    widget.live.main.click()
    widget.train_or_pause()
    assert engine.jobs == []
    # Other people's labels may be anything.
    viewer.add_labels(np.ones(SHAPE, np.int32))
    assert not widget.live.isVisibleTo(widget)


def test_what_does_not_count_live_cannot_be_filled_in(loop: Loop) -> None:
    widget = loop.widget
    widget.advanced.field("minutes").value = "nonsense"
    widget.check()
    assert widget.live.main.isEnabled()
    loop.start()
    assert loop.job.params["config"]["minutes"] is None
    loop.job.end("stopped")
    widget.learn.value = False
    widget.check()
    assert "Minutes" in widget.panel.problem.text()


def test_a_failed_run_is_a_warning_of_the_viewer_too(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari.utils import notifications

    said: list[str] = []
    monkeypatch.setattr(notifications, "show_warning", said.append)
    loop.start()
    loop.job.end("crashed", error="The engine ended: press Train.")
    assert said == ["The engine ended: press Train."]
    loop.start()
    loop.job.end("stopped")
    assert len(said) == 1
