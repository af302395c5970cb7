"""What a person may choose for a training run: one model for form, file and validation.

`TrainingConfig` holds wishes, most of them ``None`` for "choose from my data";
:func:`napari_unet.training.plan.make_plan` turns wishes and data into a frozen plan.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_unet.errors import ConfigError

Task = Literal["classes", "objects"]
AnnotationRule = Literal["sparse", "complete"]
Preset = Literal["fast", "balanced", "thorough"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]

PRESET_MINUTES: dict[Preset, float] = {"fast": 2.0, "balanced": 10.0, "thorough": 45.0}
"""Longest training time in minutes of each preset."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class AugmentationConfig(_Model):
    """How training patches are varied. Probabilities are per patch."""

    flip: bool = Field(True, title="Flips and right-angle turns")
    affine: Fraction = Field(
        0.5, title="Rotation and scaling", description="Share of patches"
    )
    rotation_degrees: float = Field(180.0, ge=0.0, le=180.0, title="Largest rotation")
    scaling: float = Field(
        0.2, ge=0.0, lt=1.0, title="Scaling", description="±0.2 means 0.8 to 1.2"
    )
    elastic: Fraction = Field(0.2, title="Elastic deformation")
    intensity: Fraction = Field(0.5, title="Brightness, contrast and gamma")
    noise: Fraction = Field(0.2, title="Gaussian noise")
    blur: Fraction = Field(0.15, title="Gaussian blur")


class TrainingConfig(_Model):
    """Wishes for one training run.

    Fields that are ``None`` are chosen from the data and the device.
    """

    task: Task = Field("classes", title="Task")
    annotation: AnnotationRule = Field("sparse", title="Annotation")
    preset: Preset = Field("balanced", title="Preset")
    minutes: float | None = Field(
        None, gt=0, title="Minutes", description="Longest training time"
    )
    max_steps: int | None = Field(
        None,
        gt=0,
        title="Steps",
        description="Number of training steps; with it, time does not count",
    )
    background: bool = Field(
        True,
        title="One class is background",
        description="Off: every label is a class of its own and 0 is not annotated",
    )
    patch_size: tuple[int, ...] | None = Field(
        None, title="Patch size", description="(Z) Y X in voxels"
    )
    batch_size: int | None = Field(None, gt=0, title="Batch size")
    base_channels: int | None = Field(
        None, gt=0, title="Base channels", description="Width of the first level"
    )
    levels: int | None = Field(
        None, ge=2, le=7, title="Levels", description="Resolutions in the network"
    )
    learning_rate: float | None = Field(None, gt=0, title="Learning rate")
    weight_decay: float = Field(1e-2, ge=0, title="Weight decay")
    augmentation: AugmentationConfig = Field(
        default_factory=AugmentationConfig, title="Augmentation"
    )
    validation_fraction: float = Field(
        0.2,
        ge=0,
        le=0.5,
        title="Held-out part",
        description="Share of the annotation that only measures, never teaches",
    )
    patience: int = Field(
        12,
        gt=0,
        title="Patience",
        description="Validations without a better score before training may end early",
    )
    seed: int = Field(0, ge=0, title="Seed")
    device: DeviceName = Field("auto", title="Device")
    precision: PrecisionName = Field("auto", title="Precision")

    @field_validator("patch_size")
    @classmethod
    def _two_or_three(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) not in (2, 3) or min(value) < 1):
            raise ValueError("give 2 or 3 positive numbers, (Z) Y X")
        return value

    def budget_minutes(self) -> float:
        """Longest training time in minutes; infinite where steps are counted."""
        if self.minutes is not None:
            return self.minutes
        return float("inf") if self.max_steps else PRESET_MINUTES[self.preset]


def training_config(**wishes: Any) -> TrainingConfig:
    """Build a `TrainingConfig`; a wrong value becomes one sentence.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of its range.
    """
    try:
        return TrainingConfig(**wishes)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        problem = str(first["msg"]).removeprefix("Value error, ")
        problem = problem[:1].lower() + problem[1:]
        raise ConfigError(
            f"The setting {name!r} cannot be {first['input']!r}: {problem}."
        ) from error
