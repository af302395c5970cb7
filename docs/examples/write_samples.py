"""Write images of nuclei and their true labels into folders."""

from pathlib import Path

from napari_unet.image_io import write_image, write_labels
from napari_unet.sample_data import nuclei_2d

for part, seeds in {"train": (1, 2, 3), "test": (11, 12)}.items():
    for kind in ("images", "strokes", "labels"):
        Path(part, kind).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        sample = nuclei_2d(seed)
        place = (sample.axes, sample.voxel_size, sample.unit)
        write_image(f"{part}/images/{seed}.tif", sample.image, *place)
        write_labels(f"{part}/strokes/{seed}.tif", sample.annotation, *place)
        write_labels(f"{part}/labels/{seed}.tif", sample.labels, *place)
