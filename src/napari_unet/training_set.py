"""A training set: images and annotations of many days in a folder that can be copied.

``images/NAME.tif`` and ``labels/NAME.tif`` belong together, ``set.json`` says what the
labels mean and where each pair came from. Nothing in the folder points outside of it,
and ``napari-unet train --images … --labels …`` takes its folders as they are. What is
replaced or removed goes to ``earlier/`` and is never deleted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_unet.config import AnnotationRule, Task, TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo, name_classes
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.data.values import annotation_for
from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.image_io import (
    read_image,
    read_labels,
    read_values,
    write_image,
    write_labels,
    write_values,
)

FORMAT_VERSION = 1
INFO_NAME = "set.json"
IMAGES, LABELS, EARLIER = "images", "labels", "earlier"
MAX_INFO_BYTES = 16 * 2**20


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class SetItem(_Part):
    """An image of a training set and its annotation."""

    name: str
    """Of the files, without ending."""
    added: str = ""
    """When the annotation was added last, ISO 8601."""
    annotated: int = 0
    """Annotated voxels."""
    ndim: int = 2


class SetInfo(_Part):
    """What the labels of a training set mean, and what is in it."""

    format_version: int = FORMAT_VERSION
    task: Task
    annotation: AnnotationRule = "sparse"
    background: bool = True
    class_names: dict[int, str] = {}
    items: tuple[SetItem, ...] = ()


class TrainingSet:
    """A folder of annotated images.

    Parameters
    ----------
    folder : Path
        Made by the first :meth:`add`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Whether there is a training set in the folder."""
        return (self.folder / INFO_NAME).is_file()

    def info(self) -> SetInfo:
        """What is in the set.

        Raises
        ------
        DataError
            If the folder holds none, or a damaged or newer one.
        """
        path = self.folder / INFO_NAME
        try:
            with path.open("rb") as file:
                plain = json.loads(file.read(MAX_INFO_BYTES))
            newer = isinstance(plain, dict) and plain.get("format_version", 0)
            if isinstance(newer, int) and newer > FORMAT_VERSION:
                raise DataError(
                    f"The training set {self.folder.name!r} was made by a newer "
                    "version: update napari-unet-live to use it."
                )
            return SetInfo.model_validate(plain)
        except FileNotFoundError as error:
            raise DataError(
                f"There is no training set in {self.folder}: add an image to begin one."
            ) from error
        except (OSError, ValueError, RecursionError, ValidationError) as error:
            raise DataError(
                f"The training set in {self.folder} cannot be read: its file "
                f"{INFO_NAME} is damaged. Put back a copy of it."
            ) from error

    def add(
        self,
        source: ImageSource,
        labels: ArrayLike,
        config: TrainingConfig,
        class_names: Mapping[int, str] | None = None,
    ) -> SetItem:
        """Add an image, or the present annotation of one that is there already.

        Parameters
        ----------
        source : ImageSource
        labels : array, axes as ``source.labels_axes``
        config : TrainingConfig
            Task, rule and background: the same for all images of a set.
        class_names : mapping, optional
            By value in the labels.

        Raises
        ------
        DataError
            If the image or the meaning of its labels differs from what is there, or
            the disk refuses.
        """
        info = self.info() if self.exists() else _fresh(config)
        self._check(info, source, config)
        array = np.asarray(labels[...])
        annotated = annotation_for(array, source, config)
        name = self._name(source, info)
        known = next((item for item in info.items if item.name == name), None)
        image = self.folder / IMAGES / f"{name}.tif"
        target = self.folder / LABELS / f"{name}.tif"
        now = datetime.now().astimezone()
        if known is None:
            write_image(image, _whole(source), _axes(source), *_scale(source))
        else:
            # A copy: should writing fail, the old annotation is still in its place.
            self._put_away(target, now, shutil.copy2)
        write = write_values if config.task == "regression" else write_labels
        write(target, array, source.labels_axes, *_scale(source))
        item = SetItem(
            name=name,
            added=now.isoformat(timespec="seconds"),
            annotated=sum(annotated.count_values().values()),
            ndim=source.ndim,
        )
        items = [i for i in info.items if i.name != name]
        names = {**info.class_names, **(class_names or {})}
        update = {"items": (*items, item), "class_names": names}
        self._write(info.model_copy(update=update))
        return item

    def remove(self, name: str) -> None:
        """Take an image out of the set; its files go to ``earlier/``.

        Raises
        ------
        DataError
            If it is not there, or the disk refuses.
        """
        info = self.info()
        if name not in {item.name for item in info.items}:
            raise DataError(f"There is no image {name!r} in {self.folder.name!r}.")
        now = datetime.now().astimezone()
        left = tuple(item for item in info.items if item.name != name)
        self._write(info.model_copy(update={"items": left}))
        for kind in (IMAGES, LABELS):
            self._put_away(self.folder / kind / f"{name}.tif", now, shutil.move)

    def pairs(
        self, config: TrainingConfig
    ) -> tuple[list[Annotation], list[ClassInfo] | None]:
        """All images with their annotations, and classes with their names.

        `config` is taken but for task, rule and background, which the set knows: see
        :meth:`config`.

        Raises
        ------
        DataError
            If the set is empty, or a file is missing or damaged.
        """
        info = self.info()
        if not info.items:
            raise DataError(
                f"The training set {self.folder.name!r} is empty: add an image first."
            )
        read = read_values if info.task == "regression" else read_labels
        found = []
        for item in info.items:
            path = self.folder / IMAGES / f"{item.name}.tif"
            source = read_image(path, ndim=item.ndim)
            labels = read(self.folder / LABELS / f"{item.name}.tif", source)
            found.append(annotation_for(labels, source, config))
        if info.task != "classes":
            return found, None
        values = sorted({v for pair in found for v in pair.count_values()})
        background = found[0].background_value
        return found, name_classes(values, background, info.class_names)

    def config(self, wishes: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a training with what the set knows filled in."""
        info = self.info()
        known = {"task": info.task, "background": info.background}
        return {**wishes, **known, "annotation": info.annotation}

    def _check(
        self, info: SetInfo, source: ImageSource, config: TrainingConfig
    ) -> None:
        same = (info.task, info.background) == (config.task, config.background)
        if not same or (
            config.task != "regression" and info.annotation != config.annotation
        ):
            raise DataError(
                f"The labels in {self.folder.name!r} are {info.task}, annotated "
                f"{info.annotation}: choose the same, or another folder."
            )
        if not info.items:
            return
        first = info.items[0]
        other = read_image(self.folder / IMAGES / f"{first.name}.tif", ndim=first.ndim)
        if (other.n_channels, other.ndim) != (source.n_channels, source.ndim):
            raise DataError(
                f"The images in {self.folder.name!r} have {other.n_channels} channels "
                f"and are read in {other.ndim}D, but {source.name!r} has "
                f"{source.n_channels} and is read in {source.ndim}D: choose another "
                "folder for it."
            )

    def _name(self, source: ImageSource, info: SetInfo) -> str:
        """The name of an image that is there already, or one that is free."""
        clean = "".join(c if c.isalnum() or c in " -_()" else "_" for c in source.name)
        stem = clean.strip()[:80] or "image"
        taken = {item.name: item for item in info.items}
        name, number = stem, 2
        while name in taken:
            path = self.folder / IMAGES / f"{name}.tif"
            if _same(read_image(path, ndim=taken[name].ndim), source):
                return name
            name, number = f"{stem} ({number})", number + 1
        return name

    def _put_away(
        self, path: Path, now: datetime, how: Callable[[Path, Path], object]
    ) -> None:
        if not path.exists():
            return
        kind = path.parent.name
        target = self.folder / EARLIER / f"{path.stem} {kind} {now:%Y-%m-%d %H.%M.%S}"
        number, stem = 2, target.name
        while target.with_name(f"{target.name}.tif").exists():
            target, number = target.with_name(f"{stem} ({number})"), number + 1
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            how(path, target.with_name(f"{target.name}.tif"))
        except OSError as error:
            raise DataError(
                f"{path} could not be put away ({error.strerror or error}): close "
                "programs that have it open."
            ) from error

    def _write(self, info: SetInfo) -> None:
        try:
            with atomic_file(self.folder / INFO_NAME) as file:
                file.write(info.model_dump_json(indent=1).encode())
        except OSError as error:
            raise DataError(
                f"The training set {self.folder} cannot be written to "
                f"({error.strerror or error}): choose another folder."
            ) from error


def _fresh(config: TrainingConfig) -> SetInfo:
    return SetInfo(
        task=config.task, annotation=config.annotation, background=config.background
    )


def _scale(source: ImageSource) -> tuple[tuple[float, ...], str]:
    return source.voxel_size, source.unit


def _axes(source: ImageSource) -> str:
    return source.axes if len(source.arrays) == 1 else f"C{source.axes}"


def _whole(source: ImageSource) -> Any:
    arrays = [np.asarray(array[...]) for array in source.arrays]
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


def _same(one: ImageSource, other: ImageSource) -> bool:
    """Whether two sources hold the same pixels."""
    shapes = (one.n_samples, one.n_channels, one.spatial_shape)
    if shapes != (other.n_samples, other.n_channels, other.spatial_shape):
        return False
    return all(np.array_equal(one.read(n), other.read(n)) for n in range(one.n_samples))
