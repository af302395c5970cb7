from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet import cli
from napari_unet.cli.common import find_model
from napari_unet.cli.progress import Progress, TrainingProgress
from napari_unet.cli.soft_stop import SoftStop
from napari_unet.data.classes import make_classes
from napari_unet.image_io import read_image, read_labels, write_labels
from napari_unet.models import rdf_text
from napari_unet.models.info import ModelInfo, NetworkInfo, TrainingSummary
from napari_unet.models.model_file import RDF_NAME, SUFFIX
from napari_unet.training import events


def write(path, data, axes):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": axes})
    return path


@pytest.fixture
def squares(tmp_path):
    """Folders ``images`` and ``labels`` with four bright squares an image."""
    rng = np.random.default_rng(0)
    for number in range(3):
        labels = np.zeros((64, 64), np.uint16)
        for k in range(4):
            y, x = 4 + 32 * (k // 2), 4 + 32 * (k % 2)
            labels[y : y + 20, x : x + 18] = k + 1
        image = rng.normal(100 + 400 * (labels > 0), 20).clip(0).astype(np.uint16)
        write(tmp_path / "images" / f"a{number}.tif", image, "YX")
        write(tmp_path / "labels" / f"a{number}.tif", labels, "YX")
    return tmp_path


def run(*arguments):
    return cli.main([str(a) for a in arguments])


def train(folder, *more, task="classes", output="m"):
    return run(
        *("train", "--images", folder / "images", "--labels", folder / "labels"),
        *("--task", task, "--output", folder / output, *more),
    )


def last_line(text):
    return text.strip().splitlines()[-1]


# --- errors --------------------------------------------------------------------------


def test_the_rule_is_asked_for_and_never_guessed(squares, capsys):
    assert train(squares) == 2
    told = capsys.readouterr().err
    assert "--annotation complete  label 0 = background" in told
    assert "--annotation sparse    label 1 = background, 360 px" in told
    assert not (squares / f"m{SUFFIX}").exists()


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["--annotation", "complete", "--val-images", "x"], 2, "or neither"),
        (["--annotation", "complete", "--minutes", "-1"], 1, "'minutes' cannot be"),
        (["--annotation", "complete", "--class-names", "nucleus"], 2, "VALUE=NAME"),
        (["--annotation", "complete", "--class-names", "9=x"], 2, "No pixel has"),
        (["--annotation", "complete", "--patch-size", "8", "8", "8"], 1, "3 numbers"),
        (["--annotation", "complete", "--axes", "ZYX"], 1, "name 3 axes"),
        (["--annotation", "complete", "--ndim", "3"], 1, "no Z axis"),
        (["--annotation", "complete", "--voxel-size", "1"], 1, "voxel size"),
    ],
)
def test_bad_settings_are_one_sentence(squares, capsys, more, code, sentence):
    assert train(squares, *more) == code
    told = capsys.readouterr()
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


def test_bad_folders_are_one_sentence(squares, tmp_path, capsys):
    assert train(tmp_path / "nowhere", "--annotation", "complete") == 1
    assert "There is no folder" in capsys.readouterr().err
    (squares / "labels" / "a1.tif").unlink()
    assert train(squares, "--annotation", "complete") == 1
    assert "There is 1 image" in capsys.readouterr().err


def test_a_model_is_not_replaced_without_leave(squares, capsys):
    (squares / f"m{SUFFIX}").write_text("precious")
    assert train(squares, "--annotation", "complete") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (squares / f"m{SUFFIX}").read_text() == "precious"


def test_debug_shows_where_an_error_arose(squares):
    with pytest.raises(Exception, match="'minutes' cannot be"):
        train(squares, "--annotation", "complete", "--minutes", "0", "--debug")


def test_a_defect_is_called_one_and_has_no_traceback(monkeypatch, capsys):
    def fail(options):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("napari_unet.cli.doctor.run", fail)
    assert run("doctor") == 1
    told = capsys.readouterr().err
    assert "inside this program (ZeroDivisionError: oh)" in told
    assert "Traceback" not in told


def test_ctrl_c_has_its_exit_code(monkeypatch, capsys):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_unet.cli.doctor.run", interrupt)
    assert run("doctor") == 130
    assert capsys.readouterr().err == "Interrupted.\n"


# --- evaluate ------------------------------------------------------------------------


