"""A model: a trained network and everything needed to use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from napari_unet.errors import ModelFileError
from napari_unet.models.building import fitting_network
from napari_unet.models.example import Example
from napari_unet.models.exports import ExportError
from napari_unet.models.foreign_network import ForeignNetwork, load_foreign
from napari_unet.models.info import ModelInfo
from napari_unet.models.model_file import (
    is_foreign_file,
    read_cover,
    read_example,
    read_model_file,
    write_model_file,
)
from napari_unet.models.package import QUICK, Forms, package_entries


@dataclass
class Model:
    """Network weights with configuration, normalisation and metadata.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, on the CPU, float32.
    info : ModelInfo
    example : Example, optional
        A piece of a training image, which other programs test the model with.
    """

    network: nn.Module
    info: ModelInfo
    example: Example | None = None

    def save(
        self, path: str | Path, *, quick: bool = False, onnx: bool = False
    ) -> Path:
        """Write a model file; an existing one is replaced once the new is complete.

        Parameters
        ----------
        path : path
            Should end in ``.bioimage.io.zip``.
        quick : bool
            Weights alone, without TorchScript and picture: while learning goes on.
        onnx : bool
            With ONNX, too; needs the extra ``onnx`` and some seconds.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        ExportError
            If ONNX was asked for and cannot be written.
        """
        path = Path(path)
        if isinstance(self.network, ForeignNetwork):
            raise ModelFileError(
                f"The model {self.info.name!r} belongs to another program and cannot "
                "be saved again: copy its file."
            )
        forms = QUICK if quick else Forms(onnx=onnx)
        network = self.network.eval()
        try:
            entries = package_entries(network, self.info, self.example, forms)
        except ExportError:
            if onnx or quick:
                raise
            # A network that TorchScript cannot hold is still a good model.
            forms = Forms(torchscript=False)
            entries = package_entries(network, self.info, self.example, forms)
        write_model_file(path, entries)
        return path

    @classmethod
    def load(cls, path: str | Path, *, allow_code: bool = False) -> Model:
        """Read a model file; nothing in it is executed unless you allow it.

        Parameters
        ----------
        path : path
        allow_code : bool
            Whether a package of another program may run the Python code that comes
            with it. Ours have none that is ever run.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, not a model, made to do harm, or from a
            newer program.
        """
        path = Path(path)
        if is_foreign_file(path):
            foreign = load_foreign(path, allow_code=allow_code)
            return cls(foreign, foreign.plan.info)
        info, weights = read_model_file(path)
        network = fitting_network(info.network, weights, path)
        pixels = read_example(path)
        example = None if pixels is None else Example(pixels, read_cover(path))
        return cls(network, info, example)
