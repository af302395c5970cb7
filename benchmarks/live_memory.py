"""Memory of a live run over a long time of painting.

    python benchmarks/live_memory.py [--minutes 60]

A stroke comes every second, on one of eight planes of a time-lapse, and is erased again
a minute later, so that the amount of annotation stays about the same. Prints the memory
of the process ten times; the last line says by how much it grew over the second half.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from typing import Any

import numpy as np
import psutil

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes
from napari_unet.data.source import ImageSource
from napari_unet.live.messages import PREVIEW_VOXELS, Continue, Strokes, View
from napari_unet.live.screen import Shared
from napari_unet.live.session import LiveSession
from napari_unet.sample_data import nuclei_2d

PLANES, SIZE, KEPT = 8, 512, 60


def main() -> None:
    """Paint, and look at the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    samples = [nuclei_2d(seed, (SIZE, SIZE), task="classes") for seed in range(PLANES)]
    image = np.stack([s.image for s in samples])
    truth = np.stack([s.labels > 0 for s in samples])
    strokes = np.zeros(image.shape, np.int32)
    strokes[0] = samples[0].annotation
    messages: list[Any] = [Strokes(((0, 1), (0, SIZE), (0, SIZE)), 1)]

    def take() -> list[Any]:
        taken = list(messages)
        messages.clear()
        return taken

    session = LiveSession(
        Annotation(strokes, ImageSource((image,), "TYX"), "sparse"),
        TrainingConfig(),
        make_classes([1, 2], 1),
        Shared(np.zeros(PREVIEW_VOXELS, np.int32), np.zeros(PREVIEW_VOXELS, np.uint8)),
        inbox=take,
    )
    process = psutil.Process()
    rng = np.random.default_rng(0)
    painted: deque[tuple[slice, ...]] = deque()
    readings: list[float] = []
    begun = time.monotonic()
    serial, next_stroke = 1, 0.0
    for _ in session.run():
        spent = time.monotonic() - begun
        if spent >= next_stroke:
            next_stroke += 1.0
            plane = int(rng.integers(PLANES))
            y, x = (int(v) for v in rng.integers(0, SIZE - 24, 2))
            key = (slice(plane, plane + 1), slice(y, y + 6), slice(x, x + 24))
            strokes[key] = truth[key] + 1
            painted.append(key)
            touched = [key]
            if len(painted) > KEPT:
                gone = painted.popleft()
                strokes[gone] = 0
                touched.append(gone)
            for part in touched:
                serial += 1
                messages.append(Strokes(tuple((s.start, s.stop) for s in part), serial))
            messages.append(View(((plane, plane + 1), (0, SIZE), (0, SIZE))))
            messages.append(Continue())
        if spent >= len(readings) * minutes * 6:
            readings.append(process.memory_info().rss / 2**20)
            print(f"{spent / 60:5.1f} min  {readings[-1]:6.0f} MiB", flush=True)
        if spent >= minutes * 60:
            break
    half = readings[len(readings) // 2]
    print(
        f"second half: {readings[-1] - half:+.0f} MiB ({readings[-1] / half - 1:+.1%})"
    )


if __name__ == "__main__":
    main()
