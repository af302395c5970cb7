"""Progress on a terminal as a bar, elsewhere as a line now and then."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import Any

from napari_unet.cli.common import count, note
from napari_unet.training.events import (
    Finished,
    Notice,
    Started,
    StepDone,
    TrainingEvent,
    Validated,
)

SECONDS_BETWEEN_LINES = 30.0
"""In a log file, progress is told at most this often."""


class Progress:
    """A bar from 0 to 1 with a few words; use as a context manager.

    Parameters
    ----------
    title : str
        What is going on.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._told = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            plain = title.replace("{", "{{").replace("}", "}}")
            self._bar = tqdm(
                total=1.0,
                leave=False,
                bar_format=f"{plain} {{percentage:3.0f}}%|{{bar}}| {{desc}}",
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, share: float, words: str) -> None:
        """Move to `share`, 0 to 1, and say `words` about it."""
        if self._bar is not None:
            self._bar.set_description_str(words, refresh=False)
            self._bar.update(max(0.0, share - self._bar.n))
            return
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            note(f"{self._title} {share:.0%}  {words}")

    def say(self, line: str) -> None:
        """A line that stays above the bar."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            note(line)


class TrainingProgress:
    """Tells the events of a training run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._score = ""

    def show(self, event: TrainingEvent) -> None:
        """Tell one event."""
        if isinstance(event, Started):
            self._progress.say(f"Training on {event.device}.")
            for sentence in event.notes:
                self._progress.say(sentence)
        elif isinstance(event, StepDone):
            words = f"step {event.step:,}, loss {event.loss:.3f}{self._score}"
            left = _clock(event.seconds_left)
            self._progress.show(
                event.progress, words + (f", {left} left" if left else "")
            )
        elif isinstance(event, Validated):
            self._score = f", held-out score {event.score:.3f}"
        elif isinstance(event, Notice):
            self._progress.say(event.text)
        elif isinstance(event, Finished) and not event.failed:
            # What went wrong is told once, with what to do, by the command.
            reason = f"{event.reason[:1].upper()}{event.reason[1:]}"
            took = _clock(event.seconds)
            self._progress.say(
                f"{reason}, after {count(event.step, 'step')} in {took} minutes."
            )


def _clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
