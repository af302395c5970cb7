"""What a person may choose for a training run: one model for form, file and validation.

`TrainingConfig` holds wishes, most of them ``None`` for "choose from my data";
:func:`napari_unet.training.plan.make_plan` turns wishes and data into a frozen plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_unet.errors import ConfigError

Task = Literal["classes", "objects", "regression"]
AnnotationRule = Literal["sparse", "complete"]
Preset = Literal["fast", "balanced", "thorough"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
LossName = Literal[
    "auto",
    "cross-entropy+dice",
    "cross-entropy",
    "weighted-cross-entropy",
    "focal",
    "tversky",
    "boundary",
    "mse",
    "huber",
]
AugmentationPreset = Literal["none", "gentle", "standard", "strong"]

PRESET_MINUTES: dict[Preset, float] = {"fast": 2.0, "balanced": 10.0, "thorough": 45.0}
"""Longest training time in minutes of each preset."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
M = TypeVar("M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


AUGMENTATION_PRESETS: dict[AugmentationPreset, dict[str, Any]] = {
    "none": {
        "flip": False,
        "affine": 0.0,
        "elastic": 0.0,
        "intensity": 0.0,
        "noise": 0.0,
        "blur": 0.0,
    },
    "gentle": {
        "affine": 0.25,
        "scaling": 0.1,
        "elastic": 0.0,
        "intensity": 0.25,
        "noise": 0.1,
        "blur": 0.05,
    },
    "standard": {},
    "strong": {
        "affine": 0.8,
        "scaling": 0.4,
        "elastic": 0.4,
        "intensity": 0.8,
        "noise": 0.4,
        "blur": 0.3,
    },
}
"""What each preset changes of the standard one."""


class AugmentationConfig(_Model):
    """How training patches are varied. Probabilities are per patch.

    What is left out comes from the preset.
    """

    preset: AugmentationPreset = Field(
        "standard",
        title="How much",
        description="Strong helps with few or varied images; the fields below change "
        "one thing of it",
    )
    flip: bool = Field(
        True,
        title="Flips and right-angle turns",
        description="Off where up and down differ, as in a street scene",
    )
    affine: Fraction = Field(
        0.5, title="Rotation and scaling", description="Share of patches"
    )
    rotation_degrees: float = Field(
        180.0,
        ge=0.0,
        le=180.0,
        title="Largest rotation",
        description="Degrees to either side",
    )
    scaling: float = Field(
        0.2,
        ge=0.0,
        lt=1.0,
        title="Scaling",
        description="±0.2 means 0.8 to 1.2; none for values unless you choose it",
    )
    elastic: Fraction = Field(
        0.2, title="Elastic deformation", description="Share of patches"
    )
    intensity: Fraction = Field(
        0.5, title="Brightness, contrast and gamma", description="Share of patches"
    )
    noise: Fraction = Field(0.2, title="Gaussian noise", description="Share of patches")
    blur: Fraction = Field(0.15, title="Gaussian blur", description="Share of patches")

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        """A name alone is a preset; what a preset says is a default."""
        if isinstance(values, str):
            values = {"preset": values}
        if not isinstance(values, dict):
            return values
        named: Any = str(values.get("preset", "standard"))
        preset = AUGMENTATION_PRESETS.get(named, {})
        return {**preset, **values}


class LossConfig(_Model):
    """What training makes small. Only annotated pixels count, whatever is chosen."""

    kind: LossName = Field(
        "auto",
        title="Loss",
        description="auto: cross-entropy + Dice, or Huber for regression; focal and "
        "boundary add Dice, tversky adds cross-entropy; weighted-cross-entropy is that "
        "of the U-Net paper",
    )
    class_weights: Literal["equal", "balanced"] | tuple[float, ...] = Field(
        "equal",
        title="Class weights",
        description="equal, balanced (rare classes count more), or one number for each "
        "class in the order of labels",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        title="Label smoothing",
        description="Share of each label that is given to all classes",
    )
    focal_gamma: float = Field(
        2.0, ge=0, le=5, title="Focal γ", description="How little easy pixels count"
    )
    tversky_misses: float = Field(
        0.7,
        gt=0,
        lt=1,
        title="Tversky: weight of misses",
        description="0.5 is Dice; above, missed pixels cost more than invented ones",
    )
    boundary_weight: float = Field(
        0.5,
        gt=0,
        title="Weight of the boundary loss",
        description="How much it counts beside Dice",
    )
    border_weight: float = Field(
        10.0,
        ge=0,
        title="Weighted cross-entropy: w₀",
        description="How much more background between close objects counts",
    )
    border_sigma: float = Field(
        5.0,
        gt=0,
        title="Weighted cross-entropy: σ",
        description="Pixels over which that falls off",
    )
    directions: bool = Field(
        True,
        title="Directions to the centre",
        description="Objects: learn them beside the two maps, which separates touching "
        "objects better; nothing is decoded from them",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, values: Any) -> Any:
        return {"kind": values} if isinstance(values, str) else values

    @field_validator("class_weights", mode="before")
    @classmethod
    def _one_word_is_no_list(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) == 1:
            (only,) = value
            return only if isinstance(only, str) and not _is_number(only) else value
        return value

    @field_validator("class_weights")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        if isinstance(value, tuple) and (not value or min(value) <= 0):
            raise ValueError("give one number above 0 for each class")
        return value

    @model_validator(mode="after")
    def _smoothing_needs_entropy(self) -> LossConfig:
        if self.label_smoothing and self.kind in ("focal", "mse", "huber"):
            raise ValueError(
                "label smoothing belongs to the cross-entropy: choose another loss, or "
                "leave the smoothing at 0"
            )
        return self


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


REGRESSION_LOSSES = ("mse", "huber")


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
    batch_size: int | None = Field(
        None, gt=0, title="Batch size", description="Patches in one training step"
    )
    network: str = Field(
        "unet",
        min_length=1,
        title="Network",
        description="What learns; `napari-unet networks` lists them",
        json_schema_extra={"choices": "networks"},
    )
    base_channels: int | None = Field(
        None, gt=0, title="Base channels", description="Width of the first level"
    )
    levels: int | None = Field(
        None, ge=2, le=7, title="Levels", description="Resolutions in the network"
    )
    anisotropy: float | None = Field(
        None,
        gt=0,
        title="Anisotropy",
        description="How many times longer voxels are along Z than along Y and X; it "
        "shapes patch and pooling",
    )
    low_percentile: float = Field(
        1.0,
        ge=0,
        lt=100,
        title="Dark percentile",
        description="Percentile of each channel of an image that becomes 0",
    )
    high_percentile: float = Field(
        99.8,
        gt=0,
        le=100,
        title="Bright percentile",
        description="Percentile that becomes 1",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        title="Learning rate",
        description="Size of the steps; lower it where the loss jumps",
    )
    weight_decay: float = Field(
        1e-2,
        ge=0,
        title="Weight decay",
        description="How strongly weights are drawn to 0, against learning by heart",
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Dropout",
        description="Share of the coarsest features that is left out at each step",
    )
    loss: LossConfig = Field(default_factory=LossConfig, title="Loss")
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
    freeze_encoder: bool = Field(
        False,
        title="Keep the encoder",
        description="Only the way up learns; for starting from a model that knows such "
        "images, with very few annotations",
    )
    patience: int = Field(
        12,
        gt=0,
        title="Patience",
        description="Validations without a better score before training may end early",
    )
    seed: int = Field(
        0, ge=0, title="Seed", description="Another one gives another random course"
    )
    deterministic: bool = Field(
        False,
        title="Same result every time",
        description="Slower; needs a number of steps, since minutes never hold the "
        "same work twice",
    )
    device: DeviceName = Field(
        "auto",
        title="Device",
        description="auto: the graphics card where there is one",
    )
    precision: PrecisionName = Field(
        "auto",
        title="Precision",
        description="auto: what is fastest on the device; float32 is the most exact",
    )

    @field_validator("patch_size")
    @classmethod
    def _two_or_three(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) not in (2, 3) or min(value) < 1):
            raise ValueError("give 2 or 3 positive numbers, (Z) Y X")
        return value

    @model_validator(mode="before")
    @classmethod
    def _values_keep_their_scale(cls, values: Any) -> Any:
        """Distances in pixels would be wrong in a scaled patch, and so would sums."""
        if not isinstance(values, dict) or values.get("task") != "regression":
            return values
        wish = values.get("augmentation") or {}
        if isinstance(wish, str):
            wish = {"preset": wish}
        if isinstance(wish, dict):
            values = {**values, "augmentation": {"scaling": 0.0, **wish}}
        return values

    @model_validator(mode="after")
    def _loss_fits_task(self) -> TrainingConfig:
        kind = self.loss.kind
        if kind != "auto" and (kind in REGRESSION_LOSSES) != (
            self.task == "regression"
        ):
            fits = (
                "mse or huber"
                if self.task == "regression"
                else "cross-entropy+dice, cross-entropy, weighted-cross-entropy, "
                "focal, tversky or boundary"
            )
            raise ValueError(
                f"the loss {kind} does not fit the task {self.task}: choose {fits}"
            )
        if self.low_percentile >= self.high_percentile:
            raise ValueError("the dark percentile must lie below the bright one")
        return self

    def budget_minutes(self) -> float:
        """Longest training time in minutes; infinite where steps are counted."""
        if self.minutes is not None:
            return self.minutes
        return float("inf") if self.max_steps else PRESET_MINUTES[self.preset]


