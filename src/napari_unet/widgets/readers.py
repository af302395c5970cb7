"""What happens when a file is dragged into napari: models, labels of other tools."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.data.source import ImageSource
from napari_unet.errors import UserError
from napari_unet.exchange import ImportedLabels, import_labels
from napari_unet.exchange.cellpose import ENDING as CELLPOSE_ENDING
from napari_unet.exchange.imagej import is_roi_file
from napari_unet.models.library import model_folder, model_name
from napari_unet.models.library_changes import ENDINGS, import_model
from napari_unet.models.model_file import OLD_INFO_NAME, RDF_NAMES
from napari_unet.widgets.annotation_layer import METADATA_KEY
from napari_unet.widgets.session import session

if TYPE_CHECKING:
    from napari.layers import Image

LayerData = tuple[Any, ...]
Reader = Callable[[str | Sequence[str]], list[LayerData]]

NOTHING: list[LayerData] = [(None,)]
"""What napari takes for "read, and there is no layer"."""


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """What reads `path`, if we do; quick, and never raises."""
    paths = [path] if isinstance(path, str) else list(path)
    kinds = {_kind(Path(p)) for p in paths}
    if kinds == {"model"}:
        return read_models
    return read_labels if kinds == {"labels"} else None


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((CELLPOSE_ENDING, ".geojson", ".roi")):
        return "labels"
    if name.endswith(ENDINGS):
        return "model"
    if not name.endswith(".zip"):
        return ""
    if is_roi_file(path):
        return "labels"
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return ""
    return "model" if names & {*RDF_NAMES, OLD_INFO_NAME} else ""


def read_models(path: str | Sequence[str]) -> list[LayerData]:
    """Copy models into the library; adds no layer."""
    from napari.utils.notifications import show_info, show_warning

    for one in [path] if isinstance(path, str) else path:
        try:
            added, new = import_model(Path(one))
        except UserError as error:
            show_warning(str(error))
            continue
        name = model_name(added)
        if new:
            show_info(f"The model {name!r} was added to your models.")
            session.library_changed.emit()
        else:
            show_info(f"The model {name!r} is in {model_folder()} already.")
    return NOTHING


def read_labels(path: str | Sequence[str]) -> list[LayerData]:
    """Labels of other tools, over the image that is selected in the viewer."""
    from napari.utils.notifications import show_info, show_warning

    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        try:
            layers += _labels(Path(one), show_info)
        except UserError as error:
            show_warning(str(error))
    return layers or NOTHING


def _labels(path: Path, say: Callable[[str], Any]) -> list[LayerData]:
    image, place = _image()
    found = import_labels(path, image)
    for sentence in found.notes:
        say(sentence)
    if image is None and path.suffix.lower() in (".zip", ".roi", ".geojson"):
        say(
            "Outlines do not tell the size of their image: open and select the image "
            "first, so that the labels cover all of it."
        )
    name = path.name.removesuffix(path.suffix)
    layers: list[LayerData] = [(found.labels, {"name": name, **place}, "labels")]
    classes = _classes(path, image)
    if classes is not None:
        # What is an object to one person is an area of a class to another.
        layers.append(
            (
                classes.labels,
                {
                    "name": f"{name} classes",
                    "visible": False,
                    **_look(classes),
                    **place,
                },
                "labels",
            )
        )
    return layers


def _classes(path: Path, image: ImageSource | None) -> ImportedLabels | None:
    """The same outlines by class, where the file names classes."""
    if path.suffix.lower() != ".geojson":
        return None
    found = import_labels(path, image, "classes")
    return found if found.names else None


def _look(found: ImportedLabels) -> dict[str, Any]:
    names = {0: "background", **found.names}
    memory = {"class_names": names, "class_colors": dict(found.colors)}
    look: dict[str, Any] = {
        "features": {"index": list(names), "class": list(names.values())},
        "metadata": {METADATA_KEY: memory},
    }
    if found.colors:
        from napari.utils.colormaps import DirectLabelColormap

        colors: dict[int | None, str] = {None: "#888888", 0: "transparent"}
        look["colormap"] = DirectLabelColormap(color_dict=colors | dict(found.colors))
    return look


def _image() -> tuple[ImageSource | None, dict[str, Any]]:
    """The image that labels belong to, and where it lies."""
    import napari

    from napari_unet.widgets.layers import snapshot

    viewer = napari.current_viewer()
    layer = None if viewer is None else _chosen(viewer)
    if layer is None:
        return None, {}
    try:
        frozen = snapshot([layer])
    except UserError:
        return None, {}
    return frozen.source, dict(frozen.placement)


def _chosen(viewer: Any) -> Image | None:
    from napari.layers import Image

    active = viewer.layers.selection.active
    if isinstance(active, Image):
        return active
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    return images[0] if len(images) == 1 else None
