"""Comparing networks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, UserError
from napari_unet.models.library import SUFFIX
from napari_unet.models.model import Model
from napari_unet.training.events import StepDone
from napari_unet.workflows import compare as module
from napari_unet.workflows.compare import NetworkDone, NetworkStarted, compare

SETTINGS = {
    "annotation": "complete",
    "base_channels": 4,
    "batch_size": 2,
    "max_steps": 3,
    "device": "cpu",
}


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((48, 48), np.uint8)
    labels[8:30, 10:40] = 1
    image = 100 * labels + rng.normal(50, 10, labels.shape)
    return image.astype(np.uint8), labels


def annotated() -> Annotation:
    image, labels = arrays()
    return Annotation(labels, ImageSource((image,), "YX", ndim=2), "complete")


def run(events):
    found = []
    while True:
        try:
            found.append(next(events))
        except StopIteration as end:
            return end.value, found


def test_each_network_is_trained_and_measured():
    config = training_config(**SETTINGS)
    results, events = run(compare([annotated()], config, ["unet", "light_unet"]))
    assert [r.network for r in results] == ["unet", "light_unet"]
    assert [e.number for e in events if isinstance(e, NetworkStarted)] == [1, 2]
    for result in results:
        assert result.steps == 3
        assert 0 <= result.score <= 1
        assert result.curve[-1][0] <= result.seconds + 60
        assert min(result.parameters, result.flops_per_pixel) > 0
        assert result.seconds_per_megapixel > 0
        assert result.bytes_per_pixel > 1
        assert not result.problem
    assert results[0].parameters != results[1].parameters


def test_a_name_twice_counts_once_and_unknown_ones_are_refused_first():
    config = training_config(**SETTINGS)
    results, _ = run(compare([annotated()], config, ["light_unet", "light_unet"]))
    assert len(results) == 1
    with pytest.raises(ConfigError, match="no network 'vnet'"):
        next(compare([annotated()], config, ["unet", "vnet"]))
    with pytest.raises(ConfigError, match="give at least one"):
        next(compare([annotated()], config, []))


def test_a_network_that_cannot_be_trained_does_not_stop_the_others():
    config = training_config(**{**SETTINGS, "levels": 2})
    results, events = run(compare([annotated()], config, ["hrnet", "light_unet"]))
    assert "has no setting 'levels'" in results[0].problem
    assert math.isnan(results[0].seconds_per_megapixel)
    assert results[1].score is not None
    models = [e.model is not None for e in events if isinstance(e, NetworkDone)]
    assert models == [False, True]
    with pytest.raises(UserError, match="has no setting"):
        run(compare([annotated()], config, ["hrnet"]))


def test_a_stop_measures_what_was_learnt_and_begins_no_other():
    config = training_config(**{**SETTINGS, "max_steps": 1000})
    steps = []
    events = compare(
        [annotated()], config, ["unet", "light_unet"], stop=lambda: len(steps) >= 1
    )
    results = None
    while results is None:
        try:
            event = next(events)
        except StopIteration as end:
            results = end.value
        else:
            steps += [event] * isinstance(event, StepDone)
    assert [(r.network, r.ended) for r in results] == [("unet", "stopped")]
    assert results[0].steps == 2


def test_memory_that_runs_out_is_told(monkeypatch):
    def full(*_: object, **__: object):
        raise MemoryError
        yield

    monkeypatch.setattr(module, "train", full)
    with pytest.raises(UserError, match=r"Memory ran out: try fewer --base-channels\."):
        run(compare([annotated()], training_config(**SETTINGS), ["unet"]))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for k, part in enumerate(("train", "val")):
        image, labels = arrays(k)
        for name, array in (("images", image), ("labels", labels)):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            tifffile.imwrite(folder / "a.tif", array)
    return tmp_path / "data"


def test_the_command_writes_table_plot_and_models(data, tmp_path, capsys):
    output = tmp_path / "out"
    command = [
        "compare", "--networks", "unet, light_unet", "--data", str(data),
        "--task", "classes", "--annotation", "complete", "--steps", "2",
        "--base-channels", "4", "--device", "cpu", "--output", str(output),
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "mean Dice" in said
    assert "light_unet" in said
    found = json.loads((output / "comparison.json").read_text())["networks"]
    assert [one["network"] for one in found] == ["unet", "light_unet"]
    assert found[0]["curve"]
    plot = (output / "scores.svg").read_text()
    assert "Light U-Net" in plot
    assert plot.startswith("<svg")
    model = Model.load(output / f"light_unet{SUFFIX}")
    assert model.info.network.name == "light_unet"
    assert main(command) == 1
    assert "There is already a comparison" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--networks", "vnet"], "no network 'vnet'"),
        (["--images", "x"], "Give either --data or"),
        (["--minutes", "0"], "'minutes' cannot be"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(
    data, tmp_path, capsys, change, sentence
):
    output = tmp_path / "out"
    command = [
        "compare", "--networks", "unet", "--data", str(data), "--task", "classes",
        "--annotation", "complete", "--output", str(output), *change,
    ]  # fmt: skip
    assert main(command) != 0
    assert sentence in capsys.readouterr().err
    assert not output.exists()


def test_networks_are_listed_with_what_they_cost(capsys):
    assert main(["networks"]) == 0
    assert "DeepLab" not in capsys.readouterr().err
    assert main(["networks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    costs = {(one["name"], one["ndim"]): one for one in found}
    light, unet = costs["light_unet", 2], costs["unet", 2]
    assert light["train_bytes_per_voxel"] < unet["train_bytes_per_voxel"]
    assert light["predict_bytes_per_voxel"] <= unet["predict_bytes_per_voxel"]
    assert costs["hrnet", 3]["divisor"] == [8, 8, 8]
