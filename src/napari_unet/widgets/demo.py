"""The demo in the viewer: the real widgets, pressed by a program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.demo import DemoError
from napari_unet.errors import UserError
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.sample_data import Sample, nuclei_2d

if TYPE_CHECKING:
    import napari

    from napari_unet.widgets.predict import PredictWidget
    from napari_unet.widgets.runs import EngineRun
    from napari_unet.widgets.train import TrainWidget

PLUGIN = "napari-unet-live"
SIZE = (1366, 768)
PICTURES = ("1-annotation.png", "2-training.png", "3-segmentation.png")
FAILED = "failed.png"
FEW = 0.5
"""Finding less than this share of the nuclei is told to be little."""
GRACE_S = 300
"""Seconds beyond the training time after which an unattended demo gives up."""


def run_in_viewer(output: Path, *, minutes: float, stay: bool) -> None:
    """Run the demo in a new viewer; returns when its window is closed.

    Parameters
    ----------
    output : Path
        Folder for what the demo leaves behind.
    minutes : float
        Longest training time.
    stay : bool
        Keep the window open when all is done, for somebody to play with.

    Raises
    ------
    DemoError
        If training or prediction failed.
    """
    import napari

    output.mkdir(parents=True, exist_ok=True)
    for name in (*PICTURES, FAILED):  # of an earlier demo; the folder may hold more
        (output / name).unlink(missing_ok=True)
    # The demo leaves nothing in the user's own model folder.
    os.environ[FOLDER_VARIABLE] = str((output / "models").resolve())
    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    demo = Demo(viewer, output, minutes=minutes, stay=stay)
    demo.start()
    napari.run(max_loop_level=2)
    if demo.error:
        raise DemoError(demo.error)
    if not demo.finished:
        raise DemoError("The window was closed before the demo had finished.")


class Demo:
    """Paint (done already), train, predict, compare with the truth."""

    def __init__(
        self, viewer: napari.Viewer, output: Path, *, minutes: float, stay: bool
    ) -> None:
        self.viewer = viewer
        self.output = output
        self.minutes = minutes
        self.stay = stay
        self.error = ""
        self.finished = False
        self.sample: Sample = nuclei_2d()
        self._train: TrainWidget
        self._predict: PredictWidget
        self._told = -1
        self._pictured = False

    def start(self) -> None:
        """Add the sample and the widgets, and press Train once they are on screen."""
        from qtpy.QtCore import QTimer

        self._add_layers()
        self._predict_dock, self._predict = self._dock("Predict U-Net")
        _, self._train = self._dock("Train U-Net")
        self._train.run.changed.connect(self._on_training)
        self._train.run.ended.connect(self._on_trained)
        self._predict.run.ended.connect(self._on_predicted)
        # The first picture needs a window that has been drawn.
        QTimer.singleShot(1500, self._guarded(self._press_train))
        if not self.stay:
            limit = int((self.minutes * 60 + GRACE_S) * 1000)
            QTimer.singleShot(limit, self._give_up)

    def _dock(self, name: str) -> Any:
        return self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)

    def _add_layers(self) -> None:
        from napari_unet.widgets.annotation_layer import new_annotation_layer
        from napari_unet.widgets.layers import snapshot

        sample = self.sample
        place = {"scale": sample.voxel_size, "units": (sample.unit,) * 2}
        image = self.viewer.add_image(sample.image, name=sample.name, **place)
        image.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
        image.gamma = 0.7
        annotation = new_annotation_layer(snapshot([image]), sample.task)
        annotation.data = sample.annotation
        self.viewer.add_layer(annotation)
        self.viewer.reset_view()
        self.image, self.annotation = image, annotation

    def _guarded(self, step: Callable[[], None]) -> Callable[[], None]:
        """`step`, whose user errors end the demo with their sentence."""

        def guarded() -> None:
            try:
                step()
            except UserError as error:
                self._fail(str(error))

        return guarded

    # The steps, each started by the end of the one before ------------------------

    def _press_train(self) -> None:
        widget = self._train
        widget.image.set_layers([self.image])
        widget.annotation.task.value = self.sample.task
        widget.annotation.choose(self.annotation)
        widget.learn.value = False
        widget.preset.value = "fast"
        widget.advanced.field("minutes").value = str(self.minutes)
        widget.name.value = "demo"
        widget.check()
        self._picture(PICTURES[0])
        widget.request()  # raises where Train would stay grey
        self._say(f"Training for {self.minutes:g} minutes at most …")
        widget.panel.button.click()

    def _on_training(self) -> None:
        run = self._train.run
        share = int(10 * (run.progress or 0))
        if run.active and share > self._told:
            self._told = share
            self._say(f"  {10 * share:3d} %  {run.message}")
        if share >= 6 and run.curve.scores and not self._pictured:
            self._pictured = True
            self._picture(PICTURES[1])

    def _on_trained(self) -> None:
        run = self._train.run
        if not self._ended_well(run):
            return
        self._say(run.message)
        self._predict.image.set_layers([self.image])
        if run.model_path is not None:
            self._predict.model.choose(run.model_path)
        self._guarded(self._press_predict)()

    def _press_predict(self) -> None:
        self._predict.request()
        self._predict_dock.raise_()
        self._predict.panel.button.click()

    def _on_predicted(self) -> None:
        from qtpy.QtCore import QTimer

        run = self._predict.run
        if self._ended_well(run):
            self._say(run.message)
            # The layer of the result is added by the widget, listening as we do.
            QTimer.singleShot(1000, self._guarded(self._finish))

    def _finish(self) -> None:
        from napari_unet.image_io.write import write_labels

        result = self._predict.run.result
        if result is None:
            raise DemoError("The prediction ended without labels.")
        sample, labels = self.sample, result.labels
        self.annotation.visible = False
        self._picture(PICTURES[2])
        path = self.output / "labels.tif"
        write_labels(path, labels, sample.axes, sample.voxel_size, sample.unit)
        for name in PICTURES:
            if (self.output / name).exists():
                self._say(f"Picture: {self.output / name}")
        self._say(f"Labels:  {path}")
        self._say(score_in_words(sample.labels, labels))
        steps = self._train.run.curve.steps
        warning = starved_in_words(
            sample.labels, labels, self.minutes, steps[-1] if steps else 0
        )
        if warning:
            self._say(warning)
        self.finished = True
        if self.stay:
            from napari.utils.notifications import show_info, show_warning

            if warning:
                show_warning(warning)
            show_info("The labels can be edited. Paint more, and press Train again.")
        else:
            self.viewer.close()

    # Ends ------------------------------------------------------------------------

    def _ended_well(self, run: EngineRun) -> bool:
        if run.state == "done" or (run.state == "stopped" and self.stay):
            return run.state == "done"
        self._fail(run.message)
        return False

    def _give_up(self) -> None:
        if not self.finished and not self.error:
            self._fail("The demo took far too long and was given up.")

    def _fail(self, sentence: str) -> None:
        self.error = sentence
        if self.stay:
            from napari.utils.notifications import show_error

            show_error(sentence)
        else:
            self._picture(FAILED)
            self.viewer.close()

    def _picture(self, name: str) -> None:
        from qtpy.QtWidgets import QApplication

        QApplication.processEvents()
        self.viewer.window.screenshot(
            path=str(self.output / name), flash=False, canvas_only=False
        )

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def score_in_words(truth: NDArray[Any], labels: NDArray[Any]) -> str:
    """How well the labels agree with the exact truth, in a sentence."""
    from napari_unet.metrics.objects import match_objects

    counts = match_objects(truth, labels, (0.5, 0.75))
    return (
        f"Against the exact truth: {counts.true_positives[0]} of "
        f"{np.unique(truth[truth > 0]).size} nuclei found, {counts.false_positives[0]} "
        f"false, AP {counts.ap[0]:.2f} at IoU 0.5 and {counts.ap[1]:.2f} at IoU 0.75."
    )


def starved_in_words(
    truth: NDArray[Any], labels: NDArray[Any], minutes: float, steps: int
) -> str:
    """Why only few nuclei were found, and what to do; empty if most were."""
    from napari_unet.metrics.objects import match_objects

    total = np.unique(truth[truth > 0]).size
    found = match_objects(truth, labels, (0.5,)).true_positives[0]
    if found >= FEW * total:
        return ""
    return (
        f"Only {found} of {total} nuclei were found: {minutes:g} minutes of training "
        f"gave {steps:,} steps, too few to learn them. Other programs may keep the "
        "processor busy: close them, or give it more time, such as "
        f"--minutes {max(2, round(4 * minutes))}."
    )
