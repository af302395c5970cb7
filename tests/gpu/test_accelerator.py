"""On a computer with an accelerator: the same as on the CPU, only faster."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_unet
from napari_unet.device import pick_device
from napari_unet.models.model import Model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        pick_device().type == "cpu", reason="this computer has no accelerator"
    ),
]


def image_and_labels(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.random([n // 8 for n in shape]) > 0.6
    labels = coarse
    for axis in range(len(shape)):
        labels = labels.repeat(8, axis)
    image = labels * 100.0 + rng.normal(50, 15, labels.shape)
    return image.astype(np.float32), labels.astype(np.uint8)


@pytest.mark.parametrize("shape", [(128, 128), (16, 64, 64)])
@pytest.mark.parametrize("task", ["classes", "objects"])
def test_training_and_prediction(shape: tuple[int, ...], task: str) -> None:
    image, labels = image_and_labels(shape)
    model = napari_unet.train(
        image,
        labels,
        annotation="complete",
        task=task,
        max_steps=20,
        base_channels=8,
        batch_size=2,
    )
    assert "CPU" not in model.info.training.device
    here = napari_unet.predict(model, image, probabilities=True, precision="float32")
    there = napari_unet.predict(
        model, image, probabilities=True, precision="float32", device="cpu"
    )
    np.testing.assert_allclose(here[1].astype(float), there[1].astype(float), atol=0.01)


def test_a_full_card_takes_smaller_tiles() -> None:
    if pick_device().type != "cuda":
        pytest.skip("only CUDA tells its free memory exactly")
    image, labels = image_and_labels((1024, 1024))
    model: Model = napari_unet.train(
        image, labels, annotation="complete", max_steps=2, base_channels=32
    )
    expected = napari_unet.predict(model, image)
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    hog = torch.empty(free - 400 * 2**20, dtype=torch.uint8, device="cuda")
    notes: list[object] = []
    found = napari_unet.predict(model, image, on_event=notes.append)
    del hog
    assert any("Memory ran out" in getattr(n, "text", "") for n in notes)
    assert (found == expected).mean() > 0.999
