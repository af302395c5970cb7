"""A network in forms that other programs run: TorchScript and ONNX."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.config import Task
from napari_unet.errors import UserError
from napari_unet.networks.registry import Network

OPSET = 18
"""The newest one that the programs of the field read."""
TOLERANCE = 1e-4


class ExportError(UserError):
    """A model that cannot be written in the form asked for."""


class MapsNetwork(nn.Module):
    """A network whose outputs are maps: softmax, sigmoid or nothing at its end.

    Parameters
    ----------
    network : nn.Module
    task : {"classes", "objects", "regression"}
    temperature : float
        Divides logits before they become probabilities, as in our own prediction.
    """

    def __init__(
        self, network: nn.Module, task: Task, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.network, self.task, self.temperature = network, task, temperature

    def forward(self, image: Tensor) -> Tensor:
        """Maps ``N K (Z) Y X`` of a normalised image ``N C (Z) Y X``."""
        logits: Tensor = self.network(image).float()
        if self.task == "classes":
            return (logits / self.temperature).softmax(dim=1)
        if self.task == "objects":
            # The centre distance is no probability.
            foreground, distance = logits[:, :1], logits[:, 1:]
            logits = torch.cat([foreground / self.temperature, distance], dim=1)
            return logits.sigmoid()
        return logits


def other_size(network: nn.Module, image: Tensor) -> Tensor:
    """A part of `image` of another size, to see that a form is not bound to one."""
    divisor = cast("Network", network).divisor
    for axis, step in enumerate(divisor, start=2):
        if image.shape[axis] > step:
            image = image.narrow(axis, 0, image.shape[axis] - step)
    return image


def torchscript(maps: MapsNetwork, image: Tensor) -> bytes:
    """The network as TorchScript, tried at two sizes before it is given out.

    Raises
    ------
    ExportError
        If this torch has no TorchScript, or the network cannot be written in it.
    """
    if not hasattr(torch, "jit"):
        raise ExportError("This version of torch cannot write TorchScript: use ONNX.")
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        # Torch says that TorchScript will go, and tells of shapes that it follows.
        warnings.simplefilter("ignore")
        try:
            jit: Any = torch.jit
            traced = jit.trace(maps, image, check_trace=False)
            for probe in (image, other_size(maps.network, image)):
                _compare(traced(probe), maps(probe), "TorchScript")
        except (RuntimeError, TypeError, ValueError) as error:
            raise ExportError(
                f"This network cannot be written as TorchScript ({_first(error)})."
            ) from error
        buffer = io.BytesIO()
        jit.save(traced, buffer)
    return buffer.getvalue()


def onnx(maps: MapsNetwork, image: Tensor, axes: Sequence[str]) -> bytes:
    """The network as ONNX with free sizes, tried at two sizes where that is possible.

    Parameters
    ----------
    axes : sequence of str
        Names of the axes after batch and channel.

    Raises
    ------
    ExportError
        If the extra ``onnx`` is missing, or the network cannot be written in it.
    """
    try:
        import onnx as _onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(
            "Writing ONNX needs two more packages: install them with "
            '`pip install "napari-unet-live[onnx]"`.'
        ) from error
    divisor = cast("Network", maps.network).divisor
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=64)}
    for number, (name, step) in enumerate(zip(axes, divisor, strict=True), start=2):
        size = torch.export.Dim(name, min=2, max=4096)
        free[number] = step * size if step > 1 else size
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        # A batch of one would be taken for a constant.
        twice = torch.cat([image, image])
        try:
            torch.onnx.export(
                maps,
                (twice,),
                str(path),
                input_names=["raw"],
                output_names=["maps"],
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=(free,),
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            raise ExportError(
                f"This network cannot be written as ONNX ({_first(error)})."
            ) from error
        data = path.read_bytes()
    _try_onnx(data, maps, image)
    return data


def _try_onnx(data: bytes, maps: MapsNetwork, image: Tensor) -> None:
    session = onnx_session(data)
    if session is None:
        return
    with torch.no_grad():
        for probe in (image, other_size(maps.network, image)):
            found = session.run(None, {"raw": probe.numpy()})[0]
            _compare(torch.from_numpy(np.asarray(found)), maps(probe), "ONNX")


def onnx_session(data: bytes) -> Any:
    """A session of onnxruntime on the CPU; ``None`` where it is not installed."""
    import os

    # It tells its makers about each use otherwise, from the moment it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        data, options, providers=["CPUExecutionProvider"]
    )


def _compare(found: Tensor, wanted: Tensor, form: str) -> None:
    scale = max(1.0, float(wanted.abs().max()))
    if found.shape != wanted.shape or float((found - wanted).abs().max()) > (
        TOLERANCE * scale
    ):
        raise ExportError(f"{form} gives other values than the network: not written.")


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
