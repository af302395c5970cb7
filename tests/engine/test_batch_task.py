"""The task behind the *Batch* widget, in this process."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet.engine.context import TaskContext
from napari_unet.engine.tasks import batch
from napari_unet.errors import DataError


def segmented(folder: Path, model: Path, **params: Any) -> list[dict[str, Any]]:
    made = TaskContext(
        {
            "inputs": str(folder / "images"),
            "output": str(folder / "labels"),
            "model_path": str(model),
            **params,
        },
        {},
        {},
        lambda _: None,
        threading.Event(),
    )
    return list(batch(made)["rows"])


def _helpers() -> Any:
    """The model and image of the tests of any size."""
    path = Path(__file__).parents[1] / "test_any_size.py"
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose maps follow the brightness, beside an image and its mask."""
    helpers = _helpers()
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    image = helpers.image((96, 96))
    tifffile.imwrite(tmp_path / "images" / "a.tif", image)
    inside = np.zeros(image.shape, np.uint8)
    inside[:, :48] = 1
    tifffile.imwrite(tmp_path / "masks" / "a.tif", inside)
    path: Path = helpers.make_model("objects").save(
        tmp_path / "bright.bioimage.io.zip", quick=True
    )
    return path


def test_objects_and_masks_are_kept_to_and_make_another_result(
    tmp_path: Path, model: Path
) -> None:
    low = {"foreground_threshold": 0.3, "min_size": {"value": 0}}
    (row,) = segmented(tmp_path, model, objects=low)
    everywhere = tifffile.imread(row["result"])
    assert row["status"] == "done"
    assert everywhere[:, 48:].any()
    masks = str(tmp_path / "masks")
    with pytest.raises(DataError, match="already in"):
        segmented(tmp_path, model, objects=low, masks=masks)
    (other,) = segmented(tmp_path, model, objects=low, masks=masks, overwrite=True)
    inside = tifffile.imread(other["result"])
    assert other["model"] != row["model"]
    assert inside[:, :48].any()
    assert not inside[:, 48:].any()
    none = {**low, "max_size": {"value": 1}}
    (empty,) = segmented(tmp_path, model, objects=none, overwrite=True)
    assert empty["objects"] < row["objects"]


def test_a_mask_that_is_not_there_is_told(tmp_path: Path, model: Path) -> None:
    with pytest.raises(DataError, match="There is no mask"):
        segmented(tmp_path, model, masks=str(tmp_path / "nowhere"))
