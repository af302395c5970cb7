"""All entries of a model file, ready to be written: a BioImage.IO package."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_unet.models import rdf_text
from napari_unet.models.architecture import (
    CLASS_NAME,
    ArchitectureError,
    architecture_source,
)
from napari_unet.models.card import readme
from napari_unet.models.example import (
    Example,
    before_and_after,
    fitted,
    normalized,
    plain_pixels,
    synthetic_example,
)
from napari_unet.models.exports import MapsNetwork, onnx, torchscript
from napari_unet.models.info import ModelInfo
from napari_unet.models.model_file import (
    ARCHITECTURE_NAME,
    COVER_NAME,
    ONNX_NAME,
    RDF_NAME,
    README_NAME,
    TEST_INPUT_NAME,
    TEST_OUTPUT_NAME,
    TORCHSCRIPT_NAME,
    WEIGHTS_NAME,
)
from napari_unet.models.rdf import Sizes, Source, make_rdf
from napari_unet.networks.registry import Network

MAX_HALO = {2: 112, 3: 16}
"""Context that is promised to other programs, as in our own prediction in 3D."""
SMALLEST = {2: 64, 3: 24}
"""Least edge of an input in voxels."""


@dataclass(frozen=True)
class Forms:
    """Which forms of the network a package holds beside its weights."""

    torchscript: bool = True
    onnx: bool = False
    picture: bool = True


QUICK = Forms(torchscript=False, picture=False)
"""What is written while learning goes on."""


def package_entries(
    network: nn.Module, info: ModelInfo, example: Example | None, forms: Forms
) -> dict[str, bytes]:
    """Names and contents of all entries, in the order in which they are written.

    Raises
    ------
    ExportError
        If a form that was asked for cannot be written.
    """
    sizes = needed_sizes(network, info.ndim)
    pixels = _test_pixels(info, example, sizes, whole=forms != QUICK)
    image = torch.from_numpy(normalized(pixels, info.normalization))[np.newaxis]
    temperature = info.calibration.temperature
    maps_network = MapsNetwork(network, info.task, temperature).eval()
    with torch.inference_mode():
        maps = maps_network(image).numpy()
    entries = {WEIGHTS_NAME: weights_bytes(network)}
    entries[TEST_INPUT_NAME] = _npy(pixels[np.newaxis])
    entries[TEST_OUTPUT_NAME] = _npy(maps)
    # Forms are traced and tried on the smallest image: they serve every size.
    key: Any = (..., *(slice(0, n) for n in sizes.smallest))
    corner = image[key].contiguous()
    if forms.torchscript:
        entries[TORCHSCRIPT_NAME] = torchscript(maps_network, corner)
    if forms.onnx:
        axes = [letter.lower() for letter in info.spatial]
        entries[ONNX_NAME] = onnx(maps_network, corner, axes)
    if forms.picture:
        entries[COVER_NAME] = before_and_after(pixels, maps[0], info)
    elif example is not None and example.picture:
        entries[COVER_NAME] = example.picture
    return _described(network, info, sizes, pixels, entries)


def _described(
    network: nn.Module,
    info: ModelInfo,
    sizes: Sizes,
    pixels: NDArray[Any],
    entries: dict[str, bytes],
) -> dict[str, bytes]:
    """The description and the model card in front of what they describe."""
    cover = COVER_NAME if COVER_NAME in entries else None
    architecture, source = _architecture(network, info)
    if source is not None:
        entries[ARCHITECTURE_NAME] = source
    sources = {n: Source(n, sha256(d).hexdigest()) for n, d in entries.items()}
    if source is not None:
        architecture = {**sources[ARCHITECTURE_NAME].fields(), **architecture}
    version = str(torch.__version__).partition("+")[0]
    weights: dict[str, Any] = {
        "pytorch_state_dict": {
            **sources[WEIGHTS_NAME].fields(),
            "architecture": architecture,
            "pytorch_version": version,
        }
    }
    if TORCHSCRIPT_NAME in entries:
        weights["torchscript"] = {
            **sources[TORCHSCRIPT_NAME].fields(),
            "parent": "pytorch_state_dict",
            "pytorch_version": version,
        }
    if ONNX_NAME in entries:
        weights["onnx"] = {
            **sources[ONNX_NAME].fields(),
            "parent": "pytorch_state_dict",
            "opset_version": 18,
        }
    files = {
        "test_input": sources[TEST_INPUT_NAME],
        "test_output": sources[TEST_OUTPUT_NAME],
    }
    if cover:
        files["cover"] = sources[COVER_NAME]
    rdf = make_rdf(info, sizes, pixels.dtype.name, files, weights)
    return {
        RDF_NAME: rdf_text.dump(rdf),
        README_NAME: readme(info, cover=cover).encode(),
        **entries,
    }


def needed_sizes(network: nn.Module, ndim: int) -> Sizes:
    """What the network asks of its input."""
    described = cast("Network", network)
    step = tuple(int(d) for d in described.divisor)
    halo = tuple(int(min(h, MAX_HALO[ndim])) for h in described.halo)
    smallest = tuple(
        _round_up(max(2 * h + 1, SMALLEST[ndim]), d)
        for h, d in zip(halo, step, strict=True)
    )
    return Sizes(smallest, step, halo)


def _round_up(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor


def _test_pixels(
    info: ModelInfo, example: Example | None, sizes: Sizes, *, whole: bool
) -> NDArray[Any]:
    if example is None or len(example.pixels) != info.n_channels:
        example = synthetic_example(info.n_channels, sizes.smallest)
    pixels = plain_pixels(example.pixels)
    shape: Sequence[int] = sizes.smallest
    if whole:
        shape = [
            max(small, have // step * step)
            for small, have, step in zip(
                sizes.smallest, pixels.shape[1:], sizes.step, strict=True
            )
        ]
    return fitted(pixels, shape)


def _architecture(
    network: nn.Module, info: ModelInfo
) -> tuple[dict[str, Any], bytes | None]:
    """The field ``architecture``, and the file it names."""
    kwargs = info.network.model_dump(mode="json")["arguments"]
    kind = type(network)
    try:
        source = architecture_source(kind, info.task, info.calibration.temperature)
    except ArchitectureError:
        # A network of somebody else's: others need the package that it comes from.
        return {
            "import_from": kind.__module__,
            "callable": kind.__name__,
            "kwargs": kwargs,
        }, None
    return {"callable": CLASS_NAME, "kwargs": kwargs}, source.encode()


def weights_bytes(network: nn.Module) -> bytes:
    """The network's state as torch saves it, in plain layout on the CPU."""
    plain = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
