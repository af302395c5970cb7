"""The pictures of large images: an OME-Zarr that is segmented while one looks on.

    python scripts/large_picture.py [--gigabytes 2] [--output docs/images]

A synthetic OME-Zarr is written and opened. Its prediction is stopped half way, gone on
with, and finished; the labels have to be what they are without a stop. Then some images
of a folder are segmented.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from less_painting import rest
from live_picture import SIZE
from numpy.typing import NDArray

HALF_S = 30 * 60
"""Longest time in seconds until something is done."""
LEVELS = 5


def main() -> None:
    """Make both pictures, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures(
            Path(folder),
            options.output / "streaming.png",
            options.output / "batch.png",
            options.gigabytes,
        )


def pictures(folder: Path, streaming: Path, batch: Path, gigabytes: float) -> None:
    """Write both pictures; everything else goes into `folder`."""
    model = make_model(folder)
    edge = int((gigabytes * 1e9 / 2) ** 0.5) // 256 * 256
    path = write_image(folder / "slide.ome.zarr", edge)
    stream(path, model, streaming)
    several(folder, model, batch)


def wait_for(done: Callable[[], bool], seconds: float) -> None:
    """Let the viewer work until something is done."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("what the picture shows did not come")
        rest(0.05)


def say(text: str) -> None:
    """A line with the time that has passed."""
    sys.stdout.write(f"{time.process_time():7.1f} s  {text}\n")
    sys.stdout.flush()


def make_model(folder: Path) -> Path:
    """A model that has learnt from the sample nuclei for a moment: small and fast."""
    from napari_unet import train
    from napari_unet.sample_data import nuclei_2d

    sample = nuclei_2d()
    model = train(
        sample.image,
        (sample.labels > 0).astype(np.uint8),
        annotation="complete",
        task="classes",
        max_steps=150,
        base_channels=8,
        name="nuclei",
    )
    return model.save(folder / "nuclei.bioimage.io.zip")


def tissue(edge: int) -> NDArray[np.uint16]:
    """A piece of nuclei that fits to itself on all sides."""
    from napari_unet.sample_data import nuclei_2d

    piece = np.asarray(nuclei_2d().image)
    piece = np.concatenate([piece, piece[::-1]])
    piece = np.concatenate([piece, piece[:, ::-1]], axis=1)
    times = [-(-edge // n) for n in piece.shape]
    return np.tile(piece, times)[:edge, :edge].astype(np.uint16)


def write_image(path: Path, edge: int) -> Path:
    """An OME-Zarr with smaller copies, written band by band."""
    group = zarr.create_group(str(path))
    strip = 2048
    band = tissue(max(edge, strip))[:strip]
    datasets = []
    for level in range(LEVELS):
        step = 2**level
        length = edge // step
        array = group.create_array(
            str(level), shape=(length, length), chunks=(1024, 1024), dtype="uint16"
        )
        small = band[::step, ::step][:, :length]
        for start in range(0, length, len(small)):
            stop = min(start + len(small), length)
            # Darker towards the bottom, so that one sees where one is.
            light = 1.0 - 0.5 * start / length
            array[start:stop] = (small[: stop - start] * light).astype(np.uint16)
        transform = {"type": "scale", "scale": [0.5 * step] * 2}
        datasets.append({"path": str(level), "coordinateTransformations": [transform]})
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    say(f"{path.name}: {edge} × {edge} pixels, {edge * edge * 2 / 1e9:.2f} GB")
    return path


def stream(path: Path, model: Path, picture: Path) -> None:
    """Predict, stop half way, look, go on, and check."""
    import napari

    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    group = zarr.open_group(str(path), mode="r")
    levels = [group[str(k)] for k in range(LEVELS)]
    viewer.add_image(
        levels, multiscale=True, name="slide", scale=(0.5, 0.5), units="um"
    )
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-unet-live", "Predict U-Net"
    )
    widget.model.choose(model)
    say(widget.where.text())
    run = widget.run
    widget.panel.button.click()
    wait_for(lambda: (run.progress or 0) > 0.5 or not run.active, HALF_S)
    say(f"half: {run.message}")
    # Where labels end now: rows of blocks come from top to bottom.
    viewer.camera.center = (levels[0].shape[0] / 4, levels[0].shape[1] / 4)
    viewer.camera.zoom = 0.45
    rest(3)
    viewer.window.screenshot(path=str(picture), flash=False, canvas_only=False)
    widget.panel.button.click()
    wait_for(lambda: not run.active, HALF_S)
    say(f"stopped: {run.message}")
    (labels,) = [p for p in (path / "labels").iterdir() if p.name[0] not in ".z"]
    chunks = {c: c.stat().st_mtime_ns for c in (labels / "0").rglob("c/*/*")}
    widget.panel.button.click()
    wait_for(lambda: not run.active, HALF_S)
    say(f"gone on: {run.message}")
    rest()
    if run.state != "done":
        raise RuntimeError(run.message)
    again = [c for c, when in chunks.items() if c.stat().st_mtime_ns != when]
    everything = list((labels / "0").rglob("c/*/*"))
    say(f"chunks: {len(everything)}, {len(chunks)} before the stop, {len(again)} twice")
    check(labels, levels[0], model)
    viewer.close()


def check(labels: Path, image: Any, model: Path) -> None:
    """Compare some places with a prediction of that place alone."""
    from napari_unet import load_model
    from napari_unet.data.source import ImageSource
    from napari_unet.workflows import exhaust, predict

    found = zarr.open_array(str(labels / "0"), mode="r")
    source = ImageSource((image,), "YX", (0.5, 0.5), "micrometer")
    for part in (0.0, 0.47, 0.93):
        start = int(part * image.shape[0])
        box = ((start, start + 600), (start // 2, start // 2 + 600))
        alone = exhaust(predict(load_model(model), source, region=box)).labels[0]
        stored = np.asarray(found[tuple(slice(*b) for b in box)])
        share = (alone == stored).mean()
        say(f"at {start}: {share:.5f} of the labels are equal")
        if share < 0.999:
            raise RuntimeError("the store holds other labels")


def several(folder: Path, model: Path, picture: Path) -> None:
    """Segment a folder with one damaged file, and open one of the images."""
    import napari

    images = folder / "images"
    images.mkdir()
    whole = tissue(1024)
    for number in range(6):
        part = whole[: 300 + 40 * number, 50 * number : 400 + 50 * number]
        tifffile.imwrite(images / f"well {number + 1}.tif", part)
    (images / "well 4.tif").write_bytes((images / "well 4.tif").read_bytes()[:300])
    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    _, widget = viewer.window.add_plugin_dock_widget("napari-unet-live", "Batch U-Net")
    widget.inputs.edit.setText(str(images))
    widget.output.edit.setText(str(folder / "labels"))
    widget.model.choose(model)
    widget.check()
    widget.panel.button.click()
    wait_for(lambda: not widget.run.active, HALF_S)
    say(widget.run.message)
    widget.open_line(4)
    viewer.reset_view()
    rest()
    viewer.window.screenshot(path=str(picture), flash=False, canvas_only=False)
    viewer.close()


if __name__ == "__main__":
    main()
