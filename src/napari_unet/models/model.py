"""A model: a trained network and everything needed to use it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from napari_unet.errors import ModelFileError
from napari_unet.models.info import ModelInfo
from napari_unet.models.model_file import read_model_file, write_model_file
from napari_unet.networks.registry import build_network


@dataclass
class Model:
    """Network weights with configuration, normalisation and metadata.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, on the CPU, float32.
    info : ModelInfo
    """

    network: nn.Module
    info: ModelInfo

    def save(self, path: str | Path) -> Path:
        """Write a model file; an existing one is replaced once the new is complete.

        Raises
        ------
        ModelFileError
            If the disk refuses.
        """
        path = Path(path)
        write_model_file(path, self.info, dict(self.network.state_dict()))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a model file; nothing in it is executed.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, not a model, or from a newer program.
        """
        info, weights = read_model_file(path)
        network = build_network(info.network)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelFileError(
                f"The weights in {Path(path).name} do not fit its network: the file "
                "is damaged; copy or download it again."
            ) from error
        return cls(network.eval(), info)
