"""Share of correct links, identities kept and divisions found, beside greedy linking.

    python benchmarks/tracking.py --data DIR --part test --model FILE --minutes 5

DIR holds ``timelapse_nuclei_laptrack``. Its labels, numbered anew in every
frame, are linked; so are the labels of a U-Net that learnt on ``train`` for some
minutes. Synthetic time-lapses add divisions, whose truth the real one lacks. Whatever
is chosen is chosen with ``--part train``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.sample_timelapse import nuclei_timelapse, unlinked
from napari_unet.tracking import track
from napari_unet.tracking.frames import number, overlap

Labels = NDArray[np.integer[Any]]
Link = tuple[tuple[int, int], tuple[int, int]]
"""Frame and label, twice."""
Linker = Callable[[Labels], tuple[set[Link], dict[tuple[int, int], int]]]
"""From labels to links and the track of each object."""

SEEDS = {"train": range(10), "test": range(100, 110)}


def linked(**settings: Any) -> Linker:
    """Our linking with some settings."""

    def link(labels: Labels) -> tuple[set[Link], dict[tuple[int, int], int]]:
        _, tracks = track(labels, **settings)
        track_of: dict[tuple[int, int], int] = {}
        last: dict[int, tuple[int, int]] = {}
        first: dict[int, tuple[int, int]] = {}
        links = set()
        for (number_, t, *_), label in zip(tracks.data, tracks.labels, strict=True):
            node = (int(t), int(label))
            track_of[node] = int(number_)
            if number_ in last:
                links.add((last[number_], node))
            first.setdefault(number_, node)
            last[number_] = node
        for daughter, (mother,) in tracks.graph.items():
            links.add((last[mother], first[daughter]))
        return links, track_of

    return link


def greedy(labels: Labels) -> tuple[set[Link], dict[tuple[int, int], int]]:
    """The largest overlap first, whoever is still free."""
    links: set[Link] = set()
    track_of: dict[tuple[int, int], int] = {}
    before = number(labels[0])
    for label in before[0]:
        track_of[0, int(label)] = len(track_of)
    for t in range(1, len(labels)):
        after = number(labels[t])
        iou = overlap(before[1], after[1], (len(before[0]), len(after[0]))).toarray()
        while iou.size and iou.max() > 0:
            i, j = np.unravel_index(iou.argmax(), iou.shape)
            one, other = (t - 1, int(before[0][i])), (t, int(after[0][j]))
            links.add((one, other))
            track_of[other] = track_of[one]
            iou[i], iou[:, j] = 0, 0
        for label in after[0]:
            track_of.setdefault((t, int(label)), 10**6 * t + int(label))
        before = after
    return links, track_of


def matches(truth: Labels, made: Labels) -> dict[tuple[int, int], tuple[int, int]]:
    """The object of `made` for each true one: at least half of both together."""
    found = {}
    for t in range(len(truth)):
        ids, numbered = number(truth[t])
        others, other_numbered = number(made[t])
        iou = overlap(numbered, other_numbered, (len(ids), len(others))).toarray()
        for i, j in zip(*np.nonzero(iou > 0.5), strict=True):
            found[t, int(ids[i])] = (t, int(others[j]))
    return found


def true_links(truth: Labels, graph: dict[int, int]) -> set[Link]:
    """Links of objects to themselves, and from mothers to daughters."""
    present = [set(np.unique(frame)) - {0} for frame in truth]
    links = set()
    for t in range(len(truth) - 1):
        for label in present[t] & present[t + 1]:
            links.add(((t, int(label)), (t + 1, int(label))))
        for daughter in present[t + 1] - present[t]:
            mother = graph.get(int(daughter))
            if mother in present[t]:
                links.add(((t, int(mother)), (t + 1, int(daughter))))
    return links


def score(
    truth: Labels, made: Labels, linker: Linker, graph: dict[int, int] | None = None
) -> dict[str, int]:
    """Counts: links, identities over at least five sixths of the frames, divisions."""
    links, track_of = linker(made)
    match = matches(truth, made)
    back = {theirs: ours for ours, theirs in match.items()}
    wanted = true_links(truth, graph or {})
    right = {
        (match[a], match[b]) for a, b in wanted if a in match and b in match
    } & links
    known = {(a, b) for a, b in links if a in back and b in back}
    enough = -(-5 * len(truth) // 6)
    long = kept = 0
    for label in np.unique(truth[truth > 0]):
        frames = [t for t in range(len(truth)) if (truth[t] == label).any()]
        if len(frames) < enough:
            continue
        long += 1
        ids = [track_of[match[t, label]] for t in frames if (t, label) in match]
        kept += bool(ids) and np.unique(ids, return_counts=True)[1].max() >= enough
    counts = {
        "links": len(wanted),
        "links_right": len(right),
        "links_made": len(known),
        "long": long,
        "kept": int(kept),
    }
    if graph is not None:
        real = {
            (match.get(a), tuple(sorted(match[d] for d in ds)))
            for a, ds in forks(wanted).items()
            if all(d in match for d in ds)
        }
        made_forks = {(a, tuple(sorted(ds))) for a, ds in forks(links).items()}
        counts |= {
            "divisions": len(forks(wanted)),
            "divisions_right": len(real & made_forks),
            "divisions_made": len(made_forks),
        }
    return counts


def forks(links: set[Link]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Objects with two successors."""
    after: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in links:
        after.setdefault(a, []).append(b)
    return {a: ends for a, ends in after.items() if len(ends) > 1}


