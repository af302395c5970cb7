"""A package of another program in the real Predict widget, with the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session

from ..models.foreign_packages import (  # noqa: TID252 (made for those tests, too)
    half_package,
    state_dict_package,
)

pytestmark = [
    pytest.mark.viewer,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

MINUTES = 10 * 60_000
"""A guard against hangs, in milliseconds; the tests need seconds."""


@pytest.fixture(scope="module")
def host(qapp: Any) -> Iterator[Any]:
    from napari_unet.engine.client import Engine
    from napari_unet.widgets.engine_host import EngineHost

    made = EngineHost(Engine(threads=1))
    made.start()
    yield made
    made.close()


@pytest.fixture
def predict(make_napari_viewer: Callable[..., Any], host: Any) -> PredictWidget:
    viewer = make_napari_viewer()
    made = PredictWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Predict U-Net")
    return made


def finish(predict: PredictWidget, qtbot: Any) -> None:
    predict.panel.button.click()
    ended = ("done", "failed", "crashed")
    qtbot.waitUntil(lambda: predict.run.state in ended, timeout=MINUTES)


def test_torchscript_with_other_axes_and_bytes(
    predict: PredictWidget, qtbot: Any, tmp_path: Path
) -> None:
    # Axes byxc, uint8, one size only, half the size comes out.
    predict.model.choose(half_package(tmp_path / "half.zip"))
    predict.model.confirm = lambda question: pytest.fail(question)
    image = np.random.default_rng(0).integers(0, 60, (150, 100)).astype(np.uint8)
    image[:75] += 180
    layer = predict.viewer.add_image(image, scale=(0.5, 0.5), name="cells")
    assert "background, cell" in predict.model.about.text()
    finish(predict, qtbot)
    assert predict.run.state == "done", predict.run.message
    labels = predict.viewer.layers[-1]
    assert isinstance(labels, Labels)
    # The brighter half is background to this model.
    assert not labels.data[:70].any()
    assert labels.data[80:].all()
    np.testing.assert_allclose(labels.scale, layer.scale)


def test_code_of_a_package_runs_only_after_a_yes(
    predict: PredictWidget, qtbot: Any, tmp_path: Path
) -> None:
    path, trace = tmp_path / "with code.zip", tmp_path / "ran"
    state_dict_package(path, trace)
    predict.viewer.add_image(np.full((20, 30), 3.0, np.float32))
    predict.model.choose(path)
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    predict.model.confirm = no
    predict.panel.button.click()
    assert predict.run.state == "idle"
    assert not trace.exists()
    assert "Nothing was run" in predict.panel.status.text()
    assert "trust" in asked[0]

    predict.model.confirm = lambda question: True
    finish(predict, qtbot)
    assert predict.run.state == "done", predict.run.message
    assert trace.exists()
    shown = predict.viewer.layers[-1]
    assert isinstance(shown, Image)
    np.testing.assert_allclose(shown.data, 6.0)

    # It was asked for this file; another one under its name is another question.
    predict.model.confirm = no
    assert predict.model.may_run()
    state_dict_package(path, trace, factor=3.0)
    assert not predict.model.may_run()
    assert len(asked) == 2
