"""When something was done last."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """When something was done last, in seconds of a monotonic clock."""

    done: dict[str, float] = field(default_factory=dict)

    def since(self, what: str) -> float:
        """Seconds since it was done; infinite if it never was."""
        return time.monotonic() - self.done.get(what, -math.inf)

    def mark(self, what: str) -> None:
        """It was done now."""
        self.done[what] = time.monotonic()

    def due(self, what: str, seconds: float) -> bool:
        """Whether it is time again; if so, it counts as done now."""
        if self.since(what) < seconds:
            return False
        self.mark(what)
        return True
