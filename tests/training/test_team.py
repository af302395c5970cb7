"""Several processes train one network; here two, on the CPU, over gloo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_unet.image_io import write_image, write_labels
from napari_unet.models.model import Model
from napari_unet.training.team import ALONE, Team

SECONDS = 300
"""Only against hangs."""

ONE_STEP = """
import sys
import numpy as np, torch
from safetensors.torch import save_file
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.training.team import Team, team
from napari_unet.workflows.training import TrainingSetup

torch.set_num_threads(1)
rng = np.random.default_rng(0)
truth = np.zeros((48, 48), int)
truth[10:30, 12:33] = 1
pixels = (rng.random((48, 48)) + truth).astype(np.float32)
pair = Annotation(truth, ImageSource((pixels,), "YX", name="x"), "complete")
config = training_config(
    annotation="complete", max_steps=4, base_channels=4, levels=2, batch_size=2,
    patch_size=(32, 32), validation_fraction=0, device="cpu", precision="float32",
)

def gradients(members):
    setup = TrainingSetup.prepare([pair], config, (), None, "x", None, members)
    trainer = setup.trainer
    clip = torch.nn.utils.clip_grad_norm_
    torch.nn.utils.clip_grad_norm_ = lambda *_: None
    loss = trainer._learn()
    torch.nn.utils.clip_grad_norm_ = clip
    return trainer, loss, {
        n: p.grad.clone(memory_format=torch.contiguous_format)
        for n, p in trainer.network.named_parameters()
    }

with team("cpu") as members:
    trainer, loss, together = gradients(members)
    weights = {k: v.contiguous() for k, v in trainer.network.state_dict().items()}
    save_file(weights, f"{sys.argv[1]}/weights{members.rank}.safetensors")
    if members.leads:
        save_file(together, f"{sys.argv[1]}/together.safetensors")
        class Half(Team):
            def told(self, values): return list(values)
            def mean(self, value): return value
            def average_gradients(self, network): pass
            def share_statistics(self, network): pass
        halves = [gradients(Half(rank, 2))[2] for rank in range(2)]
        mean = {k: (halves[0][k] + halves[1][k]) / 2 for k in together}
        save_file(mean, f"{sys.argv[1]}/mean.safetensors")
        save_file(halves[0], f"{sys.argv[1]}/first.safetensors")
"""


def two(command: list[str], folder: Path) -> list[str]:
    """Run a command in two processes, as torchrun would; what each of them printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        told = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": 2,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": 1,
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env=os.environ | {k: str(v) for k, v in told.items()},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        outputs = [p.communicate(timeout=SECONDS)[0] for p in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], "\n".join(outputs)
    return outputs


@pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32",
    reason="needs gloo on a local network",
)
class TestTwo:
    def test_two_processes_give_the_gradients_of_one(self, tmp_path: Path) -> None:
        two(["-c", ONE_STEP, str(tmp_path)], tmp_path)
        together = load_file(tmp_path / "together.safetensors")
        mean = load_file(tmp_path / "mean.safetensors")
        first = load_file(tmp_path / "first.safetensors")
        assert len(together) > 10
        for name, gradient in together.items():
            torch.testing.assert_close(gradient, mean[name])
        # They saw other patches: else nothing was tested.
        assert any(not torch.allclose(mean[k], first[k]) for k in mean)
        # After the step all hold the same network.
        states = [load_file(tmp_path / f"weights{r}.safetensors") for r in range(2)]
        for name, tensor in states[0].items():
            torch.testing.assert_close(tensor, states[1][name], rtol=0, atol=0)

    def test_the_command_writes_and_speaks_once(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        for name in ("images", "labels"):
            (tmp_path / name).mkdir()
        for n in range(2):
            truth = np.zeros((48, 48), np.int32)
            truth[5 + n : 30, 8:40] = 1
            image = (rng.random((48, 48)) + truth).astype(np.float32)
            write_image(tmp_path / "images" / f"{n}.tif", image, "YX", (1, 1), "pixel")
            write_labels(tmp_path / "labels" / f"{n}.tif", truth, "YX", (1, 1), "pixel")
        command = (
            "-m napari_unet train --images images --labels labels --task classes "
            "--annotation complete --steps 4 --base-channels 4 --levels 2 "
            "--batch-size 2 --device cpu --output out"
        )
        first, second = two(command.split(), tmp_path)
        assert "2 processes learn together" in first
        assert "Model: out" in first
        assert second == ""
        model = Model.load(tmp_path / "out.bioimage.io.zip")
        assert model.info.training.steps == 4
        assert model.info.training.score is not None
        left = {p.name for p in tmp_path.iterdir()}
        assert left == {"images", "labels", "out.bioimage.io.zip"}


def test_alone_nothing_changes() -> None:
    network: Any = torch.nn.Linear(2, 2)
    network(torch.ones(1, 2)).sum().backward()
    before = network.weight.grad.clone()
    ALONE.average_gradients(network)
    assert torch.equal(network.weight.grad, before)
    assert ALONE.told([1.5, True]) == [1.5, 1.0]
    assert ALONE.seed(3) == 3


def test_each_process_draws_patches_of_its_own() -> None:
    assert len({Team(rank, 3).seed(0) for rank in range(3)}) == 3
    assert [Team(rank, 3).leads for rank in range(3)] == [True, False, False]
