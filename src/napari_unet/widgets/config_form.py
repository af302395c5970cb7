"""A form for the numbers of a pydantic model, made from its fields.

An empty field means "automatic" or the default, which the field shows in grey.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from magicgui.widgets.bases import ValueWidget
from psygnal import Signal
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_unet.config import TrainingConfig
from napari_unet.errors import ConfigError
from napari_unet.networks.catalogue import known_networks
from napari_unet.widgets.style import Colors, Message, narrow

AUTOMATIC = "automatic"
LABEL_WIDTH, FIELD_WIDTH = 110, 80
"""Least widths in pixels; longer titles wrap."""


class ConfigForm:
    """Fields for the settings of `model` but those in `without`.

    The fields are rows of `form`.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[BaseModel],
        form: QFormLayout,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._model = model
        self._fields: dict[str, ValueWidget[Any]] = {}
        self._parts: dict[str, ConfigForm] = {}
        self._rows: dict[str, list[QWidget]] = {}
        self._left_out: frozenset[str] = frozenset()
        for name, field in model.model_fields.items():
            if name in without:
                continue
            title = _title(name, field)
            if isinstance(field.annotation, type) and issubclass(
                field.annotation, BaseModel
            ):
                heading = QLabel(title)
                form.addRow(heading)
                part = ConfigForm(field.annotation, form)
                inner = [w for row in part._rows.values() for w in row]
                self._rows[name] = [heading, *inner]
                part.changed.connect(self._emit)
                self._parts[name] = part
                continue
            widget = _make_field(name, field)
            widget.changed.connect(self._emit)
            self._fields[name] = widget
            if isinstance(widget, CheckBox):
                form.addRow(widget.native)
                self._rows[name] = [widget.native]
            else:
                label = QLabel(title)
                label.setWordWrap(True)
                label.setMinimumWidth(LABEL_WIDTH)
                widget.native.setMinimumWidth(FIELD_WIDTH)
                label.setToolTip(widget.tooltip or "")
                form.addRow(label, widget.native)
                self._rows[name] = [label, widget.native]
                if isinstance(widget, NetworkChoice):
                    form.addRow("", widget.about)
                    self._rows[name].append(widget.about)

    def _emit(self, _: Any = None) -> None:
        self.changed.emit()

    def set_colors(self, colors: Colors) -> None:
        """Follow the viewer's theme."""
        for field in self._fields.values():
            if isinstance(field, NetworkChoice):
                field.about.set_colors(colors)

    def leave_out(self, names: frozenset[str]) -> None:
        """Hide these fields, which then count as empty, and show all others."""
        if names == self._left_out:
            return
        self._left_out = names
        for name, row in self._rows.items():
            for part in row:
                part.setVisible(name not in names)
        self.changed.emit()

    def wishes(self) -> dict[str, Any]:
        """What the user filled in, by field name; empty fields are left out.

        So are hidden ones, see :meth:`leave_out`.
        """
        found: dict[str, Any] = {}
        for name, widget in self._fields.items():
            if name in self._left_out:
                continue
            value = widget.value
            if isinstance(widget, LineEdit):
                if value.strip():
                    found[name] = _read(value, self._model.model_fields[name])
            elif value != self._model.model_fields[name].default:
                found[name] = value
        for name, part in self._parts.items():
            inner = part.wishes()
            if inner and name not in self._left_out:
                found[name] = inner
        return found

    def fill(self, wishes: Mapping[str, Any]) -> None:
        """Fill in settings by field name, and empty all others."""
        for name, widget in self._fields.items():
            default = self._model.model_fields[name].default
            if isinstance(widget, LineEdit):
                widget.value = _shown(wishes[name]) if name in wishes else ""
            else:
                value = wishes.get(name, default)
                # A network may come from a package that is gone.
                gone = isinstance(widget, NetworkChoice) and not widget.knows(value)
                widget.value = default if gone else value
        for name, part in self._parts.items():
            part.fill(wishes.get(name) or {})

    def field(self, name: str) -> ValueWidget[Any]:
        """The widget of a field, to fill it from code."""
        return self._fields[name]


class NetworkChoice(ComboBox):
    """The networks by their titles, and beside it what the chosen one is good for."""

    def __init__(self, default: str) -> None:
        self._known = known_networks()
        choices = [(spec.title, name) for name, spec in self._known.items()]
        super().__init__(
            value=default, choices=choices, tooltip="What learns from the annotation"
        )
        narrow(self.native)
        self.about = Message("quiet")
        self.changed.connect(self._explain)
        self._explain(default)

    def knows(self, name: str) -> bool:
        """Whether there is such a network."""
        return name in self._known

    def _explain(self, name: str) -> None:
        self.about.say(self._known[name].summary)


def build_config(wishes: dict[str, Any]) -> TrainingConfig:
    """A training configuration from what was filled in.

    Raises
    ------
    ConfigError
        If a value is wrong; the sentence calls the field by its title.
    """
    try:
        return TrainingConfig(**wishes)
    except ValidationError as error:
        first = error.errors()[0]
        title = _titles(TrainingConfig, [str(part) for part in first["loc"]])
        problem = str(first["msg"]).removeprefix("Value error, ")
        if isinstance(first["input"], dict) and first["type"] == "value_error":
            raise ConfigError(f"{problem[:1].upper()}{problem[1:]}.") from error
        problem = problem[:1].lower() + problem[1:].split(", unable to")[0]
        raise ConfigError(
            f"{title} cannot be {_shown(first['input'])!r}: {problem}."
        ) from error


def _titles(model: type[BaseModel], path: list[str]) -> str:
    title = path[0] if path else "A setting"
    for name in path:
        field = model.model_fields.get(name)
        if field is None:
            break
        title = _title(name, field)
        if isinstance(field.annotation, type) and issubclass(
            field.annotation, BaseModel
        ):
            model = field.annotation
    return title


def _title(name: str, field: FieldInfo) -> str:
    return field.title or name.replace("_", " ").capitalize()


def _make_field(name: str, field: FieldInfo) -> ValueWidget[Any]:
    title, tooltip = _title(name, field), field.description or ""
    if isinstance(field.json_schema_extra, dict) and (
        field.json_schema_extra.get("choices") == "networks"
    ):
        return NetworkChoice(field.default)
    if field.annotation is bool:
        return CheckBox(value=field.default, text=title, tooltip=tooltip)
    if get_origin(field.annotation) is Literal:
        choices = list(get_args(field.annotation))
        box = ComboBox(value=field.default, choices=choices, tooltip=tooltip)
        narrow(box.native)
        return box
    line = LineEdit(tooltip=tooltip)
    line.native.setPlaceholderText(_shown(field.default))
    return line


def _shown(value: Any) -> str:
    if value is None:
        return AUTOMATIC
    if isinstance(value, tuple | list):
        return " ".join(str(part) for part in value)
    return str(value)


def _read(text: str, field: FieldInfo) -> Any:
    text = text.strip()
    if _wants_tuple(field.annotation):
        return text.replace(",", " ").replace("×", " ").split()
    return text.replace(",", ".")


def _wants_tuple(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(_wants_tuple(part) for part in get_args(annotation))
    return origin is tuple or annotation is tuple
