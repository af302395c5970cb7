"""*Track over time*: objects get numbers that last, and a Tracks layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, FloatSpinBox, SpinBox

from napari_unet.errors import UserError
from napari_unet.tracking.run import Film
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.style import Colors, Message
from napari_unet.widgets.time_choice import TimeChoice
from napari_unet.widgets.track_run import TrackedLabels, TrackRequest, TrackRun

if TYPE_CHECKING:
    import napari

LONGEST_GAP = 10
TAIL, HEAD = 10, 0
"""Frames of a track that are shown before and after the current one."""


class TrackWidget(RunDock):
    """The *Track over time* dock widget."""

    def __init__(
        self, napari_viewer: napari.Viewer, host: EngineHost | None = None
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = TrackRun(self.host.engine)
        form = self.add_form()
        self.labels = TimeChoice(self.viewer, form)
        self.distance = FloatSpinBox(
            value=0,
            min=0,
            max=1e9,
            step=1,
            tooltip="How far an object may move from one frame to the next. Automatic: "
            "1.25 times the median diameter of the objects",
        )
        self.distance.native.setSpecialValueText("automatic")
        self.divisions = CheckBox(
            value=True,
            text="Objects may divide",
            tooltip="Two new objects in the place of one get numbers of their own",
        )
        self.gap = SpinBox(
            value=0,
            min=0,
            max=LONGEST_GAP,
            tooltip="Frames that an object may be missing and still be the same",
        )
        self.tracks = CheckBox(
            value=True,
            text="Add a Tracks layer",
            tooltip="Shows the ways of the objects and who divided into whom",
        )
        form.addRow("Longest distance", self.distance.native)
        form.addRow("May be missing", self.gap.native)
        form.addRow("", self.divisions.native)
        form.addRow("", self.tracks.native)
        self.add_run("Track")
        self.note = Message("quiet")
        self.add(self.note)
        self.layer_news.changed.connect(self.labels.refresh)
        self.labels.changed.connect(self.check)
        self.tracks.changed.connect(self.check)
        self.apply_theme()
        self.check()

    def request(self) -> TrackRequest:
        """Everything that is needed.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        layer = self.labels.snapshot()
        Film(layer.arrays[0], layer.source.axes)  # says what is wrong with the labels
        return TrackRequest(
            layer=layer,
            config={
                "max_distance": float(self.distance.value) or None,
                "divisions": bool(self.divisions.value),
                "max_gap": int(self.gap.value),
            },
            with_tracks=bool(self.tracks.value) and layer.source.axes[0] == "T",
        )

    def check(self, _: Any = None) -> None:
        """Say what is wrong beside the controls, or allow Track."""
        note = ""
        try:
            request = self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
        else:
            self.panel.set_problem("")
            unit = request.layer.unit
            self.distance.native.setSuffix("" if unit == "pixel" else f" {unit}")
            if self.tracks.value and not request.with_tracks:
                note = (
                    "napari's Tracks layers need time as the first axis: only the "
                    "labels will be made."
                )
        self.note.say(note)

    def _on_ended(self) -> None:
        result = self.run.result
        if self.run.state == "done" and result is not None:
            self.add_result(result)

    def add_result(self, result: TrackedLabels) -> None:
        """Add the layers of a result; those that are there stay as they are."""
        from napari.layers import Labels, Tracks

        labels = Labels(
            result.labels, name=f"{result.name} tracked", **result.placement
        )
        self.viewer.add_layer(labels)
        if result.with_tracks and len(result.tracks):
            ways = Tracks(
                result.tracks,
                graph=result.graph,
                name=f"{result.name} tracks",
                tail_length=TAIL,
                head_length=HEAD,
                **result.placement,
            )
            self.viewer.add_layer(ways)

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.note.set_colors(colors)
        return colors
