"""All that a run needs to go on, as JSON and safetensors in a zip: no pickle."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.errors import DataError
from napari_unet.files import atomic_file

STATE_NAME = "state.json"
TENSORS_NAME = "tensors.safetensors"
KIND = "napari-unet checkpoint"


@dataclass
class Checkpoint:
    """State of a run.

    Parameters
    ----------
    plain : dict
        Values that JSON holds: step, scores, elapsed time, plan.
    tensors : dict of str to Tensor
        Weights, averages, optimiser state and random state, by dotted names.
    """

    plain: dict[str, Any]
    tensors: dict[str, Tensor]

    def save(self, path: Path) -> None:
        """Write the checkpoint; it appears under `path` only when it is complete."""
        from safetensors.torch import save

        with (
            atomic_file(path) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
        ):
            archive.writestr(STATE_NAME, json.dumps({"kind": KIND, **self.plain}))
            # safetensors refuses tensors that share memory, and channels-last ones.
            cloned = {
                k: v.detach().cpu().clone(memory_format=torch.contiguous_format)
                for k, v in self.tensors.items()
            }
            archive.writestr(TENSORS_NAME, save(cloned))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises
        ------
        DataError
            If the file is missing, damaged, or not a checkpoint.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            with zipfile.ZipFile(path) as archive:
                plain = json.loads(archive.read(STATE_NAME))
                tensors = load(archive.read(TENSORS_NAME))
        except FileNotFoundError as error:
            raise DataError(
                f"There is no checkpoint {path}: check the path, or start afresh."
            ) from error
        except (
            OSError,
            zipfile.BadZipFile,
            KeyError,
            ValueError,
            SafetensorError,
        ) as e:
            raise DataError(
                f"The checkpoint {path} cannot be read: start the training afresh."
            ) from e
        if not isinstance(plain, dict) or plain.pop("kind", None) != KIND:
            raise DataError(f"{path} is not a checkpoint: start the training afresh.")
        return cls(plain, tensors)


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with ``prefix.`` before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Only the tensors under ``prefix.``, with it taken away."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor` in the memory layout of a parameter.

    The fused optimiser walks both side by side: in channels-last it would pair the
    wrong values otherwise.
    """
    if tensor.shape != like.shape:
        return tensor
    return torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)


def run_tensors(
    network: nn.Module,
    average: nn.Module,
    best: dict[str, Tensor] | None,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Everything of a run that is a tensor, by dotted names."""
    tensors = {
        **with_prefix("network", dict(network.state_dict())),
        **with_prefix("average", dict(average.state_dict())),
        **with_prefix("best", best or {}),
        "random": generator.get_state(),
    }
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= with_prefix(f"optimizer.{number}", state)
    return tensors


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    """Give an optimiser the state that :func:`run_tensors` took down."""
    state = optimizer.state_dict()
    parameters = [p for g in optimizer.param_groups for p in g["params"]]
    for number, parameter in enumerate(parameters):
        own = without_prefix(f"optimizer.{number}", tensors)
        if own:
            state["state"][number] = {k: laid_out(v, parameter) for k, v in own.items()}
    optimizer.load_state_dict(state)
