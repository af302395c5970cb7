"""The *Track over time* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Labels, Tracks

from napari_unet.widgets.track import TrackWidget

pytestmark = pytest.mark.viewer


MOVIE = np.pad(np.ones((4, 3, 3), np.int32), ((0, 0), (2, 5), (2, 5)))


@pytest.fixture
def widget(viewer: Any, host: Any) -> TrackWidget:
    made = TrackWidget(viewer, host)
    viewer.window.add_dock_widget(made, name="Track over time")
    return made


def problem(widget: TrackWidget) -> str:
    widget.check()
    return str(widget.panel.problem.text())


def finish(engine: Any, graph: list[list[int]] | None = None) -> None:
    """What the engine answers for two tracks in the movie."""
    engine.job.outputs["labels"][...] = MOVIE
    engine.job.tell("FrameDone", done=4, total=4, doing="linking")
    engine.job.tell("TrackRows", rows=[[1, 0, 3.0, 3.0], [1, 1, 3.0, 4.0]])
    engine.job.tell("TrackRows", rows=[[2, 2, 3.0, 3.0], [2, 3, 3.0, 3.5]])
    engine.job.end(
        "done",
        result={
            "tracks": 2,
            "divisions": 1,
            "max_distance": 4.5,
            "graph": graph or [[2, 1]],
        },
    )


def test_the_result_lies_over_the_labels_and_keeps_them(
    widget: TrackWidget, engine: Any
) -> None:
    labels = widget.viewer.add_labels(
        MOVIE.copy(),
        name="cells",
        scale=(1, 0.5, 0.25),
        translate=(0, 3, 4),
        units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    assert problem(widget) == ""
    widget.panel.button.click()
    assert engine.job.task == "track"
    assert engine.job.params["axes"] == "TYX"
    assert engine.job.params["voxel_size"] == [0.5, 0.25]
    assert engine.job.params["config"] == {
        "max_distance": None,
        "divisions": True,
        "max_gap": 0,
    }
    finish(engine)
    made = widget.viewer.layers["cells tracked"]
    ways = widget.viewer.layers["cells tracks"]
    assert isinstance(made, Labels)
    assert isinstance(ways, Tracks)
    assert ways.graph == {2: [1]}
    for layer in (made, ways):
        np.testing.assert_allclose(layer.scale, labels.scale)
        np.testing.assert_allclose(layer.translate, labels.translate)
        assert (layer.units, layer.axis_labels) == (labels.units, labels.axis_labels)
    np.testing.assert_array_equal(labels.data, MOVIE)
    assert made.editable
    said = widget.panel.status.text()
    assert said.startswith("2 tracks and 1 division, up to 4.5")


def test_rotated_layers_get_rotated_tracks(widget: TrackWidget, engine: Any) -> None:
    turn = np.eye(3)
    turn[1:, 1:] = [[0, -1], [1, 0]]
    widget.viewer.add_labels(MOVIE.copy(), name="cells", rotate=turn, shear=(0, 0, 0.2))
    widget.panel.button.click()
    finish(engine)
    labels, made, ways = widget.viewer.layers
    for layer in (made, ways):
        np.testing.assert_allclose(
            layer.data_to_world((1, 2, 3)), labels.data_to_world((1, 2, 3))
        )


def test_settings_reach_the_engine(widget: TrackWidget, engine: Any) -> None:
    widget.viewer.add_labels(MOVIE.copy(), name="cells")
    widget.distance.value = 7.5
    widget.gap.value = 2
    widget.divisions.value = False
    widget.tracks.value = False
    widget.panel.button.click()
    assert engine.job.params["config"] == {
        "max_distance": 7.5,
        "divisions": False,
        "max_gap": 2,
    }
    finish(engine)
    assert [layer.name for layer in widget.viewer.layers] == ["cells", "cells tracked"]


def test_time_is_asked_for_where_axis_labels_do_not_tell(
    widget: TrackWidget, engine: Any
) -> None:
    widget.viewer.add_labels(np.ones((3, 5, 8, 8), np.int32), name="cells")
    assert [r.axes for r in widget.labels.time.choices] == ["TZYX", "ZTYX"]
    widget.labels.time.value = widget.labels.time.choices[1]
    assert "time as the first axis" in widget.note.text()
    widget.panel.button.click()
    assert engine.job.params["axes"] == "ZTYX"
    widget.run.stop()


def test_axis_labels_are_believed(widget: TrackWidget) -> None:
    widget.viewer.add_labels(
        np.ones((3, 5, 8, 8), np.int32), axis_labels=("z", "t", "y", "x")
    )
    assert [r.axes for r in widget.labels.time.choices] == ["ZTYX"]
    assert not widget.labels.time.enabled


@pytest.mark.parametrize(
    ("shape", "names", "words"),
    [
        ((8, 8), None, "is one image"),
        ((3, 8, 8), ("z", "y", "x"), "no time axis"),
        ((1, 8, 8), None, "one frame only"),
        ((1, 2, 8, 8), ("t", "z", "y", "x"), "one frame only"),
    ],
)
def test_layers_that_cannot_be_followed_are_told(
    widget: TrackWidget, shape: Any, names: Any, words: str
) -> None:
    more = {"axis_labels": names} if names else {}
    widget.viewer.add_labels(np.ones(shape, np.int32), **more)
    assert words in problem(widget)
    assert not widget.panel.button.isEnabled()


def test_a_viewer_without_labels_is_told(widget: TrackWidget) -> None:
    widget.viewer.add_image(np.zeros((3, 8, 8)))
    assert "There is no Labels layer" in problem(widget)


def test_a_stopped_run_adds_nothing(widget: TrackWidget, engine: Any) -> None:
    widget.viewer.add_labels(MOVIE.copy())
    widget.panel.button.click()
    widget.run.stop()
    engine.job.end("stopped")
    assert len(widget.viewer.layers) == 1
    assert "Stopped" in widget.panel.status.text()


def test_labels_may_go_while_they_are_followed(
    widget: TrackWidget, engine: Any
) -> None:
    layer = widget.viewer.add_labels(MOVIE.copy(), name="cells")
    widget.panel.button.click()
    widget.viewer.layers.remove(layer)
    finish(engine)
    assert "cells tracked" in widget.viewer.layers


def test_the_sample_can_be_tracked_at_once(widget: TrackWidget) -> None:
    widget.viewer.open_sample("napari-unet-live", "nuclei_timelapse")
    assert problem(widget) == ""
    assert widget.labels.layer.value.name == "dividing nuclei labels"
