"""Labels from and for other tools: ImageJ, QuPath, StarDist, Cellpose."""

from napari_unet.exchange.files import (
    FORMATS,
    ImportedLabels,
    as_annotation,
    export_labels,
    import_labels,
)

__all__ = [
    "FORMATS",
    "ImportedLabels",
    "as_annotation",
    "export_labels",
    "import_labels",
]