class TrackingConfig(_Model):
    """How objects are followed over time."""

    max_distance: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Longest distance",
        description="Between two frames, in the unit of the voxel size; 1.25 times the "
        "median diameter of the objects if left out",
    )
    divisions: bool = Field(
        True,
        title="Objects may divide",
        description="Daughters get numbers of their own",
    )
    max_gap: int = Field(
        0,
        ge=0,
        le=10,
        title="Frames that an object may be missing",
    )


def training_config(**wishes: Any) -> TrainingConfig:
    """Build a `TrainingConfig`; a wrong value becomes one sentence.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of its range.
    """
    return checked(TrainingConfig, wishes)


def checked(model: type[M], wishes: Mapping[str, Any]) -> M:
    """Build a model of settings; a wrong value becomes one sentence.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of its range.
    """
    try:
        return model(**wishes)
    except ValidationError as error:
        first = error.errors()[0]
        # Pydantic adds which of several allowed types it means, in brackets.
        parts = [str(part) for part in first["loc"] if "[" not in str(part)]
        name = ".".join(parts) or "settings"
        problem = str(first["msg"]).removeprefix("Value error, ")
        if isinstance(first["input"], dict) and first["type"] == "value_error":
            # Two settings that contradict each other: neither alone is wrong.
            raise ConfigError(f"{problem[:1].upper()}{problem[1:]}.") from error
        problem = problem[:1].lower() + problem[1:]
        raise ConfigError(
            f"The setting {name!r} cannot be {first['input']!r}: {problem}."
        ) from error