def test_evaluate_objects(squares, capsys):
    made = np.asarray(tifffile.imread(squares / "labels" / "a0.tif"))
    for number in range(3):
        found = np.where(made == 4, 0, made) if number else made
        write_labels(squares / "p" / f"a{number}.tif", found, "YX")
    code = run(
        *("evaluate", "--predictions", squares / "p", "--labels", squares / "labels"),
        *("--task", "objects", "--json", squares / "s.json"),
    )
    assert code == 0
    assert "0.50  0.833" in capsys.readouterr().out
    scores = json.loads((squares / "s.json").read_text())
    assert scores["images"] == 3
    assert scores["thresholds"]["0.95"]["ap"] == pytest.approx(10 / 12)
    assert scores["mean_ap_0.50_0.90"] == pytest.approx(10 / 12)


@pytest.mark.parametrize("rule", ["complete", "sparse"])
def test_evaluate_classes_by_either_rule(tmp_path, capsys, rule):
    # Results always write background as 0; a sparse truth has it as 1.
    truth = {"complete": [0, 0, 2, 2, 0, 2], "sparse": [1, 0, 2, 2, 0, 0]}[rule]
    expected = {"complete": 2 / 6, "sparse": 1 / 3}[rule]
    write(tmp_path / "t" / "a.tif", np.array([truth] * 8, np.uint8), "YX")
    predicted = np.array([[0, 2, 2, 0, 0, 2]] * 8)
    write_labels(tmp_path / "p" / "a.tif", predicted, "YX")
    code = run(
        *("evaluate", "--predictions", tmp_path / "p", "--labels", tmp_path / "t"),
        *("--task", "classes", "--annotation", rule, "--json", tmp_path / "s.json"),
    )
    assert code == 0
    assert "(background)" in capsys.readouterr().out
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["pixel_error"] == pytest.approx(expected)
    assert set(scores["classes"]) == {"0", "2"}


def test_evaluate_brings_axes_into_one_order(tmp_path):
    truth = np.random.default_rng(0).integers(0, 3, (4, 3, 8, 9)).astype(np.uint8)
    write(tmp_path / "t" / "a.tif", truth, "ZTYX")
    write_labels(tmp_path / "p" / "a.tif", truth, "ZTYX")  # written as TZYX
    code = run(
        *("evaluate", "--predictions", tmp_path / "p", "--labels", tmp_path / "t"),
        *("--task", "classes", "--json", tmp_path / "s.json"),
    )
    assert code == 0
    assert json.loads((tmp_path / "s.json").read_text())["pixel_error"] == 0


def test_evaluate_needs_something_annotated(tmp_path, capsys):
    for folder in ("t", "p"):
        write(tmp_path / folder / "a.tif", np.zeros((8, 9), np.uint8), "YX")
    both = ("--predictions", tmp_path / "p", "--labels", tmp_path / "t")
    assert run("evaluate", *both, "--task", "classes", "--annotation", "sparse") == 1
    assert "is annotated" in capsys.readouterr().err


def test_evaluate_refuses_what_does_not_belong_together(tmp_path, capsys):
    write(tmp_path / "t" / "a.tif", np.ones((8, 9), np.uint8), "YX")
    write(tmp_path / "p" / "a.tif", np.ones((8, 8), np.uint8), "YX")
    both = ("--predictions", tmp_path / "p", "--labels", tmp_path / "t")
    assert run("evaluate", *both, "--task", "classes") == 1
    assert "(8, 8)" in capsys.readouterr().err
    write(tmp_path / "p" / "b.tif", np.ones((8, 8), np.uint8), "YX")
    assert run("evaluate", *both, "--task", "classes") == 1
    assert "There is 1 prediction in" in capsys.readouterr().err


# --- info and model names ------------------------------------------------------------


