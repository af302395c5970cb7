"""Settings of objects and masks: the same from every route."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import napari_unet
from napari_unet.cli import main
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, DataError
from napari_unet.image_io import label_store, read_labels
from napari_unet.workflows import exhaust, grids, predict, predict_to_store


def _helpers() -> Any:
    """The model and image of the tests of any size."""
    path = Path(__file__).with_name("test_any_size.py")
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ANY = _helpers()
EXACT: dict[str, Any] = ANY.EXACT
WISHES: list[dict[str, Any]] = [
    {"min_size": 20, "max_size": 60},
    {"clear_border": True},
    {"fill_holes": True, "one_piece": True, "min_size": "4 um2"},
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "BLOCK", {2: (64, 64), 3: (16, 32, 32)})
    monkeypatch.setattr(grids, "MARGIN", {2: 24, 3: 10})
    monkeypatch.setattr(label_store, "CHUNK", {2: (32, 32), 3: (8, 16, 16)})


def source_of(shape: tuple[int, ...], axes: str) -> ImageSource:
    pixels = ANY.image(shape)
    # A dark spot in the middle of what is bright: a hole.
    pixels[pixels > np.percentile(pixels, 99.3)] = 0
    ndim = 3 if axes == "ZYX" else 2
    return ImageSource((pixels,), axes, (0.5,) * ndim, "micrometer")


def mask_for(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    mask[..., 10:, : shape[-1] * 2 // 3] = 7
    return mask


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "axes"), [((150, 141), "YX"), ((2, 90, 70), "TYX")])
def test_blocks_in_a_store_give_what_the_whole_gives(
    tmp_path: Path,
    wishes: dict[str, Any],
    masked: bool,
    shape: tuple[int, ...],
    axes: str,
) -> None:
    model, source = ANY.make_model("objects"), source_of(shape, axes)
    mask = mask_for(shape[-2:]) if masked else None  # one plane, for all frames
    how = {"objects": wishes, "mask": mask, **EXACT}
    plain = exhaust(predict(model, source, **EXACT)).labels
    whole = exhaust(predict(model, source, **how)).labels
    assert whole.any()
    assert not np.array_equal(whole > 0, plain > 0)
    path = tmp_path / "labels.ome.zarr"
    result = exhaust(predict_to_store(model, source, path, **how))
    found = np.asarray(read_labels(path))
    for a, b in zip(
        *((found, whole) if axes == "TYX" else ([found], [whole])), strict=True
    ):
        assert ANY.same_partition(a, b)
    assert result.objects == whole.max()
    if mask is not None:
        assert not found[..., mask == 0].any()


def test_in_3d_the_border_is_that_of_the_volume(tmp_path: Path) -> None:
    model, source = ANY.make_model("objects", 3), source_of((40, 50, 66), "ZYX")
    how = {"objects": {"clear_border": True}, **EXACT}
    whole = exhaust(predict(model, source, **how)).labels
    assert whole.max() > 1
    for axis in range(3):
        assert not whole.take([0, -1], axis).any()
    path = tmp_path / "labels.ome.zarr"
    exhaust(predict_to_store(model, source, path, **how))
    assert ANY.same_partition(np.asarray(read_labels(path)), whole)


def test_the_border_of_a_region_is_no_border() -> None:
    model, source = ANY.make_model("objects"), source_of((150, 141), "YX")
    region = ((30, 110), (30, 110))
    plain = exhaust(predict(model, source, region=region, **EXACT)).labels
    cleared = exhaust(
        predict(model, source, region=region, objects={"clear_border": True}, **EXACT)
    ).labels
    assert plain[:, 0, :].any() or plain[:, :, 0].any()
    np.testing.assert_array_equal(plain > 0, cleared > 0)


@pytest.mark.parametrize("task", ["classes", "regression"])
def test_a_mask_holds_for_classes_and_values(task: str) -> None:
    source, mask = source_of((90, 70), "YX"), mask_for((90, 70))
    model = ANY.make_model("classes")
    if task == "regression":
        info = model.info.model_copy(update={"task": "regression", "classes": []})
        model = type(model)(model.network, info)
    plain = exhaust(predict(model, source, **EXACT)).labels
    found = exhaust(predict(model, source, mask=mask, **EXACT)).labels
    np.testing.assert_array_equal(found[mask > 0], plain[mask > 0])
    outside = found[mask == 0]
    assert np.isnan(outside).all() if task == "regression" else not outside.any()


def test_another_mask_or_other_settings_do_not_go_on_in_the_same_store(
    tmp_path: Path,
) -> None:
    model, source = ANY.make_model("objects"), source_of((90, 70), "YX")
    path = tmp_path / "labels.ome.zarr"
    mask = mask_for((90, 70))
    exhaust(predict_to_store(model, source, path, mask=mask, **EXACT))
    for other in ({"mask": mask[::-1].copy()}, {"mask": mask, "objects": WISHES[1]}):
        with pytest.raises(DataError, match="holds something else"):
            exhaust(predict_to_store(model, source, path, **other, **EXACT))
    assert exhaust(predict_to_store(model, source, path, mask=mask, **EXACT)).complete


def test_what_does_not_fit_is_told() -> None:
    source = source_of((90, 70), "YX")
    with pytest.raises(DataError, match="The mask has 9 × 9 pixels"):
        napari_unet.predict(ANY.make_model("objects"), source, mask=np.ones((9, 9)))
    with pytest.raises(ConfigError, match="tells objects apart"):
        napari_unet.predict(
            ANY.make_model("classes"), source, objects={"fill_holes": True}
        )
    with pytest.raises(ConfigError, match="volume"):
        napari_unet.predict(
            ANY.make_model("objects"), source, objects={"min_size": "3 um3"}
        )


def test_the_command_takes_settings_and_masks_and_notices_other_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ANY.make_model("objects").save(tmp_path / "m.bioimage.io.zip", quick=True)
    images, masks, out = (tmp_path / n for n in ("images", "masks", "out"))
    images.mkdir()
    masks.mkdir()
    source = source_of((90, 70), "YX")
    for name in ("a", "b"):
        tifffile.imwrite(images / f"{name}.tif", source.arrays[0])
    tifffile.imwrite(masks / "a.tif", mask_for((90, 70)))
    call = ["predict", str(model), str(images), "--output", str(out)]
    call += ["--mask", str(masks), "--min-size", "20", "--clear-border"]
    assert main([*call, "--device", "cpu"]) == 1  # there is no mask for b
    assert "There is no mask for b.tif" in capsys.readouterr().err
    found = tifffile.imread(out / "a.tif")
    expected = exhaust(
        predict(
            ANY.make_model("objects"),
            source,
            mask=mask_for((90, 70)),
            objects={"min_size": 20, "clear_border": True},
            device="cpu",
        )
    ).labels
    np.testing.assert_array_equal(found > 0, expected > 0)
    # The same again leaves it alone; other settings do not.
    main([*call, "--device", "cpu"])
    assert "1 of 2 images were segmented before" in capsys.readouterr().err
    assert main([*call, "--max-size", "wide"]) == 1
    assert "give a size such as" in capsys.readouterr().err
