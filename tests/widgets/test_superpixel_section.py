"""The switch *Paint superpixels*: outlines come, follow the plane, and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import QThreadPool

from napari_unet.errors import DataError
from napari_unet.widgets.annotation_layer import new_annotation_layer
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.layers import ImageSnapshot, snapshot
from napari_unet.widgets.superpixel_outlines import NAME
from napari_unet.widgets.superpixel_section import SuperpixelSection

TIMEOUT = 30_000


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def section(viewer: ViewerModel, qtbot: Any) -> Iterator[SuperpixelSection]:
    def image() -> ImageSnapshot:
        found = [x for x in viewer.layers if isinstance(x, Image) and not is_preview(x)]
        return snapshot(found)

    made = SuperpixelSection(viewer, image)
    qtbot.addWidget(made)
    yield made
    made.close_layer()
    QThreadPool.globalInstance().waitForDone()


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def begin(viewer: ViewerModel, section: SuperpixelSection, image: Image) -> Labels:
    """Show an image with an empty annotation, and switch on."""
    viewer.add_layer(image)
    labels = new_annotation_layer(snapshot([image]), "classes")
    viewer.add_layer(labels)
    section.show_for(labels)
    section.switch.click()
    return labels


def wait(section: SuperpixelSection, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: section.found is not None, timeout=TIMEOUT)


def test_nothing_is_offered_without_a_layer(section: SuperpixelSection) -> None:
    section.show_for(None)
    assert section.isHidden()
    section.toggle()
    assert not section.switch.isChecked()


def test_a_layer_that_is_gone_already_is_not_painted(
    viewer: ViewerModel, section: SuperpixelSection
) -> None:
    image = Image(pixels(40, 50))
    viewer.add_layer(image)
    labels = new_annotation_layer(snapshot([image]), "classes")
    viewer.add_layer(labels)
    section.show_for(labels)
    viewer.layers.remove(labels)
    section.switch.click()
    assert not section.switch.isChecked()
    assert section.found is None


def test_outlines_lie_over_the_image_and_go(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    place = {"scale": (0.5, 0.25), "rotate": 20, "translate": (3, 4)}
    labels = begin(viewer, section, Image(pixels(60, 80), **place))
    wait(section, qtbot)
    lines = viewer.layers[NAME]
    assert lines.data.shape == (60, 80)
    np.testing.assert_allclose(
        lines.data_to_world((10, 20)), labels.data_to_world((10, 20))
    )
    assert is_preview(lines)  # so it is never offered as an image
    assert labels.mode == "fill"
    assert viewer.layers.selection.active is labels
    section.switch.click()
    assert NAME not in viewer.layers
    assert labels.mode == "paint"
    assert section.found is None


def test_outlines_that_a_script_changed_are_drawn_anew(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    begin(viewer, section, Image(pixels(40, 50)))
    wait(section, qtbot)
    qtbot.waitUntil(lambda: NAME in viewer.layers, timeout=TIMEOUT)
    outlines = viewer.layers[NAME]
    outlines.data = outlines.data[:, :-7]
    section.side.setValue(section.side.value() + 5)
    qtbot.waitUntil(lambda: outlines.data.shape == (40, 50), timeout=TIMEOUT)


def test_outlines_cannot_be_selected(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    labels = begin(viewer, section, Image(pixels(60, 80)))
    wait(section, qtbot)
    viewer.layers.selection.active = viewer.layers[NAME]
    assert viewer.layers.selection.active is labels
    viewer.layers.selection = set(viewer.layers)
    assert viewer.layers[NAME] not in viewer.layers.selection


def test_a_deleted_outline_switches_off(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    labels = begin(viewer, section, Image(pixels(60, 80)))
    wait(section, qtbot)
    viewer.layers.remove(NAME)
    assert not section.switch.isChecked()
    assert labels.mode == "paint"


def test_another_layer_switches_off(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    labels = begin(viewer, section, Image(pixels(60, 80)))
    section.show_for(Labels(np.zeros((60, 80), int)))  # while it is still computed
    assert labels.mode == "paint"
    QThreadPool.globalInstance().waitForDone()
    qtbot.wait(50)
    assert NAME not in viewer.layers
    viewer.layers.remove(labels)
    section.show_for(None)


@pytest.mark.parametrize("shape", [(3, 60, 80), (2, 3, 60, 80)])
def test_planes_are_followed(
    viewer: ViewerModel,
    section: SuperpixelSection,
    qtbot: Any,
    shape: tuple[int, ...],
) -> None:
    image = Image(pixels(*shape), scale=(2, 5, 0.5, 0.5)[-len(shape) :])
    labels = begin(viewer, section, image)
    wait(section, qtbot)
    first = section.found
    assert first is not None
    axis = len(shape) - 3
    before = first.box[axis][0]
    viewer.dims.set_current_step(axis, (before + 1) % 3)
    qtbot.waitUntil(lambda: section.found is not first, timeout=TIMEOUT)
    found = section.found
    assert found is not None
    start = (before + 1) % 3
    assert found.box[axis] == (start, start + 1)
    lines = viewer.layers[NAME]
    np.testing.assert_allclose(
        lines.data_to_world((0,) * len(shape)),
        labels.data_to_world([a for a, _ in found.box]),
    )


def test_other_sides_of_a_stack_can_be_painted(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    begin(viewer, section, Image(pixels(30, 60, 80)))
    wait(section, qtbot)
    viewer.dims.order = (1, 0, 2)
    first = section.found
    qtbot.waitUntil(lambda: section.found is not first, timeout=TIMEOUT)
    assert section.found is not None
    assert section.found.plane == (0, 2)
    assert section.found.pieces.shape == (30, 80)


def test_the_size_is_followed(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    begin(viewer, section, Image(pixels(60, 80)))
    wait(section, qtbot)
    first = section.found
    assert first is not None
    for size in (20, 25, 30):  # as a slider on its way
        section.side.setValue(size)
    qtbot.waitUntil(lambda: section.found is not first, timeout=TIMEOUT)
    assert section.found is not None
    assert section.found.pieces.max() == 2 * 3


def test_rgb_is_divided_by_its_colours(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[:, :33, 0] = 120
    rgb[:, 33:, 1] = 120
    begin(viewer, section, Image(rgb, rgb=True))
    wait(section, qtbot)
    assert section.found is not None
    left = set(section.found.pieces[:, :31].ravel())
    assert not left & set(section.found.pieces[:, 35:].ravel())


def test_three_dimensions_are_refused_in_words(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    begin(viewer, section, Image(pixels(3, 60, 80)))
    wait(section, qtbot)
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: "2D view" in section.message.text(), timeout=TIMEOUT)
    assert NAME not in viewer.layers
    viewer.dims.ndisplay = 2
    wait(section, qtbot)
    assert NAME in viewer.layers
    assert section.message.isHidden()


def test_an_image_that_cannot_be_read_is_told(
    viewer: ViewerModel, section: SuperpixelSection, qtbot: Any
) -> None:
    class Broken:
        shape, dtype, ndim = (60, 80), np.dtype("u1"), 2

        def __getitem__(self, _: Any) -> Any:
            raise OSError("the disk is gone")

    labels = Labels(np.zeros((60, 80), np.int32))
    viewer.add_layer(labels)
    whole = snapshot([Image(pixels(60, 80))])
    broken = ImageSnapshot(
        (Broken(),), whole.reading, (1.0, 1.0), "pixel", "x", whole.placement
    )
    section.image = lambda: broken
    section.show_for(labels)
    section.switch.click()
    qtbot.waitUntil(lambda: "disk is gone" in section.message.text(), timeout=TIMEOUT)

    def no_image() -> ImageSnapshot:
        raise DataError("There is no image: open one and choose it.")

    section.image = no_image
    section.refresh()
    assert "no image" in section.message.text()
