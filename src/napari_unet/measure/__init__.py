"""A table of objects: size, shape, place and brightness of each. No torch here."""

from napari_unet.measure.objects import BlockDone, measure_blocks, measure_objects
from napari_unet.measure.table import ObjectTable

__all__ = ["BlockDone", "ObjectTable", "measure_blocks", "measure_objects"]
