"""Whatever takes long is a generator: of events, and with a result at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Event = TypeVar("Event")
Result = TypeVar("Result")


def exhaust(
    events: Generator[Event, None, Result],
    on_event: Callable[[Event], object] | None = None,
) -> Result:
    """Run a generator of events to its end and return what it returns."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            result: Result = end.value
            return result
        if on_event is not None:
            on_event(event)
