from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, DataError
from napari_unet.evaluation import tables
from napari_unet.evaluation.pairs import make_pair
from napari_unet.evaluation.report import report_html
from napari_unet.evaluation.results import Perturbed
from napari_unet.evaluation.run import evaluate_pairs, known_values
from napari_unet.evaluation.settings import evaluation_settings
from napari_unet.evaluation.tallies import Key
from napari_unet.generators import exhaust
from napari_unet.metrics import class_scores, confusion, match_objects, pool
from napari_unet.stopping import Stopped


def grid(rng, shape=(48, 60), step=12, wrong=0.0):
    """Squares, some of which are left out or moved."""
    labels = np.zeros(shape, np.int32)
    number = 0
    for y in range(2, shape[0] - 8, step):
        for x in range(2, shape[1] - 8, step):
            number += 1
            if rng.random() >= wrong:
                dy, dx = rng.integers(0, 3, 2) if wrong else (0, 0)
                labels[y + dy : y + dy + 8, x + dx : x + dx + 8] = number
    return labels


def pair_of(truth, made, axes="YX", **more):
    return make_pair(truth, made, axes, **more)


def run(pairs, settings, values=None, **more):
    if values is None and settings.task == "classes":
        values = known_values([p.truth for p in pairs], settings)
    events = evaluate_pairs(pairs, len(pairs), settings, values or (), **more)
    return exhaust(events)


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    made = []
    for k in range(8):
        truth = grid(rng)
        image = ImageSource((truth.astype(np.float32),), "YX", name=f"i{k}")
        guess = grid(rng, wrong=0.1 * k)
        made.append(pair_of(truth, guess, name=f"image {k}", image=image))
    return made


def test_pooled_scores_are_those_of_the_metrics(pairs):
    made = run(pairs, evaluation_settings(task="objects"))
    truths = [p.truth.arrays[0] for p in pairs]
    counts = pool(
        match_objects(t, p.prediction) for t, p in zip(truths, pairs, strict=True)
    )
    for k, threshold in enumerate(counts.thresholds):
        of = f"IoU {threshold:.2f}"
        assert made.get(Key("AP", of)).value == pytest.approx(counts.ap[k])
        assert made.get(Key("F1", of)).value == pytest.approx(counts.f1[k])
        assert made.get(Key("recall", of)).value == pytest.approx(counts.recall[k])
        quality = made.get(Key("panoptic quality", of)).value
        assert quality == pytest.approx(counts.panoptic_quality[k])
    mean = made.get(Key("mean AP", "IoU 0.50 to 0.95")).value
    assert mean == pytest.approx(np.mean(counts.ap))
    one = made.images[3]
    alone = match_objects(truths[3], pairs[3].prediction).ap[0]
    assert one.score(Key("AP", "IoU 0.50")) == pytest.approx(alone)
    each = [
        match_objects(t, p.prediction).ap[0] for t, p in zip(truths, pairs, strict=True)
    ]
    assert made.get(Key("AP", "IoU 0.50")).image_mean == pytest.approx(np.mean(each))


def test_intervals_hold_the_score_and_say_over_what(pairs):
    made = run(pairs, evaluation_settings(task="objects"))
    for score in made.scores:
        if not math.isnan(score.low):
            assert score.low <= score.value + 1e-9
            assert score.high >= score.value - 1e-9
        assert (score.over, score.units) == ("images", 8)
    alone = run(pairs[3:4], evaluation_settings(task="objects"))
    ap = alone.get(Key("AP", "IoU 0.50"))
    assert ap.over == "objects"
    assert ap.low < ap.value < ap.high
    assert alone.get(Key("Dice", "foreground")).over == "blocks"
    assert math.isnan(alone.get(Key("V_Rand")).low)
    assert any("one image" in n and "objects and blocks" in n for n in alone.notices)
    few = run(pairs[2:5], evaluation_settings(task="objects"))
    assert any("too narrow" in n for n in few.notices)


