"""Images and annotations of many days in one folder."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_unet.cli import main
from napari_unet.config import training_config
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.training_set import INFO_NAME, TrainingSet
from napari_unet.workflows import exhaust, train

SPARSE = training_config(task="classes", annotation="sparse")
SMALL = {
    "max_steps": 2,
    "batch_size": 2,
    "base_channels": 4,
    "levels": 2,
    "patch_size": (32, 32),
    "device": "cpu",
}


def cells(seed=0, channels=1, name="cells"):
    pixels = np.random.default_rng(seed).integers(0, 900, (channels, 64, 64))
    arrays = tuple(pixels.astype(np.uint16))
    return ImageSource(arrays, "YX", (0.5, 0.5), "micrometer", name)


def strokes(*values):
    labels = np.zeros((64, 64), np.int32)
    for row, value in enumerate(values):
        labels[20 * row : 20 * row + 15] = value
    return labels


@pytest.fixture
def images(tmp_path):
    made = TrainingSet(tmp_path / "set")
    made.add(cells(0), strokes(1, 2), SPARSE, {1: "background", 2: "root"})
    made.add(cells(1), strokes(1, 3), SPARSE, {3: "hair"})
    return made


def test_annotations_of_several_images_are_merged(images):
    items = images.info().items
    assert [i.name for i in items] == ["cells", "cells (2)"]
    assert [i.annotated for i in items] == [2 * 15 * 64] * 2
    pairs, classes = images.pairs(SPARSE)
    assert [c.name for c in classes] == ["background", "root", "hair"]
    np.testing.assert_array_equal(pairs[1].source.read(0), cells(1).read(0))
    assert pairs[0].source.voxel_size == (0.5, 0.5)
    assert pairs[0].source.unit == "micrometer"


def test_another_day_replaces_the_annotation_and_keeps_the_old(images):
    images.add(cells(0, name="renamed since"), strokes(1, 2, 2), SPARSE)
    # The same pixels under another name are another file; under the same, the same.
    images.add(cells(0), strokes(2, 1), SPARSE)
    items = {i.name for i in images.info().items}
    assert items == {"cells", "cells (2)", "renamed since"}
    pairs, _ = images.pairs(SPARSE)
    names = [i.name for i in images.info().items]
    np.testing.assert_array_equal(
        pairs[names.index("cells")].labels[...], strokes(2, 1)
    )
    (old,) = (images.folder / "earlier").iterdir()
    assert old.name.startswith("cells labels ")


def test_a_removed_image_can_be_taken_back(images):
    images.remove("cells")
    assert [i.name for i in images.info().items] == ["cells (2)"]
    assert len(list((images.folder / "earlier").iterdir())) == 2
    with pytest.raises(DataError, match="no image 'cells'"):
        images.remove("cells")
    images.add(cells(0), strokes(1, 2), SPARSE)
    assert len(images.pairs(SPARSE)[0]) == 2


def test_a_set_copied_to_another_folder_trains_the_same(images, tmp_path):
    elsewhere = TrainingSet(tmp_path / "other computer")
    shutil.copytree(images.folder, elsewhere.folder)
    shutil.rmtree(images.folder)
    config = training_config(**elsewhere.config(SMALL))
    pairs, classes = elsewhere.pairs(config)
    model = exhaust(train(pairs, config, classes=classes))
    assert model.info.training.n_images == 2
    elsewhere.add(cells(2), strokes(1, 2), SPARSE)
    assert len(elsewhere.pairs(config)[0]) == 3


def test_the_command_line_takes_its_folders(images, tmp_path):
    words = ["--task", "classes", "--annotation", "sparse", "--steps", "2"]
    words += ["--set", "base_channels=4", "--output", str(tmp_path / "m")]
    folders = ["--images", images.folder / "images", "--labels"]
    folders += [images.folder / "labels"]
    assert main(["train", *map(str, folders), *words]) == 0


def test_channels_stay_together(tmp_path):
    images = TrainingSet(tmp_path / "set")
    images.add(cells(0, channels=2), strokes(1, 2), SPARSE)
    (pair,), _ = images.pairs(SPARSE)
    np.testing.assert_array_equal(pair.source.read(0), cells(0, channels=2).read(0))


@pytest.mark.parametrize("task", ["objects", "regression"])
def test_other_tasks(tmp_path, task):
    config = training_config(task=task, annotation="complete")
    images = TrainingSet(tmp_path / "set")
    labels = strokes(1, 2)
    images.add(cells(0), labels / 2 if task == "regression" else labels, config)
    (pair,), classes = images.pairs(config)
    assert classes is None
    assert pair.labels[...].max() == (1 if task == "regression" else 2)


def test_what_does_not_belong_together_is_told(images):
    objects = training_config(task="objects", annotation="sparse")
    with pytest.raises(DataError, match="classes, annotated sparse"):
        images.add(cells(5), strokes(1, 2), objects)
    with pytest.raises(DataError, match="1 channels"):
        images.add(cells(5, channels=2), strokes(1, 2), SPARSE)
    assert len(images.info().items) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "damaged"), ("[]", "damaged"), ('{"format_version": 99}', "newer version")],
)
def test_damaged_sets_are_told(images, text, sentence):
    (images.folder / INFO_NAME).write_text(text)
    with pytest.raises(DataError, match=sentence):
        images.info()


def test_a_folder_without_a_set_is_told(tmp_path):
    with pytest.raises(DataError, match="add an image to begin"):
        TrainingSet(tmp_path).info()
    images = TrainingSet(tmp_path / "set")
    images.add(cells(), strokes(1, 2), SPARSE)
    images.remove("cells")
    with pytest.raises(DataError, match="is empty"):
        images.pairs(SPARSE)
