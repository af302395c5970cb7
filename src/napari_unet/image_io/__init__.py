"""Images and labels in files and folders."""

from napari_unet.image_io.folders import find_images, pair_folders
from napari_unet.image_io.raw import display_name
from napari_unet.image_io.read import read_image, read_labels
from napari_unet.image_io.store import is_zarr
from napari_unet.image_io.values import read_values
from napari_unet.image_io.write import (
    write_image,
    write_labels,
    write_probabilities,
    write_values,
)

__all__ = [
    "display_name",
    "find_images",
    "is_zarr",
    "pair_folders",
    "read_image",
    "read_labels",
    "read_values",
    "write_image",
    "write_labels",
    "write_probabilities",
    "write_values",
]