def test_classes_pool_pixels_and_average_images():
    rng = np.random.default_rng(1)
    truths = rng.integers(-1, 4, (3, 20, 24))
    guesses = rng.integers(0, 4, (3, 20, 24))
    made = run(
        [
            pair_of(t + 1, g, name=str(k))
            for k, (t, g) in enumerate(
                zip(truths, np.where(guesses == 0, 0, guesses + 1), strict=True)
            )
        ],
        evaluation_settings(task="classes", annotation="sparse"),
    )
    # Sparse: 0 not annotated, 1 background, 2, 3, 4 classes; results have 0, 2, 3, 4.
    values = (0, 2, 3, 4)
    as_results = np.where(truths > 0, truths + 1, truths)
    matrices = [
        confusion(t, np.where(g == 0, 0, g + 1), values)
        for t, g in zip(as_results, guesses, strict=True)
    ]
    expected = class_scores(matrices, values)
    assert made.values == values
    assert made.get(Key("pixel error")).value == pytest.approx(expected.pixel_error)
    assert made.get(Key("mean Dice")).value == pytest.approx(expected.mean_dice)
    for k, v in enumerate(values):
        dice = made.get(Key("Dice", str(v)))
        assert dice.value == pytest.approx(expected.dice[k])
        assert dice.image_mean == pytest.approx(expected.image_dice[k])
    report = tables.as_dict(made)
    for name, score in expected.as_dict().items():
        assert report[name] == score


def test_frames_are_compared_one_by_one_whatever_the_order_of_axes():
    rng = np.random.default_rng(2)
    frames = [grid(rng) for _ in range(3)]
    # The same number means another object in each frame.
    truth = np.stack(frames, axis=1)
    made = truth.copy()
    made[:, 1][frames[1] == 4] = 0
    errors = np.zeros(truth.shape, np.uint8)
    pair = pair_of(truth, made, "YTX")
    found = run([pair], evaluation_settings(task="objects"), errors_out=errors)
    assert found.images[0].n_true == sum(len(np.unique(f)) - 1 for f in frames)
    (mistake,) = found.mistakes
    rows, columns = np.nonzero(frames[1] == 4)
    assert mistake.box == (
        (rows.min(), rows.max() + 1),
        (1, 2),
        (columns.min(), columns.max() + 1),
    )
    assert mistake.centroid == (rows.mean(), 1.0, columns.mean())
    np.testing.assert_array_equal(errors > 0, truth != made)
    assert found.get(Key("AP", "IoU 0.50")).over == "frames"
    assert any("over its frames" in n for n in found.notices)


def test_planes_of_a_volume_on_request():
    truth = np.zeros((2, 20, 20), int)
    truth[:, 2:8, 2:8] = 1
    both = evaluation_settings(task="objects", ndim=2)
    assert (
        run([pair_of(truth, truth, "ZYX")], evaluation_settings()).images[0].n_true == 1
    )
    pair = make_pair(truth, truth, "ZYX", ndim=2)
    assert run([pair], both).images[0].n_true == 2


def test_distances_are_in_the_unit_of_the_voxels():
    truth = np.zeros((40, 60), int)
    truth[10:30, 10:30] = 1
    made = np.roll(truth, 4, axis=1)
    pair = pair_of(truth, made, voxel_size=(1.0, 0.25), unit="micrometer")
    found = run([pair], evaluation_settings(task="objects"))
    assert found.get(Key("Hausdorff 95", "matched objects")).value == 1.0
    assert found.tolerance == 0.5
    wide = run([pair], evaluation_settings(task="objects", tolerance=1.0))
    assert wide.get(Key("boundary F-score")).value == 1.0
    label = tables.label(wide.get(Key("boundary F-score")), wide)
    assert label == "boundary F-score (within 1 µm)"


def test_membranes_part_the_plane():
    truth = np.ones((30, 41), int)
    truth[:, 20] = 0
    made = truth.copy()
    made[12:15, 20] = 1  # a gap joins both sides
    settings = evaluation_settings(task="classes", pieces=True)
    found = run([pair_of(truth, made)], settings)
    assert found.get(Key("pixel error")).value == pytest.approx(3 / 1230)
    assert found.get(Key("V_Rand")).value == pytest.approx(2 / 3, abs=0.01)
    assert found.get(Key("V_Rand", "split")).value == 1
    exact = run([pair_of(truth, truth)], settings)
    assert exact.get(Key("V_Info")).value == 1


def test_calibration_of_classes_and_of_objects():
    truth = np.zeros((20, 20), int)
    truth[5:15, 5:15] = 1
    maps = np.stack([np.where(truth == 0, 0.8, 0.2), np.where(truth == 1, 0.8, 0.2)])
    classes = make_pair(truth, truth, "YX", probabilities=maps)
    found = run([classes], evaluation_settings(task="classes"))
    assert found.reliability.ece == pytest.approx(0.2)
    objects = make_pair(truth, truth, "YX", probabilities=maps[::-1])
    found = run([objects], evaluation_settings(task="objects"))
    assert found.reliability.ece == pytest.approx(0.2)
    three = make_pair(truth, truth, "YX", probabilities=np.concatenate([maps, maps]))
    with pytest.raises(DataError, match="4 probability maps"):
        run([three], evaluation_settings(task="classes"))
    # A model may know classes that this reference lacks.
    more = replace(three, map_values=(0, 1, 7, 9))
    assert run([more], evaluation_settings(task="classes")).reliability is not None


