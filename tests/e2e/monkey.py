"""Random but legal actions in a real viewer with the real engine.

    python tests/e2e/monkey.py --actions 2000 --seed 3

The same seed chooses the same actions. After each one it is looked whether anything
raised an exception, complained or stood still, and whether painted pixels are there
still. Ends with 1 if there was a problem. Needs a display; ``xvfb-run`` will do.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from monkey_pauses import Pauses
from monkey_watch import Annotations, Problems
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QColorDialog,
    QComboBox,
    QFileDialog,
    QMenu,
    QMessageBox,
    QPushButton,
)

SIZE = 64
HANG_SECONDS = 900
"""An action that takes longer is a hang."""
MOST_LAYERS = 12
PLUGIN = "napari-unet-live"
DOCKS = {
    "Train U-Net": 6,
    "Predict U-Net": 6,
    "Evaluate": 2,
    "Measure objects": 2,
    "Batch U-Net": 2,
    "Models": 2,
    "Track over time": 1,
    "Training set": 1,
    "Boundaries of labels": 1,
    "Superpixels from a probability": 1,
}
"""Dock widgets and how often each is opened, one against the other."""
SMALL = {
    "base_channels": "4",
    "levels": "2",
    "patch_size": "32 32",
    "batch_size": "2",
    "max_steps": "20",
    "device": "cpu",
}


class Monkey:
    """Plays with one viewer.

    Parameters
    ----------
    seed : int
    folder : Path
        For files that dialogs ask for.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.folder = folder
        self.problems = Problems()
        self.viewer = napari.Viewer()
        self.viewer.window.resize(900, 600)  # software draws slowly
        self.pauses = Pauses(lambda: self.problems.doing)
        self.annotations = Annotations(self.problems)
        self.docks: dict[str, tuple[Any, Any]] = {}
        self.removed: list[Any] = []
        self._reported = 0
        self.recent: deque[str] = deque(maxlen=6)
        self.ends: Counter[str] = Counter()
        """How runs of each kind ended."""
        self._answer_dialogs()
        self._write_images()
        self.add_image()
        self.open_dock("Train U-Net")
        self.new_annotation()
        self.paint(5)
        self.problems.listen()

    # What a person would answer --------------------------------------------------

    def _answer_dialogs(self) -> None:
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No

        def either(*_: Any, **__: Any) -> Any:
            return yes if self.random.random() < 0.5 else no

        def save(_: Any, title: str = "", place: str = "", *more: Any) -> Any:
            name = Path(place).name or "saved.csv"
            return str(self.folder / name), ""

        def models(*_: Any) -> Any:
            found = sorted(Path(os.environ["NAPARI_UNET_MODELS"]).glob("*.zip"))
            return [str(p) for p in found[:1]], ""

        def model(*_: Any) -> Any:
            return next(iter(models()[0]), ""), ""

        nothing: Callable[..., Any] = lambda *_, **__: None  # noqa: E731
        QMessageBox.question = staticmethod(either)
        QFileDialog.getSaveFileName = staticmethod(save)
        QFileDialog.getOpenFileNames = staticmethod(models)
        QFileDialog.getOpenFileName = staticmethod(model)
        QFileDialog.getExistingDirectory = staticmethod(
            lambda *_: str(self.folder / "images")
        )
        QColorDialog.getColor = staticmethod(nothing)
        QMenu.exec = nothing
        QMenu.popup = nothing

    def _write_images(self) -> None:
        import tifffile

        (self.folder / "images").mkdir(exist_ok=True)
        for number in range(2):
            image = disks(self.numbers, (48, 48))
            tifffile.imwrite(self.folder / "images" / f"{number}.tif", image)

    # Playing ---------------------------------------------------------------------

    def play(self, n_actions: int, report: bool = False) -> None:
        """So many random actions, and a look around after each."""
        actions = self._actions()
        names, weights = list(actions), [w for _, w in actions.values()]
        for number in range(n_actions):
            (name,) = self.random.choices(names, weights)
            self.recent.append(name)
            self.problems.doing = f"{number}: {' > '.join(self.recent)}"
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            try:
                actions[name][0]()
            except Exception as error:  # noqa: BLE001 (told with the other problems)
                self.problems.add_exception(error)
            self.rest()
            self.look()
            self.tidy()
            if report:
                self.report()
            if report and number % 100 == 99:
                print(
                    f"{number + 1} actions, {len(self.problems.found)} problems, "
                    f"{len(self.viewer.layers)} layers, "
                    f"longest pause {self.pauses.longest:.2f} s",
                    flush=True,
                )

    def report(self) -> None:
        """Print problems as they come: who waits may stop it and look."""
        for problem in self.problems.found[self._reported :]:
            print(problem, flush=True)
        self._reported = len(self.problems.found)
        while self.pauses.long:
            print(f"The viewer stood still for {self.pauses.long.pop(0)}", flush=True)

    def _actions(self) -> dict[str, tuple[Callable[[], Any], float]]:
        return {
            "paint": (self.paint, 14),
            "undo": (self.undo, 4),
            "redo": (self.redo, 3),
            "erase": (self.erase, 2),
            "edit a result": (self.edit_result, 4),
            "choose a layer": (self.choose_layer, 4),
            "add an image": (self.add_image, 1.5),
            "add labels": (self.add_labels, 0.7),
            "new annotation": (self.new_annotation, 1.5),
            "delete a layer": (self.delete_layer, 2),
            "bring a layer back": (self.bring_back, 1),
            "change a layer": (self.change_layer, 3),
            "replace pixels": (self.replace_pixels, 0.7),
            "move layers": (self.move_layer, 1),
            "dims": (self.change_dims, 5),
            "camera": (self.change_camera, 5),
            "theme": (self.change_theme, 0.7),
            "window": (self.change_window, 0.7),
            "open a dock": (self.open_some_dock, 3),
            "close a dock": (self.close_dock, 1.5),
            "train": (self.train, 6),
            "train in one go": (self.train_in_one_go, 2),
            "pause or go on": (self.pause, 3),
            "stop": (self.stop, 3),
            "predict": (self.predict, 5),
            "press a button": (self.press_button, 10),
            "choose in a dock": (self.choose_in_dock, 6),
            "wait": (self.wait, 4),
        }

    def rest(self) -> None:
        """Let the event loop turn for a while, most often for a short one."""
        seconds = self.random.choice([0, 0.005, 0.02, 0.05, 0.1, 0.2])
        end = time.monotonic() + seconds
        QApplication.processEvents()
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.001)

    def look(self) -> None:
        """Whether all is well."""
        self.annotations.check()
        for name, (_, widget) in self.docks.items():
            for run in runs_of(widget):
                self.problems.hear_sentence(name, run.message)

    def finish(self) -> None:
        """Let what goes on end, or not: a person closes the window any time."""
        self.recent.append("close the viewer")
        self.problems.doing = " > ".join(self.recent)
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        self.viewer.close()
        self.rest()
        self.annotations.check()
        QTimer.singleShot(50, QApplication.quit)
        QApplication.exec()
        faulthandler.cancel_dump_traceback_later()

    # Layers ----------------------------------------------------------------------

    def some(self, items: Any) -> Any:
        items = list(items)
        return self.random.choice(items) if items else None

    def painted(self) -> Any:
        """An annotation that is in the viewer."""
        return self.some(
            x for x in self.annotations.layers() if x in self.viewer.layers
        )

    def point(self, layer: Any) -> tuple[int, ...]:
        return tuple(self.random.randrange(n) for n in layer.data.shape)

    def paint(self, strokes: int = 1) -> None:
        layer = self.painted()
        if layer is None:
            return
        self.viewer.layers.selection.active = layer
        for _ in range(strokes):
            layer.brush_size = self.random.randint(1, 8)
            layer.n_edit_dimensions = 2
            kind = self.random.random()
            if kind < 0.85:
                layer.paint(self.point(layer), self.random.randint(1, 3))
            elif kind < 0.95:
                layer.fill(self.point(layer), self.random.randint(1, 3))
            else:
                layer.selected_label = layer.data.max() + 1
        self.annotations.keep(layer)

    def erase(self) -> None:
        layer = self.painted()
        if layer is not None:
            layer.paint(self.point(layer), 0)
            self.annotations.keep(layer)

    def undo(self) -> None:
        layer = self.painted()
        if layer is not None:
            layer.undo()
            self.annotations.keep(layer)

    def redo(self) -> None:
        layer = self.painted()
        if layer is not None:
            layer.redo()
            self.annotations.keep(layer)

    def edit_result(self) -> None:
        others = [
            x
            for x in self.viewer.layers
            if isinstance(x, Labels)
            and x not in self.annotations.layers()
            and x.editable
            and isinstance(x.data, np.ndarray)
        ]
        layer = self.some(others)
        if layer is not None:
            value = self.random.randint(0, 4)
            layer.paint(self.point(layer), value)

    def choose_layer(self) -> None:
        layer = self.some(self.viewer.layers)
        if layer is not None:
            self.viewer.layers.selection.active = layer

    def add_image(self) -> None:
        if len(self.viewer.layers) > MOST_LAYERS:
            return
        shape = self.random.choice(
            [(SIZE, SIZE)] * 4 + [(50, 71), (5, 40, 40), (3, SIZE, SIZE)]
        )
        image = disks(self.numbers, shape)
        kind = self.random.random()
        if kind < 0.1:
            image = (image / 255).astype(np.float32)
        elif kind < 0.15 and image.ndim == 2:
            self.viewer.add_image(np.stack([image] * 3, -1), rgb=True)
            return
        scale = [self.random.choice([1, 1, 0.5])] * image.ndim
        self.viewer.add_image(image, scale=scale)

    def add_labels(self) -> None:
        if len(self.viewer.layers) <= MOST_LAYERS:
            labels = (disks(self.numbers, (SIZE, SIZE)) > 90).astype(np.int32)
            self.viewer.add_labels(labels)

    def new_annotation(self) -> None:
        train = self.widget("Train U-Net")
        if train is None or len(self.viewer.layers) > MOST_LAYERS:
            return
        if not train.annotation.new.native.isVisibleTo(train):
            return  # values are not painted
        before = set(self.viewer.layers)
        train.new_annotation()
        for layer in set(self.viewer.layers) - before:
            self.annotations.keep(layer)

    def delete_layer(self) -> None:
        layer = self.some(self.viewer.layers)
        many = len(self.viewer.layers) > MOST_LAYERS
        if layer is not None and (many or self.random.random() < 0.5):
            self.viewer.layers.remove(layer)
            self.removed = [*self.removed[-4:], layer]

    def tidy(self) -> None:
        """Buttons add layers, too: what is far too many is deleted, as people do."""
        while len(self.viewer.layers) > MOST_LAYERS + 2:
            layer = self.some(self.viewer.layers)
            self.viewer.layers.remove(layer)

    def bring_back(self) -> None:
        if self.removed and len(self.viewer.layers) <= MOST_LAYERS:
            self.viewer.add_layer(self.removed.pop())

    def change_layer(self) -> None:
        layer = self.some(self.viewer.layers)
        if layer is None:
            return
        kind = self.random.randrange(7)
        if kind == 0:
            layer.visible = not layer.visible
        elif kind == 1:
            layer.opacity = self.random.random()
        elif kind == 2:
            layer.name = f"{layer.name[:12]} {self.random.randrange(9)}"
        elif kind == 3:
            layer.scale = [self.random.choice([1, 0.5, 2])] * layer.ndim
        elif kind == 4:
            layer.translate = [self.random.choice([0, 3])] * layer.ndim
        elif isinstance(layer, Labels) and layer.editable:
            layer.mode = self.random.choice(
                ["pan_zoom", "paint", "fill", "erase", "pick", "polygon"]
            )
            layer.contour = self.random.choice([0, 1])
        elif isinstance(layer, Image):
            layer.reset_contrast_limits()

    def replace_pixels(self) -> None:
        """Somebody's script gives an image other pixels, sometimes of another size."""
        images = [
            x for x in self.viewer.layers if isinstance(x, Image) and not x.multiscale
        ]
        layer = self.some(images)
        if layer is None or getattr(layer, "rgb", False) or "prob" in layer.name:
            return
        shape = layer.data.shape
        if self.random.random() < 0.3:
            shape = (*shape[:-1], shape[-1] + self.random.choice([-7, 7]))
        layer.data = disks(self.numbers, shape)

    def move_layer(self) -> None:
        count = len(self.viewer.layers)
        if count > 1:
            self.viewer.layers.move(
                self.random.randrange(count), self.random.randrange(count)
            )

    # The viewer ------------------------------------------------------------------

    def change_dims(self) -> None:
        dims = self.viewer.dims
        kind = self.random.random()
        if kind < 0.6:
            for axis in range(dims.ndim):
                steps = max(1, int(dims.nsteps[axis]))
                dims.set_current_step(axis, self.random.randrange(steps))
        elif kind < 0.8:
            dims.ndisplay = 3 if dims.ndisplay == 2 and dims.ndim > 2 else 2
        elif kind < 0.9:
            dims.roll()
        else:
            dims.transpose()

    def change_camera(self) -> None:
        camera = self.viewer.camera
        kind = self.random.random()
        if kind < 0.5:
            camera.zoom = self.random.choice([0.3, 1, 4, 20, 90])
        elif kind < 0.8:
            camera.center = tuple(self.random.uniform(-20, 90) for _ in range(3))
        else:
            self.viewer.reset_view()

    def change_theme(self) -> None:
        self.viewer.theme = "light" if self.viewer.theme == "dark" else "dark"

    def change_window(self) -> None:
        kind = self.random.randrange(3)
        if kind == 0:
            self.viewer.grid.enabled = not self.viewer.grid.enabled
        else:
            size = self.random.choice([(900, 600)] * 3 + [(1366, 768), (1500, 900)])
            self.viewer.window.resize(*size)

    # Docks -----------------------------------------------------------------------

    def widget(self, name: str) -> Any:
        found = self.docks.get(name)
        return found[1] if found else None

    def open_some_dock(self) -> None:
        closed = [n for n in DOCKS if n not in self.docks]
        if closed:
            (name,) = self.random.choices(closed, [DOCKS[n] for n in closed])
            self.open_dock(name)

    def open_dock(self, name: str) -> None:
        dock, widget = self.viewer.window.add_plugin_dock_widget(
            PLUGIN, name, tabify=bool(self.docks)
        )
        self.docks[name] = dock, widget
        for run in runs_of(widget):
            run.ended.connect(lambda run=run: self.ends.update([said(run)]))
        if name == "Train U-Net":
            for field, value in SMALL.items():
                widget.advanced.field(field).value = value
        if name == "Batch U-Net":
            widget.inputs.edit.setText(str(self.folder / "images"))
            widget.output.edit.setText(str(self.folder / "results"))

    def close_dock(self) -> None:
        name = self.some(self.docks)
        if name is not None and (name != "Train U-Net" or self.random.random() < 0.4):
            dock, _ = self.docks.pop(name)
            self.viewer.window.remove_dock_widget(dock)

    def some_part(self, kind: Any) -> Any:
        """A part of an open dock that a person could use now."""
        name = self.some(self.docks)
        if name is None:
            return None
        dock, widget = self.docks[name]
        dock.show()
        dock.raise_()
        QApplication.processEvents()
        parts = [
            part
            for part in widget.findChildren(kind)
            if part.isVisibleTo(widget) and part.isEnabled()
        ]
        if name == "Train U-Net":  # whose settings stay small
            parts = [p for p in parts if not is_setting(widget, p)]
        return self.some(parts)

    def press_button(self) -> None:
        kind = self.random.choice([QPushButton, QAbstractButton])
        button = self.some_part(kind)
        if button is None:
            return
        self.recent[-1] += f" {button.text()!r}"
        before = set(self.viewer.layers)
        menu = button.menu() if hasattr(button, "menu") else None
        if menu is None:
            button.click()
        else:
            self.choose_in_menu(menu)
        self._editing_button()
        for layer in set(self.viewer.layers) - before:
            if layer.name.endswith("annotation"):
                self.annotations.keep(layer)

    def choose_in_menu(self, menu: QMenu) -> None:
        """Choose as a person does; opened for real, it would wait for one."""
        menu.aboutToShow.emit()
        action = self.some(menu.actions())
        if action is not None and action.isEnabled():
            self.recent[-1] += f" > {action.text()!r}"
            action.trigger()

    def _editing_button(self) -> None:
        """Some buttons edit the annotation, which is what they are for."""
        editing = ("edits", "correct", "Remove", "removed")
        if any(word in self.recent[-1] for word in editing):
            for layer in self.annotations.layers():
                self.annotations.keep(layer)

    def choose_in_dock(self) -> None:
        part = self.some_part(self.random.choice([QComboBox, QCheckBox]))
        if isinstance(part, QComboBox) and part.count():
            index = self.random.randrange(part.count())
            self.recent[-1] += f" {part.itemText(index)!r}"
            item: Any = part.model().item(index) if hasattr(part.model(), "item") else 0
            if not item or item.isEnabled():
                part.setCurrentIndex(index)
        elif isinstance(part, QCheckBox):
            self.recent[-1] += f" {part.text()!r}"
            part.click()

    # Runs ------------------------------------------------------------------------

    def train(self) -> None:
        widget = self.widget("Train U-Net")
        if widget is None:
            self.open_dock("Train U-Net")
        elif not widget.active_run.active:
            widget.learn.value = True
            if self.random.random() < 0.5:
                self.put_right(widget)
            widget.check()
            widget.train_or_pause()

    def put_right(self, widget: Any) -> None:
        """Choose an image and paint, as a person does who wants to train."""
        offered = [x for x in widget.image.image.choices if x.ndim == 2]
        image = self.some(x for x in offered if not x.rgb and not x.multiscale)
        if image is None:
            return
        widget.annotation.task.value = "objects"
        widget.image.set_layers([image])
        if len(self.viewer.layers) <= MOST_LAYERS:
            self.new_annotation()
        layer = widget.annotation_layer()
        if layer is not None and layer in self.annotations.layers():
            for number, part in enumerate(np.array_split(np.arange(SIZE // 2), 3), 1):
                if layer.data.ndim == 2:
                    layer.paint((int(part.mean()), int(part.mean())), number)
            self.annotations.keep(layer)

    def train_in_one_go(self) -> None:
        widget = self.widget("Train U-Net")
        if widget is not None and not widget.active_run.active:
            widget.learn.value = False
            if self.random.random() < 0.5:
                self.put_right(widget)
            widget.check()
            widget.train_or_stop()

    def pause(self) -> None:
        widget = self.widget("Train U-Net")
        if widget is not None and widget.active_run.active:
            widget.train_or_pause()

    def stop(self) -> None:
        _, widget = self.some(self.docks.values()) or (None, None)
        for run in runs_of(widget):
            if run.active:
                run.stop()

    def predict(self) -> None:
        widget = self.widget("Predict U-Net")
        if widget is None:
            self.open_dock("Predict U-Net")
        elif not widget.run.active:
            widget.check()
            widget.panel.button.click()

    def wait(self) -> None:
        """As a person does who looks at what comes."""
        end = time.monotonic() + self.random.choice([0.2, 0.5, 1.5])
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.002)


def runs_of(widget: Any) -> list[Any]:
    """Every run that a dock widget has."""
    found = [getattr(widget, "run", None)]
    live = getattr(widget, "live", None)
    found.append(getattr(live, "run", None))
    return [run for run in found if run is not None and hasattr(run, "state")]


def said(run: Any) -> str:
    """How a run ended, such as "live: stopped"."""
    return f"{run.task}: {run.state}"


def is_setting(train: Any, part: Any) -> bool:
    """Whether a part of *Train U-Net* is a number that makes training slow."""
    if isinstance(part, QAbstractButton) and not isinstance(part, QCheckBox):
        return False
    inside = train.folded.isAncestorOf(part) and not train.start_from.isAncestorOf(part)
    return bool(inside) or part is train.preset.native


def disks(numbers: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Bright disks on a dark ground, 8 bits."""
    grid = np.indices(shape[-2:])
    plane = np.zeros(shape[-2:], bool)
    for _ in range(6):
        center = numbers.uniform(0, min(shape[-2:]), (2, 1, 1))
        plane |= ((grid - center) ** 2).sum(axis=0) < 40
    noise = numbers.normal(0, 12, shape)
    return (40 + 120 * plane + noise).clip(0, 255).astype(np.uint8)


def main() -> int:
    """Play, and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--actions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faulthandler.enable()
    with tempfile.TemporaryDirectory(prefix="monkey-") as name:
        folder = Path(name)
        # Nothing of the machine's owner is read or changed.
        places = {
            "NAPARI_UNET_MODELS": "models",
            "NAPARI_UNET_SETTINGS": "settings.json",
            "NAPARI_UNET_LOGS": "logs",
            "XDG_DATA_HOME": "data",
        }
        for variable, place in places.items():
            os.environ[variable] = str(folder / place)
        # napari shows exceptions in its window, and we listen: print what ends us.
        try:
            monkey = Monkey(options.seed, folder)
            monkey.play(options.actions, report=True)
            monkey.finish()
        except Exception:  # noqa: BLE001 (printed, and an end with 1)
            print(traceback.format_exc(), flush=True)
            return 1
    if "torch" in sys.modules:
        monkey.problems.add("torch was imported beside the viewer")
    monkey.report()
    print(
        f"{options.actions} actions with seed {options.seed}: "
        f"{len(monkey.problems.found)} problems; longest pause "
        f"{monkey.pauses.longest:.2f} s, longest computing in one "
        f"{monkey.pauses.computed:.2f} s; runs: "
        + ", ".join(f"{n} {end}" for end, n in sorted(monkey.ends.items()))
    )
    return int(bool(monkey.problems.found))


if __name__ == "__main__":
    sys.exit(main())
