"""The fields of ``rdf.yaml``, in the shapes that old and new readers accept.

What is written follows model description 0.5.4 of the BioImage Model Zoo. Newer ones
allow more, which readers in Fiji, QuPath and ilastik do not understand yet: the
documentation is a plain file name, there are no sub-folders, softmax is a part of the
network, and pixel sizes stand in our own part of ``config``.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_unet.data.normalization import CLIP
from napari_unet.models.example import EPS, percentiles
from napari_unet.models.info import ModelInfo

FORMAT = "0.5.4"
KEY = "napari_unet"
"""Our part of ``config``."""
DEFAULT_LICENSE = "CC-BY-4.0"
UNET_DOI = "10.1007/978-3-319-24574-4_28"
INPUT, OUTPUT = "raw", "maps"
FLOAT32 = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
AXIS_IDS = {"Z": "z", "Y": "y", "X": "x"}


@dataclass(frozen=True)
class Sizes:
    """What the network asks of its input along (Z) Y X, in voxels."""

    smallest: tuple[int, ...]
    step: tuple[int, ...]
    halo: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """A file of the package."""

    name: str
    sha256: str

    def fields(self) -> dict[str, Any]:
        return {"source": self.name, "sha256": self.sha256}


def make_rdf(
    info: ModelInfo,
    sizes: Sizes,
    dtype: str,
    files: Mapping[str, Source],
    weights: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole description.

    Parameters
    ----------
    dtype : str
        Of the pixels of the test input.
    files : mapping
        ``test_input``, ``test_output`` and, where there is one, ``cover``.
    weights : mapping
        The field ``weights``.
    """
    card = info.card
    own = info.model_dump(mode="json")
    # A note to oneself is not for others.
    rdf: dict[str, Any] = {
        "format_version": FORMAT,
        "type": "model",
        "name": plain_name(info.name),
        "description": card.description or f"{info.name}: {describe(info)}",
        "authors": [{"name": n.replace("/", "-")} for n in card.authors if n.strip()]
        or [{"name": "Author not given"}],
        "cite": citations(card.cite),
        "license": card.license or DEFAULT_LICENSE,
        "tags": tags(info),
        "documentation": "README.md",
    }
    if info.created:
        rdf["timestamp"] = info.created
    if "cover" in files:
        rdf["covers"] = [files["cover"].name]
    rdf["inputs"] = [_input(info, sizes, dtype, files["test_input"])]
    rdf["outputs"] = [_output(info, sizes, files["test_output"])]
    rdf["weights"] = dict(weights)
    rdf["config"] = {"bioimageio": {}, KEY: own}
    return rdf


def describe(info: ModelInfo) -> str:
    """What the model does, in a sentence."""
    where = "volumes" if info.ndim == 3 else "images"
    channels = f"{info.n_channels} channel{'s' if info.n_channels > 1 else ''}"
    what = {
        "classes": "tells classes of pixels apart",
        "objects": "finds objects",
        "regression": "predicts a value for every pixel",
    }[info.task]
    return f"a U-Net that {what} in {info.ndim}D {where} with {channels}."


def plain_name(name: str) -> str:
    """A name of 5 to 128 of the characters that packages allow."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9_+\- ()]+", "_", ascii_only).strip(" _")[:128]
    return clean if len(clean) >= 5 else f"U-Net {clean}".strip()


def identifiers(names: Sequence[str], prefix: str) -> list[str]:
    """Names as identifiers, each another one."""
    found: list[str] = []
    for number, name in enumerate(names):
        ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore")
        clean = re.sub(r"\W+", "_", ascii_only.decode()).strip("_")[:24]
        if not clean.isidentifier() or keyword.iskeyword(clean):
            clean = f"{prefix}{number}_{clean}".strip("_")
        found.append(f"{clean}_{number}" if clean in found else clean)
    return found


def citations(cite: Sequence[str]) -> list[dict[str, str]]:
    """Citations that name a DOI or an address; the U-Net's own paper comes last."""
    found = []
    for entry in cite:
        if doi := re.search(r"\b(10\.\d{4,9}/\S+)", entry):
            found.append({"text": entry, "doi": doi[1].rstrip(".,;)")})
        elif address := re.search(r"https?://\S+", entry):
            found.append({"text": entry, "url": address[0]})
    paper = "Ronneberger, Fischer and Brox 2015, U-Net"
    return [*found, {"text": paper, "doi": UNET_DOI}]


def tags(info: ModelInfo) -> list[str]:
    """Words by which the model can be found."""
    kind = {
        "classes": "semantic-segmentation",
        "objects": "instance-segmentation",
        "regression": "regression",
    }[info.task]
    own = [t for t in info.card.tags if t.strip()]
    return list(dict.fromkeys(["unet", f"{info.ndim}d", kind, "napari", *own]))


def _input(info: ModelInfo, sizes: Sizes, dtype: str, test: Source) -> dict[str, Any]:
    names = (
        ["channel0"]
        if info.n_channels == 1
        else [f"channel{n}" for n in range(info.n_channels)]
    )
    low, high = percentiles(info.normalization)
    space = [
        {
            "type": "space",
            "id": AXIS_IDS[letter],
            "size": {"min": smallest, "step": step},
            "concatenable": True,
        }
        for letter, smallest, step in zip(
            info.spatial, sizes.smallest, sizes.step, strict=True
        )
    ]
    scale = {
        "axes": [AXIS_IDS[letter] for letter in info.spatial],
        "min_percentile": low,
        "max_percentile": high,
        "eps": EPS,
    }
    return {
        "id": INPUT,
        "axes": [
            {"type": "batch", "id": "batch"},
            {"type": "channel", "id": "channel", "channel_names": names},
            *space,
        ],
        "data": {"type": dtype},
        "test_tensor": test.fields(),
        # The last step has to say float32: readers append a cast to `data` otherwise.
        "preprocessing": [
            FLOAT32,
            {"id": "scale_range", "kwargs": scale},
            {"id": "clip", "kwargs": {"min": CLIP[0], "max": CLIP[1]}},
            FLOAT32,
        ],
    }


def _output(info: ModelInfo, sizes: Sizes, test: Source) -> dict[str, Any]:
    space = [
        {
            "type": "space",
            "id": AXIS_IDS[letter],
            "size": {"tensor_id": INPUT, "axis_id": AXIS_IDS[letter]},
            "halo": halo,
        }
        for letter, halo in zip(info.spatial, sizes.halo, strict=True)
    ]
    names = identifiers(info.maps, "class")
    return {
        "id": OUTPUT,
        "axes": [
            {"type": "batch", "id": "batch"},
            {"type": "channel", "id": "channel", "channel_names": names},
            *space,
        ],
        "data": {"type": "float32"},
        "test_tensor": test.fields(),
        "postprocessing": [FLOAT32],
    }
