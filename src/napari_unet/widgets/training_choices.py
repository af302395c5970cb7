"""What the user chose in *Train U-Net*, as configuration or as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.values import annotation_for
from napari_unet.errors import AnnotationError, UserError
from napari_unet.widgets.annotation_layer import (
    annotated_values,
    class_names,
    classes_of,
)
from napari_unet.widgets.annotation_section import AnnotationSection
from napari_unet.widgets.config_form import ConfigForm, build_config
from napari_unet.widgets.image_section import ImageSection
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.limit import inside
from napari_unet.widgets.readings import level_zero
from napari_unet.widgets.training_run import TrainingRequest

if TYPE_CHECKING:
    from magicgui.widgets import ComboBox

QUICK_SIZE = 2**24
"""Pixels of an annotation up to which its values are counted while it is painted."""


class TrainingChoices:
    """Reads the sections of the widget; holds nothing itself."""

    def __init__(
        self,
        image: ImageSection,
        annotation: AnnotationSection,
        preset: ComboBox,
        advanced: ConfigForm,
    ) -> None:
        self._image = image
        self._section = annotation
        self._preset = preset
        self._advanced = advanced

    def config(self) -> TrainingConfig:
        """The settings as they are filled in.

        Raises
        ------
        ConfigError
            If one of them is out of its range.
        """
        wishes: dict[str, Any] = {
            "task": self._section.task.value,
            "preset": self._preset.value,
            **self._advanced.wishes(),
        }
        rule = self._section.chosen_rule()
        if rule is not None:
            wishes["annotation"] = rule
        return build_config(wishes)

    def request(self, name: str) -> TrainingRequest:
        """Everything that a run needs, for a model of this name.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        image, annotation, config = self.checked()
        classes = None
        if config.task == "classes":
            values = annotated_values(annotation.labels, annotation.unannotated_value)
            layer = self._section.layer.value
            classes = classes_of(layer, list(values), annotation.background_value)
        return TrainingRequest(
            image=image,
            annotation=annotation.labels,
            config=config,
            classes=classes,
            name=name.strip() or self.default_name(image),
        )

    def checked(self) -> tuple[ImageSnapshot, Annotation, TrainingConfig]:
        """What was chosen, if something can be learnt from it; quick.

        Raises
        ------
        UserError
            As :meth:`request` does.
        """
        from napari_unet.data.checks import training_problems

        image = self._image.snapshot()
        annotation, config = self._annotation(image)
        if not self._section.values:
            image, annotation = inside(image, annotation, self._section.limit.box)
        problems = training_problems([annotation], config)
        if problems:
            raise AnnotationError(problems[0])
        return image, annotation, config

    def _annotation(self, image: ImageSnapshot) -> tuple[Annotation, TrainingConfig]:
        layer = self._section.layer.value
        if layer is None and self._section.values:
            raise AnnotationError(
                "There is no target: open an image of the values that are to be "
                "predicted and choose it."
            )
        if layer is None:
            raise AnnotationError(
                "There is no annotation yet: press New and paint a few strokes."
            )
        config = self.config()
        labels = level_zero(layer)
        found = annotation_for(labels, image.source, config)
        if labels is image.arrays[0]:
            raise AnnotationError(
                f"{layer.name!r} is the image itself: choose another layer as target."
            )
        if self._section.chosen_rule() is None:
            raise AnnotationError(
                f"Choose under Rule what 0 means in {layer.name!r}: not annotated, "
                "or background."
            )
        return found, config

    def default_name(self, image: ImageSnapshot) -> str:
        """Name of the model where the user gave none."""
        task = "values" if self._section.values else self._section.task.value
        return f"{image.name} {task}"

    def offer_paint(self) -> None:
        """Show what can be painted, once it is known what the values mean."""
        section = self._section
        layer, rule = section.layer.value, section.chosen_rule()
        if layer is None or rule is None or layer.multiscale or section.values:
            section.paint.show_for(None, "classes", [], None)
            return
        background: int | None = None
        if self._advanced.field("background").value:
            background = 1 if rule == "sparse" else 0
        values = {*class_names(layer)}
        if section.task.value == "classes" and layer.data.size <= QUICK_SIZE:
            unannotated = 0 if rule == "sparse" or background is None else None
            values |= set(annotated_values(layer.data, unannotated))
        section.paint.show_for(layer, section.task.value, sorted(values), background)

    def summary(self) -> str:
        """What the annotation holds, in words; by either rule while none is chosen."""
        from napari_unet.data.checks import annotation_summary

        try:
            image = self._image.snapshot()
            layer = self._section.layer.value
            if layer is None:
                return ""
            config = self.config()
            labels, rule = level_zero(layer), self._section.chosen_rule()
            if rule is not None:
                found = annotation_for(labels, image.source, config)
                return annotation_summary(found, config.task)
            sparse = Annotation(labels, image.source, "sparse", config.background)
            complete = Annotation(labels, image.source, "complete", config.background)
            return (
                f"If sparse: {annotation_summary(sparse, config.task)}\n"
                f"If complete: {annotation_summary(complete, config.task)}"
            )
        except UserError:
            return ""  # the same problem is shown below the button
