"""A continuous value for every pixel, the whole way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_unet
from napari_unet import cli
from napari_unet.config import training_config
from napari_unet.data.source import ImageSource
from napari_unet.data.values import ValueAnnotation
from napari_unet.errors import AnnotationError, ConfigError
from napari_unet.models.model import Model
from napari_unet.workflows import exhaust, predict, train

SMALL = {"device": "cpu", "base_channels": 8, "levels": 3, "batch_size": 4}


def blobs(seed: int, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """An image of blobs, and the distance to their edges plus an offset."""
    rng = np.random.default_rng(seed)
    inside = ndimage.gaussian_filter(rng.normal(size=(96, 96)), 5) > 0
    image = (inside * 900 + rng.normal(400, 60, inside.shape)).astype(np.uint16)
    distance = ndimage.distance_transform_edt(inside).astype(np.float32)
    return image, distance + np.float32(offset)


def learnt(offset: float = 0.0) -> tuple[Model, list]:
    pairs = []
    for seed in range(6):
        image, distance = blobs(seed, offset)
        distance[:20, :20] = np.nan
        source = ImageSource((image,), "YX", name=f"image {seed}")
        pairs.append(ValueAnnotation(distance, source))
    config = training_config(task="regression", max_steps=120, **SMALL)
    events: list = []
    return exhaust(train(pairs, config), events.append), events


@pytest.mark.parametrize("offset", [0.0, 5000.0])
def test_values_are_learnt_in_their_own_unit(offset: float, tmp_path: Path) -> None:
    """An offset far above the spread costs no precision, nor does a model file."""
    model, events = learnt(offset)
    image, truth = blobs(77, offset)
    found = napari_unet.predict(model, image)
    assert found.dtype == np.float32
    assert found.shape == truth.shape
    error = float(((found - truth) ** 2).mean())
    assert error < 0.5 * float(truth.var())
    summary = model.info.training
    assert summary.score_name == "R²"
    assert summary.scores["RMSE"] >= summary.scores["MAE"] > 0
    assert events[0].recipe
    again = Model.load(model.save(tmp_path / "m.bioimage.io.zip"))
    np.testing.assert_array_equal(napari_unet.predict(again, image), found)
    assert again.info.classes == []


def test_a_region_is_what_the_whole_holds_there() -> None:
    model, _ = learnt()
    source = ImageSource((blobs(3)[0],), "YX")
    whole = exhaust(predict(model, source)).labels
    part = exhaust(predict(model, source, region=((16, 64), (32, 96)))).labels
    np.testing.assert_allclose(part[0], whole[16:64, 32:96], rtol=0.02, atol=0.05)


def test_a_stopped_prediction_says_nothing_where_it_did_not_look() -> None:
    model, _ = learnt()
    source = ImageSource((blobs(3)[0],), "YX")
    result = exhaust(predict(model, source, stop=lambda: True))
    assert not result.complete
    assert np.isnan(result.labels).all()


def test_planes_of_a_stack_may_miss_values() -> None:
    planes = [blobs(seed) for seed in range(3)]
    image = np.stack([p[0] for p in planes])
    distance = np.stack([p[1] for p in planes])
    distance[1] = np.nan
    model = napari_unet.train(
        image, distance, task="regression", ndim=2, max_steps=3, **SMALL
    )
    assert model.info.spatial == "YX"
    assert napari_unet.predict(model, image).shape == image.shape


def test_problems_are_one_sentence() -> None:
    image, distance = blobs(0)
    with pytest.raises(AnnotationError, match="every pixel is NaN"):
        napari_unet.train(image, distance * np.nan, task="regression", max_steps=1)
    with pytest.raises(ConfigError, match="annotation="):
        napari_unet.train(image, distance > 0, max_steps=1)


def test_the_command_line_goes_the_whole_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "distances"):
        (tmp_path / folder).mkdir()
    for seed in range(2):
        image, distance = blobs(seed)
        tifffile.imwrite(tmp_path / "images" / f"{seed}.tif", image)
        tifffile.imwrite(tmp_path / "distances" / f"{seed}.tif", distance)
    what = ["--images", tmp_path / "images", "--labels", tmp_path / "distances"]
    common = ["train", *what, "--task", "regression", "--base-channels", 4]

    def run(*options: object) -> int:
        return cli.main([str(o) for o in options])

    picture = tmp_path / "patches.png"
    assert run(*common, "--explain", "--preview-augmentation", picture) == 0
    said = capsys.readouterr().out
    assert "Huber" in said
    assert "not scaled" in said
    assert picture.stat().st_size > 1000
    model = tmp_path / "m.bioimage.io.zip"
    assert run(*common) == 2  # nowhere to put a model
    assert "--output" in capsys.readouterr().err
    assert run(*common, "--steps", 2, "--output", model) == 0
    assert "Held-out MAE" in capsys.readouterr().out
    out = tmp_path / "out"
    assert run("predict", model, tmp_path / "images", "--output", out) == 0
    made = tifffile.imread(out / "0.tif")
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