def test_nothing_annotated_is_told():
    empty = np.zeros((9, 9), int)
    settings = evaluation_settings(task="objects", annotation="sparse")
    found = run([pair_of(empty, empty)], settings)
    assert "No pixel of the reference is annotated." in found.notices
    with pytest.raises(DataError, match="is annotated"):
        known_values([pair_of(empty, empty).truth], settings)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(DataError, match=r"\(8, 8\).*\(8, 9\)"):
        make_pair(np.zeros((8, 9), int), np.zeros((8, 8), int), "YX")
    with pytest.raises(DataError, match="whole numbers"):
        make_pair(np.zeros((8, 9), int), np.zeros((8, 9)), "YX")
    image = ImageSource((np.zeros((4, 4)),), "YX", name="other")
    with pytest.raises(DataError, match="'other'"):
        make_pair(np.zeros((8, 9), int), np.zeros((8, 9), int), "YX", image=image)


def test_wrong_settings_are_one_sentence():
    with pytest.raises(ConfigError, match="'tolerance' cannot be -1"):
        evaluation_settings(tolerance=-1)
    with pytest.raises(ConfigError, match="thresholds"):
        evaluation_settings(thresholds=(0.5, 1.5))


def test_what_memory_cannot_hold_is_refused_before_it_is_read(monkeypatch):
    class Huge:
        shape = (100_000, 100_000, 100_000)
        dtype = np.dtype(np.uint8)

        def __getitem__(self, key):
            raise AssertionError("it was read")

    pair = make_pair(Huge(), Huge(), "ZYX", name="brain")
    with pytest.raises(DataError, match="'brain' is too large"):
        run([pair], evaluation_settings(task="objects"))


def test_it_can_be_stopped(pairs):
    with pytest.raises(Stopped):
        run(pairs, evaluation_settings(task="objects"), stop=lambda: True)


def test_json_and_csv_hold_every_score(pairs):
    made = run(pairs, evaluation_settings(task="objects"))
    report = json.loads(json.dumps(tables.as_dict(made), allow_nan=False))
    assert report["images"] == len(report["per_image"]) == 8
    assert report["thresholds"]["0.50"]["ap"] == made.get(made.main).value
    rows = list(csv.DictReader(io.StringIO(tables.csv_text(made))))
    pooled = {(r["score"], r["of"]): r for r in rows if not r["image"]}
    assert float(pooled["AP", "IoU 0.50"]["low"]) == pytest.approx(
        made.get(made.main).low, rel=1e-5
    )
    of_images = [r for r in rows if r["image"]]
    assert {r["image"] for r in of_images} == {f"image {k}" for k in range(8)}
    assert len(rows) == len(made.scores) * 9


class Page(HTMLParser):
    """What a browser would load, and whether every tag is closed."""

    VOID = ("meta", "img", "br", "circle", "line", "rect", "polyline", "polygon")

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_report_is_one_page_with_the_worst_images(pairs):
    settings = evaluation_settings(task="objects")
    made = run(pairs, settings, pictures=3)
    made.robustness.append(Perturbed("noise", made.get(made.main)))
    page = Page(report_html(made, "a <b> & c"))
    assert not page.open
    assert page.loaded
    assert all(address.startswith("data:image/") for address in page.loaded)
    assert len(page.loaded) == 3 * 3
    assert "a <b> & c" in page.texts
    text = " ".join(page.texts)
    assert "Robustness" in text
    assert "0.95" in text
    scores = {i.name: i.score(made.main) for i in made.images}
    shown = {i.name for i in made.images if i.picture is not None}
    assert max(scores[n] for n in shown) <= min(
        s for n, s in scores.items() if n not in shown
    )


def test_a_report_of_little_is_a_page_too():
    truth = np.zeros((12, 14), np.uint8)
    for task in ("objects", "classes"):
        made = run([pair_of(truth, truth)], evaluation_settings(task=task), pictures=1)
        assert not Page(report_html(made)).open
        json.dumps(tables.as_dict(made), allow_nan=False)
        tables.csv_text(made)
