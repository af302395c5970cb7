"""What is copied does what the widget would do: it is run and compared."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import tifffile
import torch

from napari_unet.cli import main, train_like
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import name_classes
from napari_unet.data.source import ImageSource
from napari_unet.data.values import annotation_for
from napari_unet.errors import DataError
from napari_unet.image_io import read_image, read_labels
from napari_unet.image_io.store import PixelSize
from napari_unet.models.model import Model
from napari_unet.models.model_file import SUFFIX
from napari_unet.reproduce import (
    annotation_file,
    image_file,
    prediction_recipe,
    training_recipe,
)
from napari_unet.workflows import exhaust, predict, train

WISHES = {
    "max_steps": 3,
    "batch_size": 2,
    "base_channels": 4,
    "levels": 2,
    "patch_size": (32, 32),
    "seed": 5,
    "device": "cpu",
    "precision": "float32",
    "validation_fraction": 0.1,
    "loss": {"kind": "focal", "focal_gamma": 1.5},
    "augmentation": {"preset": "gentle", "elastic": 0.1},
}


@pytest.fixture
def source():
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 64, 64)).astype(np.uint16)
    return ImageSource(
        (pixels[0], pixels[1]), "YX", (0.5, 0.25), "micrometer", "my cells"
    )


@pytest.fixture
def labels(source):
    annotation = np.zeros(source.labels_shape, np.int32)
    annotation[4:28, 4:60], annotation[34:60, 4:60] = 1, 3
    annotation[44:50, 20:40] = 4
    return annotation


def same_weights(one, other):
    pairs = zip(
        one.network.state_dict().values(),
        other.network.state_dict().values(),
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("language", ["command", "python"])
def test_training_is_repeated_bit_by_bit(tmp_path, source, labels, language):
    config = training_config(task="classes", annotation="sparse", **WISHES)
    names = {1: "background", 3: "root tip", 4: "hair"}
    classes = name_classes([1, 3, 4], 1, names)
    events = train(
        [Annotation(labels, source, "sparse")], config, classes=classes, name="m"
    )
    wanted = exhaust(events)
    folder = tmp_path / "with a space"
    output = folder / f"m{SUFFIX}"
    recipe = training_recipe(
        image_file(source, None, folder),
        annotation_file(labels, source, folder),
        config,
        output,
        ndim=2,
        class_names=names,
    )
    if language == "command":
        program, *words = shlex.split(recipe.command)
        assert program == "napari-unet"
        assert main(words) == 0
    else:
        exec(compile(recipe.script, "script", "exec"), {})
    made = Model.load(output)
    assert same_weights(made, wanted)
    assert made.info.training.config == wanted.info.training.config
    assert [c.name for c in made.info.classes] == list(names.values())
    assert made.info.voxel_size == [0.5, 0.25]
    assert made.info.unit == "micrometer"


@pytest.mark.parametrize("task", ["objects", "regression"])
def test_other_tasks_can_be_copied(tmp_path, source, labels, task):
    wishes = {k: v for k, v in WISHES.items() if k != "loss"}
    config = training_config(task=task, annotation="sparse", **wishes)
    target = labels.astype(np.float32) / 3 if task == "regression" else labels
    wanted = exhaust(train([annotation_for(target, source, config)], config, name="m"))
    output = tmp_path / f"m{SUFFIX}"
    image = image_file(source, None, tmp_path)
    recipe = training_recipe(
        image, annotation_file(target, source, tmp_path), config, output, ndim=2
    )
    assert main(shlex.split(recipe.command)[1:]) == 0
    assert same_weights(Model.load(output), wanted)


@pytest.fixture
def model(source, labels):
    config = training_config(task="classes", annotation="sparse", **WISHES)
    events = train([Annotation(labels, source, "sparse")], config, name="m")
    return exhaust(events)


def test_prediction_is_repeated(tmp_path, source, model):
    path = model.save(tmp_path / f"m{SUFFIX}")
    wanted = exhaust(predict(model, source, views=True)).labels
    image = image_file(source, None, tmp_path)
    recipe = prediction_recipe(path, image, tmp_path / "out", views=True)
    assert main(shlex.split(recipe.command)[1:]) == 0
    (tmp_path / "out").mkdir(exist_ok=True)
    exec(compile(recipe.script, "script", "exec"), {})
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "my cells.tif"), wanted
    )
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "my cells.npy"), wanted)


def test_a_part_with_a_mask_is_python_only(tmp_path, source, model):
    path = model.save(tmp_path / f"m{SUFFIX}")
    mask = np.zeros(source.labels_shape, np.uint8)
    mask[:, 20:] = 1
    region = [[8, 40], [0, 64]]
    wanted = exhaust(predict(model, source, samples=[0], region=region, mask=mask))
    recipe = prediction_recipe(
        path,
        image_file(source, None, tmp_path),
        tmp_path,
        samples=[0],
        region=region,
        mask=annotation_file(mask, ImageSource((mask,), "YX", name="mask"), tmp_path),
    )
    assert recipe.command == ""
    assert "copy as Python" in recipe.why
    exec(compile(recipe.script, "script", "exec"), {})
    np.testing.assert_array_equal(np.load(tmp_path / "my cells.npy"), wanted.labels)


def test_an_image_in_a_file_is_not_copied(tmp_path, source):
    pixels = source.arrays[0]
    path = tmp_path / "mine.tif"
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "YX"})
    found = read_image(path)
    same = ImageSource((pixels,), "YX", found.voxel_size, found.unit)
    assert image_file(same, path, tmp_path / "new") == path
    # One resolution is all that there is, whatever a model wishes.
    near = PixelSize(7.0, "micrometer")
    assert image_file(same, path, tmp_path / "new", near) == path
    # Another scale in the viewer, edited pixels: the file no longer tells it all.
    scaled = ImageSource((pixels,), "YX", (3, 3), found.unit, "scaled")
    edited = ImageSource((pixels + 1,), "YX", found.voxel_size, found.unit, "edited")
    for other in (scaled, edited):
        copy = image_file(other, path, tmp_path / "new")
        assert copy.parent == tmp_path / "new"
        again = read_image(copy)
        np.testing.assert_array_equal(again.read(0), other.read(0))
        assert again.voxel_size == pytest.approx(other.voxel_size)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float64", "bool"])
def test_copies_keep_the_values_of_any_dtype(tmp_path, dtype):
    rng = np.random.default_rng(1)
    pixels = (rng.random((3, 2, 20, 30)) * 100).astype(dtype)
    source = ImageSource((pixels,), "TCYX", (2.0, 1.0), "micrometer")
    found = read_image(image_file(source, None, tmp_path))
    for sample in range(3):
        np.testing.assert_array_equal(found.read(sample), source.read(sample))
    assert found.voxel_size == (2.0, 1.0)


def test_an_annotation_of_a_stack_comes_back(tmp_path):
    source = ImageSource((np.zeros((4, 2, 20, 30), np.uint8),), "ZCYX")
    labels = np.random.default_rng(2).integers(0, 70_000, source.labels_shape)
    path = annotation_file(labels, source, tmp_path)
    np.testing.assert_array_equal(read_labels(path, source), labels)


def test_images_too_large_to_be_copied_are_told(tmp_path):
    huge = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.uint8), (2**20, 2**14), (0, 0)
    )
    with pytest.raises(DataError, match="save it as a file"):
        image_file(ImageSource((huge,), "YX"), None, tmp_path)


# train --like ------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path, source, labels):
    pixels = np.stack([source.arrays[0], source.arrays[1]])
    for name, array in (("images", pixels), ("labels", labels.astype(np.uint8))):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", array)
    return tmp_path


def command(folder, *more):
    words = ["train", "--images", folder / "images", "--labels", folder / "labels"]
    return [str(w) for w in (*words, "--axes", "CYX", *more)]


def test_like_repeats_a_training(folders, capsys):
    first, second = folders / f"1{SUFFIX}", folders / f"2{SUFFIX}"
    settings = ["max_steps=3", "base_channels=4", "patch_size=[32,32]", "loss=focal"]
    wishes = ["--task", "classes", "--annotation", "sparse", "--device", "cpu"]
    names = ["--class-names", "3=root"]
    wishes += ["--set", *settings, "--output", first]
    assert main(command(folders, *wishes, *names)) == 0
    assert main(command(folders, "--like", first, "--output", second)) == 0
    one, two = Model.load(first), Model.load(second)
    assert same_weights(one, two)
    assert two.info.classes == one.info.classes
    assert two.info.training.config == one.info.training.config
    assert "are others" not in capsys.readouterr().err
    third = folders / f"3{SUFFIX}"
    more = ["--seed", "9", "--set", "loss.focal_gamma=1", "--output", third]
    assert main(command(folders, "--like", first, *more)) == 0
    config = Model.load(third).info.training.config
    assert config["seed"] == 9
    assert config["loss"]["focal_gamma"] == 1
    assert config["loss"]["kind"] == "focal"


def test_other_data_than_the_models_is_told(capsys, model):
    def seen(fingerprint):
        summary = model.info.training.model_copy(update={"fingerprint": fingerprint})
        return model.info.model_copy(update={"training": summary})

    train_like.compare_data(seen("abc"), seen("abc"))
    train_like.compare_data(seen(""), seen("abc"))
    assert capsys.readouterr().err == ""
    train_like.compare_data(seen("abc"), seen("xyz"))
    assert "are others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--output", "x"], "Say with --task"),
        (["--task", "classes", "--set", "nonsense", "--output", "x"], "NAME=VALUE"),
        (["--task", "classes", "--set", "pace=3", "--output", "x"], "'pace'"),
        (["--task", "classes", "--set", "seed.a=3", "--output", "x"], "seed"),
    ],
)
def test_wrong_settings_are_told(folders, capsys, words, sentence):
    more = ["--annotation", "sparse", "--seed", "3"]
    assert main(command(folders, *more, *words)) in (1, 2)
    assert sentence in capsys.readouterr().err
