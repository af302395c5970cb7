"""How well a live run learns from strokes, how soon, and what the viewer feels of it.

    python benchmarks/live.py --data DIR [--quick] [--json FILE]

A simulated annotator begins with three strokes per class and adds three on the largest
errors of what it is shown, again and again. Beside the live run, a random forest on
multiscale features learns from the same strokes at the same moment. Scores are mean
Dice over both classes on images without annotation. With a display (or under Xvfb), the
pauses of the viewer's event loop are measured, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from annotator import Annotator
from forest import Forest, pixel_features
from numpy.typing import NDArray

from napari_unet.config import TrainingConfig, training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes
from napari_unet.data.source import ImageSource
from napari_unet.live import starters
from napari_unet.live.messages import PREVIEW_VOXELS, Preview, Strokes, View
from napari_unet.live.screen import Shared
from napari_unet.live.session import LiveSession
from napari_unet.live.window import Window
from napari_unet.models.model import Model
from napari_unet.sample_data import nuclei_2d
from napari_unet.workflows import exhaust, predict, train

SECONDS = 60.0
ROUND_SECONDS = 7.0
"""Time between two rounds of three strokes: 30 strokes in a minute."""


@dataclass(frozen=True)
class Bench:
    """A data set, and how much of it is used."""

    folder: str
    painted: int
    """Training images that the annotator sees, as one series; 1 for a volume."""
    tested: int
    volume: bool = False


BENCHES = (
    Bench("nuclei2d_dsb2018", 5, 10),
    Bench("em_membranes_isbi2012", 2, 2),
    Bench("retina_vessels_drive", 2, 2),
    Bench("nuclei3d_ovule_gonuclear", 1, 1, volume=True),
)
EXTRA = (Bench("nuclei_rgb_dsb2018", 3, 3),)
"""Only where it is asked for."""
STARTS = ("scratch", "starter", "auto")
"""From nothing, from the starter whether it fits or not, and as the program chooses."""


@dataclass
class Images:
    """Images of one shape in one array, with classes 0 and 1 as truth."""

    source: ImageSource
    truth: NDArray[np.int32]
    """Along the axes of the labels."""


@dataclass
class Round:
    """Scores at one moment."""

    seconds: float
    strokes: int
    live: float
    forest: float


@dataclass
class Result:
    """What one data set gave."""

    name: str
    start: str
    first_preview_s: float = float("nan")
    stroke_to_preview_s: list[float] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)


def load(bench: Bench, data: Path, split: str, count: int) -> Images:
    """`count` images of the commonest shape of a split."""
    pairs = []
    for path in sorted((data / bench.folder / split / "images").glob("*.tif")):
        label = tifffile.imread(path.parent.parent / "labels" / path.name)
        pairs.append((tifffile.imread(path), (label > 0).astype(np.int32)))
    shapes = [image.shape for image, _ in pairs]
    common = max(set(shapes), key=shapes.count)
    pairs = [p for p in pairs if p[0].shape == common][:count]
    if bench.volume:
        image, truth = pairs[0]
        return Images(ImageSource((image,), "ZYX", name=bench.folder), truth)
    stack = np.stack([image for image, _ in pairs])
    axes = "TYXC" if stack.ndim == 4 else "TYX"
    source = ImageSource((stack,), axes, name=bench.folder)
    return Images(source, np.stack([t for _, t in pairs]))


def mean_dice(found: NDArray[np.integer], truth: NDArray[np.int32]) -> float:
    """Mean over background and foreground of the pooled Dice."""
    values = []
    for value in (0, 1):
        a, b = found == value, truth == value
        values.append(2 * (a & b).sum() / max(1, a.sum() + b.sum()))
    return float(np.mean(values))


def score_model(model: Model, test: Images) -> float:
    """Mean Dice of a model on the test images."""
    labels = exhaust(predict(model, test.source)).labels
    return mean_dice((labels > 0).astype(np.int32), test.truth)


class ForestOpponent:
    """The forest, with features of all images ready."""

    def __init__(self, bench: Bench, train_set: Images, test: Images) -> None:
        self._volume = bench.volume
        self._train = self._features(train_set)
        self._test, self._truth = self._features(test), test.truth

    def _features(self, images: Images) -> list[NDArray[np.float32]]:
        source = images.source
        found = []
        for sample in range(source.n_samples):
            pixels = source.read(sample).astype(np.float32)
            top = np.percentile(pixels, 99.8)
            found.append(pixel_features(pixels / max(top, 1e-6)))
        return found

    def score(self, strokes: NDArray[np.int32]) -> float:
        """Learn from the strokes as they are now; mean Dice on the test images."""
        forest = Forest()
        per_sample = [strokes] if self._volume else list(strokes)
        forest.fit(self._train, np.stack(per_sample))
        found = np.stack([forest.predict(f) for f in self._test])
        return mean_dice(found[0] if self._volume else found, self._truth)


class LiveBench:
    """One live run with a simulated annotator.

    The clock counts only what a person would wait for: scoring stops it.
    """

    def __init__(
        self, bench: Bench, data: Path, split: str, start: str, *, seed: int
    ) -> None:
        self.train_set = load(bench, data, "train", bench.painted)
        self.test = load(bench, data, split, bench.tested)
        self.result = Result(bench.folder, start)
        truth = self.train_set.truth
        # A person annotates a few planes of a volume, not all of them.
        depth = len(truth)
        planes = (
            [int(depth * f) for f in (0.5, 0.3, 0.7)]
            if bench.volume
            else list(range(depth))
        )
        self.annotator = Annotator(truth, planes, seed)
        self.opponent = ForestOpponent(bench, self.train_set, self.test)
        self._messages: list[Any] = []
        self._seed = seed
        self.scored = 0.0, 1
        """Seconds from which on rounds are scored, and of those every how many."""
        self._serial = 0

    def _plane_box(self, plane: int) -> tuple[tuple[int, int], ...]:
        _, height, width = self.train_set.truth.shape
        return ((plane, plane + 1), (0, height), (0, width))

    def _paint(self, plane: int) -> None:
        """Tell the run that a plane was painted on, and look at it."""
        self._serial += 1
        self._messages.append(Strokes(self._plane_box(plane), self._serial))
        self._messages.append(View(self._plane_box(plane)))

    def _take(self) -> Sequence[Any]:
        taken, self._messages = self._messages, []
        return taken

    def run(self) -> Result:
        """A minute of painting."""
        before = starters.FITS
        if self.result.start == "starter":
            starters.FITS = 0.0
        try:
            return self._run()
        finally:
            starters.FITS = before

    def _run(self) -> Result:
        config = training_config(annotation="sparse", seed=self._seed)
        shared = Shared(
            np.zeros(PREVIEW_VOXELS, np.int32), np.zeros(PREVIEW_VOXELS, np.uint8)
        )
        source = self.train_set.source
        self.annotator.begin()
        begun = time.monotonic()
        session = LiveSession(
            Annotation(self.annotator.strokes, source, "sparse"),
            config,
            make_classes([1, 2], 1),
            shared,
            inbox=self._take,
            starter=self.result.start != "scratch",
        )
        events = session.run()
        planes = self.annotator.planes
        for plane in planes[1:]:
            self._serial += 1
            self._messages.append(Strokes(self._plane_box(plane), self._serial))
        self._paint(planes[0])
        spent = time.monotonic() - begun
        painted_at, waiting = 0.0, self._serial
        next_round, number = ROUND_SECONDS, 0
        while spent < SECONDS:
            begun = time.monotonic()
            event = next(events)
            spent += time.monotonic() - begun
            if isinstance(event, Preview) and waiting and event.serial >= waiting:
                if np.isnan(self.result.first_preview_s):
                    self.result.first_preview_s = spent
                else:
                    self.result.stroke_to_preview_s.append(spent - painted_at)
                waiting = 0
            if spent >= next_round and not waiting:
                next_round += ROUND_SECONDS
                begin, every = self.scored
                late = int((spent - begin) // ROUND_SECONDS)
                if late >= 0 and late % every == 0:
                    self._score(session, spent)
                plane = planes[number % len(planes)]
                number += 1
                shown = self._shown(session, plane)
                if self.annotator.count < 30:
                    self.annotator.correct(plane, shown)
                self._paint(plane)
                painted_at, waiting = spent, self._serial
        self._score(session, spent)
        events.close()
        return self.result

    def _shown(self, session: LiveSession, plane: int) -> NDArray[np.int32]:
        """What the preview of a plane would show now."""
        if session.learner is None:
            raise RuntimeError("nothing was learnt yet")
        window = Window(self.train_set.source, self._plane_box(plane))
        sample, _ = next(window.samples())
        maps = session.learner.previewer().maps(
            session.learner.patches, sample, window.spatial
        )
        found: NDArray[np.int32] = maps.argmax(axis=0).astype(np.int32)
        return found.reshape(self.train_set.truth.shape[1:])

    def _score(self, session: LiveSession, spent: float) -> None:
        model = session.model()
        if model is None:
            raise RuntimeError("nothing was learnt yet")
        live = score_model(model, self.test)
        forest = self.opponent.score(self.annotator.strokes)
        found = Round(round(spent, 1), self.annotator.count, live, forest)
        self.result.rounds.append(found)
        print(
            f"{self.result.name:26s} {self.result.start:8s} {found.seconds:5.1f} s "
            f"{found.strokes:3d} strokes  live {live:.3f}  forest {forest:.3f}",
            flush=True,
        )


def complete_score(bench: Bench, data: Path, split: str, minutes: float) -> float:
    """The same images annotated completely, trained as usual."""
    images = load(bench, data, "train", bench.painted)
    test = load(bench, data, split, bench.tested)
    config = TrainingConfig(annotation="complete", minutes=minutes)
    annotation = Annotation(images.truth, images.source, "complete")
    return score_model(exhaust(train([annotation], config)), test)


def first_preview_of_large_plane() -> float:
    """Seconds from the first strokes to a preview of a plane of 1024 × 1024."""
    sample = nuclei_2d(shape=(1024, 1024), task="classes")
    source = ImageSource((sample.image,), "YX")
    shared = Shared(
        np.zeros(PREVIEW_VOXELS, np.int32), np.zeros(PREVIEW_VOXELS, np.uint8)
    )
    box = ((0, 1024), (0, 1024))
    messages: list[Any] = [Strokes(box, 1), View(box)]

    def take() -> Sequence[Any]:
        taken = list(messages)
        messages.clear()
        return taken

    begun = time.monotonic()
    session = LiveSession(
        Annotation(sample.annotation, source, "sparse"),
        TrainingConfig(),
        make_classes([1, 2], 1),
        shared,
        inbox=take,
    )
    events: Iterator[Any] = session.run()
    for event in events:
        if isinstance(event, Preview) and event.rows[1] == 1024:
            break
    return time.monotonic() - begun


def pauses(seconds: float) -> dict[str, float]:
    """Pauses of a real viewer's event loop, with the engine and without it."""
    here = Path(__file__).resolve()
    display = here.parents[1] / "scripts" / "with_display.sh"
    script = here.with_name("live_viewer.py")
    begin = ["bash", str(display)] if sys.platform == "linux" else []
    done = subprocess.run(
        [*begin, sys.executable, str(script), "--seconds", str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--quick", action="store_true", help="fewer runs, 10 minutes")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--split", default="test", help="what is scored (test)")
    parser.add_argument("--set", action="append", help="only this set; repeatable")
    parser.add_argument("--start", action="append", choices=STARTS, help="repeatable")
    parser.add_argument("--no-complete", action="store_true", help="strokes alone")
    parser.add_argument("--no-viewer", action="store_true", help="no event loop")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    benches = [b for b in BENCHES if not args.set or b.folder in args.set]
    benches += [b for b in EXTRA if b.folder in (args.set or ())]
    first_preview_of_large_plane()  # torch warms up
    figures: dict[str, Any] = {"first_preview_s": first_preview_of_large_plane()}
    print(
        f"first preview of 1024 × 1024: {figures['first_preview_s']:.1f} s", flush=True
    )
    starts = args.start or (["auto"] if args.quick else ["scratch", "auto"])
    delays: list[float] = []
    figures["sets"] = {}
    for bench in benches:
        entry: dict[str, Any] = {}
        for start in starts:
            made = LiveBench(bench, args.data, args.split, start, seed=args.seed)
            made.scored = (30.0, 2) if args.quick else (0.0, 1)
            result = made.run()
            delays += result.stroke_to_preview_s
            entry[start] = [vars(r) for r in result.rounds]
            last = result.rounds[-1]
            entry |= {"score_at_60s": last.live, "forest_at_60s": last.forest}
            late = [r for r in result.rounds if r.seconds >= 30]
            entry["ahead_from_30s"] = all(r.live > r.forest for r in late)
        if not args.no_complete:
            minutes = 1.0 if args.quick else 2.0
            entry["complete"] = complete_score(bench, args.data, args.split, minutes)
            entry["share_of_complete"] = entry["score_at_60s"] / entry["complete"]
            print(f"{bench.folder:26s} complete {entry['complete']:.3f}", flush=True)
        figures["sets"][bench.folder] = entry
    figures["stroke_to_preview_s"] = float(np.median(delays)) if delays else None
    figures["stroke_to_preview_max_s"] = max(delays, default=None)
    if not args.no_viewer:
        figures |= pauses(10.0 if args.quick else 60.0)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text)


if __name__ == "__main__":
    main()
