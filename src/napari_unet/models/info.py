"""What a model file says about itself; readable without torch.

This is the part of a model that the viewer, the command line's ``info`` and the model
library need: the network's weights stay on disk.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_unet.config import Task
from napari_unet.data.classes import ClassInfo
from napari_unet.data.normalization import NormalizationInfo
from napari_unet.networks.info import NetworkInfo
from napari_unet.segmentation.settings import DecoderInfo

FORMAT_VERSION = 2
"""Version of the model file that this program writes."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelCard(_Part):
    """What a person says about a model; a program cannot know it."""

    description: str = ""
    """What it segments, in a sentence or two."""
    authors: list[str] = []
    license: str = ""
    """SPDX identifier, such as ``CC-BY-4.0``; empty where nothing was chosen."""
    cite: list[str] = []
    """What to cite who uses the model: a DOI, a web address or a text."""
    limits: str = ""
    """What it is known not to do."""
    tags: list[str] = []
    note: str = ""
    """A note of the owner's to themselves; left out of packages that are shared."""


class TrainingSummary(_Part):
    """What the model was trained on and how well it did."""

    images: list[str] = []
    """Names of the images, the first 200."""
    n_images: int = 0
    fingerprint: str = ""
    """SHA-256 of images and annotation: the same data has the same one."""
    annotated_voxels: dict[str, int] = {}
    """Annotated voxels by class name, or objects under ``"objects"``."""
    annotated_objects: dict[str, int] = {}
    """Annotated objects, or strokes, by class name, where they were counted."""
    steps: int = 0
    seconds: float = 0.0
    score: float | None = None
    score_name: str = ""
    """``"mean Dice"``, ``"mean AP@0.5:0.9"`` or ``"R²"``, on the held-out part."""
    scores: dict[str, float] = {}
    """Further scores by name, such as ``"MAE"`` in the unit of the values."""
    intervals: dict[str, tuple[float, float]] = {}
    """95 % intervals by name of the score, where they could be told."""
    seed: int | None = None
    """Random seed of the training."""
    start: str = ""
    """Name of the model that training began with; empty where it was from scratch."""
    device: str = ""
    config: dict[str, Any] = {}
    versions: dict[str, str] = {}


class CalibrationInfo(_Part):
    """How sure the network is allowed to be, fitted on the held-out part.

    Logits are divided by the temperature before they become probabilities (Guo et al.
    2017): the most probable class stays the same.
    """

    temperature: float = Field(1.0, gt=0)
    ece_before: float | None = None
    """Expected calibration error on the held-out part at temperature 1 …"""
    ece_after: float | None = None
    """… and at the one above. Both on what it was fitted to."""


class ModelInfo(_Part):
    """Everything about a model but its weights."""

    format_version: int = FORMAT_VERSION
    name: str
    task: Task
    spatial: Literal["YX", "ZYX"]
    n_channels: int = Field(gt=0)
    classes: list[ClassInfo]
    """Output classes in order; task ``objects`` has background and one object class,
    ``regression`` none."""
    network: NetworkInfo
    normalization: NormalizationInfo = NormalizationInfo()
    decoder: DecoderInfo | None = None
    calibration: CalibrationInfo = CalibrationInfo()
    voxel_size: list[float] = []
    """Median voxel size of the training images along ``spatial``."""
    unit: str = "pixel"
    created: str = ""
    """ISO 8601 date and time."""
    training: TrainingSummary = TrainingSummary()
    card: ModelCard = ModelCard()

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.spatial)

    @property
    def maps(self) -> list[str]:
        """Names of the network's probability maps, as shown to users."""
        if self.task == "objects":
            return ["foreground", "centre distance"]
        if self.task == "regression":
            return ["value"]
        return [c.name for c in self.classes]