def write_info(path):
    import zipfile

    info = ModelInfo(
        name="roots",
        task="classes",
        spatial="ZYX",
        n_channels=2,
        classes=make_classes([1, 2], 1),
        network=NetworkInfo(name="unet", arguments={}),
        voxel_size=[2.0, 0.5, 0.5],
        unit="micrometer",
        training=TrainingSummary(
            n_images=1, images=["a"], steps=1200, score=0.912, score_name="mean Dice"
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        weights = {"pytorch_state_dict": {"source": "weights.pt", "sha256": ""}}
        own = info.model_dump(mode="json")
        rdf = {"weights": weights, "config": {"napari_unet": own}}
        archive.writestr(RDF_NAME, rdf_text.dump(rdf))


def test_info_in_words_and_as_json(tmp_path, capsys):
    path = tmp_path / f"roots{SUFFIX}"
    write_info(path)
    assert run("info", path) == 0
    told = capsys.readouterr().out
    for words in (
        "3D (ZYX), 2 channels",
        "0 background, 2 class 2",
        "2 × 0.5 × 0.5 micrometer",
        "mean Dice 0.912",
        "1,200 steps",
    ):
        assert words in told
    assert run("info", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "roots"


def test_models_are_found_by_path_and_by_name(tmp_path, model_folder, monkeypatch):
    write_info(model_folder / f"mine{SUFFIX}")
    write_info(tmp_path / f"here{SUFFIX}")
    monkeypatch.chdir(tmp_path)
    assert find_model("mine") == model_folder / f"mine{SUFFIX}"
    assert find_model("here").samefile(tmp_path / f"here{SUFFIX}")
    assert find_model("none") == Path("none")


def test_what_is_no_model_is_said_before_anything_is_loaded(tmp_path, capsys):
    (tmp_path / "m").write_text("hello")
    assert run("info", tmp_path / "m") == 1
    assert "is not a model" in capsys.readouterr().err
    assert run("predict", tmp_path / "x", "a.tif", "--output", tmp_path) == 1
    assert "There is no model file" in capsys.readouterr().err


# --- predict: what it refuses --------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    path = tmp_path / f"some{SUFFIX}"
    write_info(path)
    return path


def test_results_are_not_replaced_without_leave(squares, model, capsys):
    write_labels(squares / "out" / "a1.tif", np.ones((4, 4), int), "YX")
    assert run("predict", model, squares / "images", "--output", squares / "out") == 1
    assert "a1.tif is already in" in capsys.readouterr().err


def test_an_input_is_never_replaced(squares, model, capsys):
    images = squares / "images"
    assert run("predict", model, images, "--output", images, "--overwrite") == 1
    assert "would replace an image" in capsys.readouterr().err
    assert read_image(images / "a0.tif").arrays[0].max() > 100


def test_two_inputs_of_one_name_are_refused(squares, model, capsys):
    inputs = (squares / "images", squares / "labels" / "a0.tif")
    assert run("predict", model, *inputs, "--output", squares / "out") == 1
    assert "would both become" in capsys.readouterr().err


# --- progress ------------------------------------------------------------------------


def all_events():
    yield events.Started("CPU", {}, ["Too few annotations."])
    for step in range(1, 200):
        yield events.StepDone(step, 1 / step, step / 200, 200.0 - step)
    yield events.Validated(199, 0.1, 0.83, True)
    yield events.Notice("Memory ran out: smaller batches are used.")
    yield events.StepDone(200, 0.004, 1.0, float("inf"))
    yield events.Finished(200, "time is up", 0.83, 125.0)


def test_a_log_file_gets_few_lines(capsys):
    with Progress("Training") as bar:
        progress = TrainingProgress(bar)
        for event in all_events():
            progress.show(event)
    assert capsys.readouterr().err.splitlines() == [
        "Training on CPU.",
        "Too few annotations.",
        "Memory ran out: smaller batches are used.",
        "Time is up, after 200 steps in 2:05 minutes.",
    ]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    with Progress("Training") as bar:
        progress = TrainingProgress(bar)
        for event in all_events():
            progress.show(event)
    told = capsys.readouterr().err
    assert "Training   0%" in told
    assert "Time is up, after 200 steps" in told


# --- signals -------------------------------------------------------------------------


@pytest.fixture
def ctrl_c_interrupts():
    """Ctrl-C as in a terminal; programs started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_ctrl_c_asks_and_the_second_interrupts(capsys, ctrl_c_interrupts):
    before = signal.getsignal(signal.SIGINT)
    stop = SoftStop()
    with stop.released():
        stop.listen()
        assert not stop.wanted()
        signal.raise_signal(signal.SIGINT)
        assert stop.wanted()
        assert stop.code == 130
        assert "press Ctrl-C again" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


# --- the whole way -------------------------------------------------------------------

SMALL = (
    *("--steps", "4", "--batch-size", "2", "--base-channels", "4"),
    *("--patch-size", "32", "32", "--device", "cpu", "--precision", "float32"),
)


def test_train_predict_evaluate(squares, capsys):
    images, out = squares / "images", squares / "out"
    assert train(squares, "--annotation", "complete", *SMALL, task="objects") == 0
    model = squares / f"m{SUFFIX}"
    assert str(model) in capsys.readouterr().out
    assert not list(squares.glob("*.checkpoint"))

    (squares / "bad.tif").write_text("no image")
    code = run(
        *("predict", model, squares / "bad.tif", images, "--probabilities"),
        *("--output", out, "--device", "cpu"),
    )
    told = capsys.readouterr()
    assert code == 1
    assert last_line(told.err).startswith("bad.tif is not an image")
    assert "3 of 4 images" in told.out
    assert sorted(p.name for p in out.glob("*.tif")) == ["a0.tif", "a1.tif", "a2.tif"]
    assert read_image(out / "probabilities" / "a0.tif").n_channels == 2
    assert run("predict", model, images / "a0.tif", "--output", out, "--overwrite") == 0

    both = ("--predictions", out, "--labels", squares / "labels")
    assert run("evaluate", *both, "--task", "objects") == 0


def test_class_names_reach_the_model_and_values_the_results(squares, capsys):
    for path in (squares / "labels").iterdir():
        labels = tifffile.imread(path)
        write(path, np.where(labels > 2, 7, labels > 0).astype(np.uint8), "YX")
    names = ("--class-names", "7=square", "0=nothing")
    assert train(squares, "--annotation", "complete", *SMALL, *names) == 0
    capsys.readouterr()
    assert run("info", squares / f"m{SUFFIX}") == 0
    assert "0 nothing, 1 class 1, 7 square" in capsys.readouterr().out
    images = squares / "images"
    assert run("predict", squares / "m", images, "--output", squares / "o") == 0
    assert set(np.unique(tifffile.imread(squares / "o" / "a0.tif"))) <= {0, 1, 7}


def test_patterns_a_report_stores_and_several_workers(squares, capsys):
    assert train(squares, "--annotation", "complete", *SMALL) == 0
    model, files, stores = squares / "m", squares / "files", squares / "stores"
    pattern = squares / "images" / "a*.tif"
    assert run("predict", model, pattern, "--output", files) == 0
    assert "What became of each image" in capsys.readouterr().out
    assert run("predict", model, pattern, "--output", stores, "--store") == 0
    one = np.asarray(read_labels(stores / "a0.ome.zarr"))
    np.testing.assert_array_equal(one, tifffile.imread(files / "a0.tif"))
    # The same command has nothing left to do.
    first = (files / "a0.tif").stat().st_mtime_ns
    assert run("predict", model, pattern, "--output", files) == 0
    assert "were segmented before" in capsys.readouterr().err
    assert (files / "a0.tif").stat().st_mtime_ns == first
    several = ("--workers", "2", "--probabilities")
    assert run("predict", model, pattern, "--output", squares / "o", *several) == 0
    other = np.asarray(read_labels(squares / "o" / "a0.ome.zarr"))
    np.testing.assert_array_equal(other, one)
    maps = read_image(squares / "o" / "probabilities" / "a0.ome.zarr")
    assert maps.n_channels == 5  # four squares and the background


def test_a_2d_model_segments_volumes_plane_by_plane(squares):
    assert train(squares, "--annotation", "complete", *SMALL) == 0
    stack = np.stack([tifffile.imread(squares / "images" / "a0.tif")] * 3)
    scale = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    path = squares / "stack.tif"
    tifffile.imwrite(path, stack, imagej=True, resolution=(4, 4), metadata=scale)
    assert run("predict", squares / "m", path, "--output", squares / "o") == 0
    labels = read_image(squares / "o" / "stack.tif")
    assert (labels.axes, labels.spatial_shape) == ("ZYX", (3, 64, 64))
    assert labels.voxel_size == (2.0, 0.25, 0.25)
    assert labels.unit == "micrometer"


def test_a_stopped_run_is_saved_and_goes_on(squares, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(SoftStop, "listen", lambda self: setattr(self, "code", 130))
        assert train(squares, "--annotation", "complete", *SMALL) == 130
    assert (squares / f"m{SUFFIX}").exists()
    assert (squares / "m.checkpoint").exists()
    assert "after 1 step in" in capsys.readouterr().err
    assert train(squares, "--annotation", "complete", *SMALL, "--resume") == 0
    assert "after 4 steps in" in capsys.readouterr().err
    assert not (squares / "m.checkpoint").exists()


def test_a_run_that_breaks_down_fails_and_keeps_what_was_good(
    squares, monkeypatch, capsys
):
    from napari_unet.training.trainer import Trainer

    step = Trainer._step
    monkeypatch.setattr(
        Trainer,
        "_step",
        lambda self: step(self) if self.progress.step < 2 else float("nan"),
    )
    rate = ("--learning-rate", "0.5")
    assert train(squares, "--annotation", "complete", *SMALL, *rate) == 1
    model = squares / f"m{SUFFIX}"
    told = capsys.readouterr()
    sentence = last_line(told.err)
    assert "not a number after 2 steps" in sentence
    assert f"are saved in {model}" in sentence
    assert told.err.count("infinite") == 1
    assert told.out == ""
    assert run("predict", model, squares / "images", "--output", squares / "o") == 0
    assert not list(squares.glob("*.checkpoint"))


def test_resume_without_a_checkpoint_is_one_sentence(squares, capsys):
    assert train(squares, "--annotation", "complete", *SMALL, "--resume") == 1
    assert "checkpoint" in last_line(capsys.readouterr().err)