def total(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Counts over several time-lapses."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def row(name: str, method: str, counts: dict[str, int]) -> str:
    """A row of the table."""
    cells = [
        name,
        method,
        f"{counts['links_right'] / counts['links']:.3f} "
        f"({counts['links_right']}/{counts['links']})",
        f"{counts['links_right'] / max(counts['links_made'], 1):.3f}",
        f"{counts['kept']}/{counts['long']}",
    ]
    if "divisions" in counts:
        made, right = counts["divisions_made"], counts["divisions_right"]
        cells.append(f"{right} of {counts['divisions']}, {made - right} wrong")
    else:
        cells.append("–")
    return "| " + " | ".join(cells) + " |"


def predicted(folder: Path, part: str, model_path: Path, options: Any) -> Labels:
    """Labels of a U-Net that learnt on `train`, for the images of a part."""
    import napari_unet

    def read(name: str, kind: str) -> NDArray[Any]:
        (path,) = (folder / name / kind).glob("*.tif")
        return tifffile.imread(path)

    if not model_path.exists():
        napari_unet.train(
            read("train", "images"),
            read("train", "labels").astype(np.int32),
            annotation="complete",
            task="objects",
            axes="TYX",
            minutes=options.minutes,
            seed=options.seed,
        ).save(model_path)
    return napari_unet.predict(model_path, read(part, "images"), axes="TYX")


def speed(count: int, frames: int) -> float:
    """Seconds a frame for a sheet of `count` moving objects."""
    side = int(np.ceil(np.sqrt(count)))
    rng = np.random.default_rng(0)
    labels = np.zeros((frames, side * 20, side * 20), np.int32)
    for t in range(frames):
        for k in range(count):
            y, x = (20 * np.array(divmod(k, side)) + 4 + rng.integers(-3, 4, 2)).clip(0)
            labels[t, y : y + 12, x : x + 12] = k + 1
    begun = time.monotonic()
    track(labels)
    return (time.monotonic() - begun) / frames


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=("train", "test"), default="train")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", action="store_true", help="also time larger frames")
    parser.add_argument(
        "--model", type=Path, help="the U-Net; trained for --minutes where missing"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = options.data / "timelapse_nuclei_laptrack"
    (path,) = (folder / options.part / "labels").glob("*.tif")
    truth = tifffile.imread(path).astype(np.int32)
    methods: dict[str, Linker] = {
        "greedy overlap": greedy,
        "assignment": linked(),
        "assignment, no divisions": linked(divisions=False),
        "assignment, one frame missing": linked(max_gap=1),
    }
    movies = [nuclei_timelapse(seed) for seed in SEEDS[options.part]]
    sets: dict[str, list[tuple[Labels, Labels, dict[int, int] | None]]] = {
        "true objects": [(truth, unlinked(truth), None)],
        "synthetic": [(m.labels, unlinked(m.labels), m.graph) for m in movies],
    }
    if options.model:
        made = predicted(folder, options.part, options.model, options)
        sets["U-Net's objects"] = [(truth, made, None)]
    print("| set | method | true links found | links right | identity | divisions |")
    print("|---|---|---|---|---|---|")
    results: dict[str, Any] = {}
    for name, cases in sets.items():
        for method, linker in methods.items():
            counts = total([score(t, m, linker, graph) for t, m, graph in cases])
            results.setdefault(name, {})[method] = counts
            print(row(name, method, counts), flush=True)
    if options.speed:
        for count in (100, 300, 1000, 2000):
            results.setdefault("seconds_per_frame", {})[count] = speed(count, 4)
            print(count, "objects:", f"{speed(count, 4):.3f} s a frame")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
