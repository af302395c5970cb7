"""How a live run goes: verdicts, advice, and whether it still improves."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

from napari_unet.live.advice import Learning, advise
from napari_unet.live.clock import Clock
from napari_unet.live.judge import NO_VERDICT, Verdict, judge
from napari_unet.live.learner import LiveLearner
from napari_unet.live.messages import Advice, Hint, LiveEvent, LiveScore
from napari_unet.live.strokes import StrokeBook
from napari_unet.live.window import Window

SECONDS_BETWEEN_VERDICTS = 5.0
SECONDS_BETWEEN_ADVICE = 10.0
PATIENCE_STEPS = 500
"""Steps without a better verdict after which the run rests."""
PATIENCE_SECONDS = 120.0
"""The same where there is no verdict: learning time since the last strokes."""
LEAST_GAIN = 1e-3
"""Nats by which a verdict must be lower to be better."""


class Progress:
    """Judges a learner now and then, and remembers its best weights."""

    def __init__(self, book: StrokeBook) -> None:
        self.verdict: Verdict = NO_VERDICT
        self.waited_seconds = 0.0
        """Learning time since strokes came last, or somebody asked to go on."""
        self.head_start = 0
        """Steps that the first weights are worth, of which this run made none."""
        self._book = book
        self._best_loss, self._best_step = math.inf, 0
        self._hints: tuple[Hint, ...] = ()
        self._clock = Clock()

    def steps(self, learner: LiveLearner) -> int:
        """Steps that were made for this image."""
        return learner.step_count - self.head_start

    def begin(self, learner: LiveLearner, head_start: int) -> None:
        """Another learner: what was said of the one before counts no more."""
        self.head_start = head_start
        self.verdict = NO_VERDICT
        self.be_patient(learner)

    def be_patient(self, learner: LiveLearner | None) -> None:
        """Look for improvement from here on."""
        self._best_loss, self.waited_seconds = math.inf, 0.0
        self._best_step = 0 if learner is None else learner.step_count

    def look(
        self, learner: LiveLearner, view: Window | None
    ) -> Generator[LiveEvent, None, bool]:
        """Judge and advise where it is time to.

        Returns
        -------
        bool
            Whether it no longer improves; the learner is at its best weights then.
        """
        rests = False
        if self._clock.due("verdict", SECONDS_BETWEEN_VERDICTS):
            rests = yield from self._judge(learner)
        if self._clock.due("advice", SECONDS_BETWEEN_ADVICE) or rests:
            yield from self._advise(learner, view)
        return rests

    def _judge(self, learner: LiveLearner) -> Generator[LiveEvent, None, bool]:
        self.verdict = verdict = judge(learner, self._book)
        yield self._score(learner)
        if verdict.loss is None:
            return self.waited_seconds >= PATIENCE_SECONDS
        if verdict.loss < self._best_loss - LEAST_GAIN:
            self._best_loss, self._best_step = verdict.loss, learner.step_count
            learner.remember_best()
            return False
        if learner.step_count - self._best_step < PATIENCE_STEPS:
            return False
        learner.return_to_best()
        self.verdict = judge(learner, self._book)
        yield self._score(learner)
        return True

    def _score(self, learner: LiveLearner) -> LiveScore:
        v = self.verdict
        return LiveScore(self.steps(learner), v.score, v.low, v.high, v.text)

    def _advise(self, learner: LiveLearner, view: Window | None) -> Iterator[LiveEvent]:
        hints = advise(
            Learning(
                book=self._book,
                learner=learner,
                verdict=self.verdict,
                best_loss=self._best_loss,
                view=view,
            )
        )
        if hints != self._hints:
            self._hints = hints
            yield Advice(hints)
