"""The four steps tick themselves off and are not shown again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget

from napari_unet.widgets.guide import STEPS, Guide, Progress
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def widget(viewer: Any, host: Any, session: Session) -> TrainWidget:
    made = TrainWidget(viewer, host, session)
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


def current(widget: TrainWidget) -> str:
    widget.check()
    guide = widget.help.guide
    return STEPS[guide.current].name if guide.current < len(STEPS) else ""


def test_the_way_from_nothing_to_a_prediction(
    widget: TrainWidget, session: Session, engine: Any
) -> None:
    guide = widget.help.guide
    assert current(widget) == "Image"
    assert guide.action.text() == "Open a sample"
    widget.viewer.add_image(np.random.default_rng(0).random((64, 64)))
    assert current(widget) == "Paint"
    guide.action.click()  # New annotation
    layer = widget.annotation_layer()
    assert layer is not None
    assert current(widget) == "Paint"
    assert not guide.action.isVisibleTo(guide)
    labels = np.zeros((64, 64), np.int32)
    labels[2:12, 2:12], labels[20:40, 20:40] = 1, 2
    layer.data = labels
    assert current(widget) == "Train"
    widget.learn.value = False
    widget.panel.button.click()
    assert current(widget) == "Train"  # not yet
    engine.job.end("done", result={"model_path": engine.job.params["model_path"]})
    assert current(widget) == "Predict"
    session.predicted.emit()
    assert current(widget) == ""
    assert "done" in guide.what.text()
    again = Guide(Progress)
    assert again.dismissed


def test_the_last_step_opens_predict_as_the_menu_does(widget: TrainWidget) -> None:
    window = widget.window()

    def predicts() -> list[Any]:
        return [
            dock
            for dock in window.findChildren(QDockWidget)
            if dock.findChild(PredictWidget) is not None
        ]

    widget.help.guide.acted.emit(3)
    (dock,) = predicts()
    assert dock.name == "Predict U-Net (U-Net Live)"
    dock.hide()
    widget.help.guide.acted.emit(3)
    assert predicts() == [dock]
    assert dock.isVisibleTo(window)


def test_the_sample_of_the_first_step_is_ready_to_train(widget: TrainWidget) -> None:
    assert current(widget) == "Image"
    widget.help.guide.action.click()
    assert current(widget) == "Train"


def test_who_hides_it_does_not_see_it_again(
    widget: TrainWidget, viewer: Any, host: Any
) -> None:
    assert widget.help.guide.isVisibleTo(widget)
    widget.help.guide.hide_it.click()
    assert not widget.help.guide.isVisibleTo(widget)
    other = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(other, name="another")
    other.check()
    assert not other.help.guide.isVisibleTo(other)


def test_deleting_the_image_goes_back_a_step(widget: TrainWidget) -> None:
    layer = widget.viewer.add_image(np.zeros((64, 64)))
    assert current(widget) == "Paint"
    widget.viewer.layers.remove(layer)
    assert current(widget) == "Image"


def test_what_was_done_once_stays_done() -> None:
    state = Progress(image=True, painted=True, trained=True)
    guide = Guide(lambda: state)
    guide.refresh()
    assert guide.current == 3
    state = Progress(image=True, painted=True)  # another run has begun
    guide.refresh()
    assert guide.current == 3
