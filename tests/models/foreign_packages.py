"""Packages as other programs write them, in shapes that ours do not have."""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256

import numpy as np
import torch

from napari_unet.models import rdf_text


class Half(torch.nn.Module):
    """Probabilities at half the size from byxc bytes, as some programs have it."""

    def forward(self, image):
        x = image.permute(0, 3, 1, 2).float() / 255
        x = torch.nn.functional.avg_pool2d(x, 2).mean(dim=1, keepdim=True)
        return torch.cat([x, 1 - x], dim=1).permute(0, 2, 3, 1)


class Blur(torch.nn.Module):
    def forward(self, image):
        return torch.nn.functional.avg_pool2d(image, 5, 1, 2)


CODE = """
import pathlib, torch
pathlib.Path(TRACE).touch()
class Net(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.factor = factor
    def forward(self, x):
        return x * self.weight * self.factor
"""


def traced(module, example):
    buffer = io.BytesIO()
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(module, example), buffer)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def file(name, data):
    return {"source": name, "sha256": sha256(data).hexdigest()}


def space(letter, size, **more):
    return {"type": "space", "id": letter, "size": size, **more}


def channel(*names):
    return {"type": "channel", "id": "channel", "channel_names": list(names)}


BATCH = {"type": "batch", "id": "batch"}


def write(path, weights, inputs, outputs, test_output, entries, **more):
    data = npy(test_output)
    outputs = {**outputs, "test_tensor": file("out.npy", data)}
    rdf = {
        "type": "model",
        "format_version": "0.5.4",
        "name": "Other model",
        "authors": [{"name": "Somebody", "github_user": "nobody-asks-github"}],
        "license": "MIT",
        "inputs": [inputs],
        "outputs": [outputs],
        "weights": weights,
        **more,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rdf.yaml", rdf_text.dump(rdf))
        archive.writestr("out.npy", data)
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def half_package(path):
    """Axes byxc, uint8, one size, output at half of it, TorchScript alone."""
    data = traced(Half(), torch.zeros(1, 64, 64, 1, dtype=torch.uint8))
    axes = [BATCH, space("y", 64), space("x", 64), channel("gray")]
    out = [
        BATCH,
        space("y", 32, halo=4),
        space("x", 32, halo=4),
        channel("background", "cell"),
    ]
    steps = [{"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}}]
    shown = np.full((1, 32, 32, 2), 0.5, np.float32)
    return write(
        path,
        {"torchscript": file("w.pt", data)},
        {"id": "raw", "axes": axes, "preprocessing": steps},
        {"id": "out", "axes": out},
        shown,
        {"w.pt": data},
    )


def blur_package(path, preprocessing, smallest=8, halo=8, **more):
    data = traced(Blur(), torch.zeros(1, 1, 16, 16))
    size = {"min": smallest, "step": 4}
    same = [{"tensor_id": "raw", "axis_id": a} for a in "yx"]
    out = [space(a, s, halo=halo) for a, s in zip("yx", same, strict=True)]
    return write(
        path,
        {"torchscript": file("w.pt", data)},
        {
            "id": "raw",
            "axes": [BATCH, channel("c"), space("y", size), space("x", size)],
            "preprocessing": preprocessing,
        },
        {"id": "out", "axes": [BATCH, channel("glow"), *out], **more},
        np.full((1, 1, 16, 16), -3.0, np.float32),
        {"w.pt": data},
    )


def state_dict_package(path, trace="ran", factor=2.0):
    """Twice the image comes out; its code leaves a file `trace` where it runs."""
    code = CODE.replace("TRACE", repr(str(trace))).encode()
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(())}, buffer)
    data = buffer.getvalue()
    architecture = {
        **file("net.py", code),
        "callable": "Net",
        "kwargs": {"factor": factor},
    }
    size = {"min": 8, "step": 1}
    axes = [BATCH, channel("c"), space("y", size), space("x", size)]
    return write(
        path,
        {"pytorch_state_dict": {**file("w.pt", data), "architecture": architecture}},
        {"id": "raw", "axes": axes},
        {"id": "out", "axes": axes},
        np.full((1, 1, 8, 8), 7.0, np.float32),
        {"w.pt": data, "net.py": code},
    )


def onnx_package(path):
    """Axes bcyx of any size; twice the image comes out."""
    from onnx import TensorProto, helper

    shape = ["n", 1, "y", "x"]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["raw", "two"], ["out"])],
        "twice",
        [helper.make_tensor_value_info("raw", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])],
    )
    opset = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=9)
    data = made.SerializeToString()
    size = {"min": 8, "step": 4}
    axes = [BATCH, channel("c"), space("y", size), space("x", size)]
    return write(
        path,
        {"onnx": {**file("w.onnx", data), "opset_version": 18}},
        {"id": "raw", "axes": axes},
        {"id": "out", "axes": axes},
        np.full((1, 1, 8, 8), 7.0, np.float32),
        {"w.onnx": data},
    )
