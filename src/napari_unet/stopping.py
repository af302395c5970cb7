"""Asking long work to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

Stop = Callable[[], bool]
"""Asked often while work goes on; True means "end soon"."""

ASK_EVERY_S = 0.1


class Stopped(Exception):
    """The work was asked to end before it was done."""


def never() -> bool:
    """A stop signal that is never given."""
    return False


def unless_stopped(work: Callable[[], T], stop: Stop) -> T:
    """Do work that cannot ask for itself, such as one long call into a library.

    It runs in a thread. When `stop` says so it is left to itself: what it returns is
    lost, and until it ends it keeps its arrays and a core busy. It must not write where
    others read.

    Raises
    ------
    Stopped
        If `stop` said so first.
    """
    if stop():
        raise Stopped
    future = in_background(work)
    while not wait([future], timeout=ASK_EVERY_S).done:
        if stop():
            raise Stopped
    return future.result()


def in_background(work: Callable[[], T]) -> Future[T]:
    """Begin work in a thread that does not keep the program from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return future
