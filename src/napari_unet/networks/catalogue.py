"""Which networks there are, in words: for the form, the command line and the pages.

Needs no torch. Networks of other packages come through the entry point group
`GROUP`; here only their names are read, nothing of theirs is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "napari_unet.networks"
"""Entry points of other packages' networks."""
DEFAULT = "unet"
LEVELS = frozenset({"base_channels", "levels", "dropout"})
FIXED = frozenset({"base_channels", "dropout"})
CONVOLVING = frozenset({"convolutions", "transposed convolutions"})
POOLING = CONVOLVING | {"pooling"}
ANY = POOLING | {"averages", "continued borders", "enlarging", "mirrored borders"}
"""Operations of `napari_unet.device`: of networks without and with pooling, and of
those that are not known."""
TRAINING = frozenset({"continued borders"})
"""What losses need beside the network; augmentation looks after itself."""


@dataclass(frozen=True)
class NetworkSpec:
    """A network that can be chosen."""

    name: str
    title: str
    summary: str
    """What it is good for, in a sentence."""
    paper: str = ""
    settings: frozenset[str] = LEVELS
    """Fields of `TrainingConfig` that shape it."""
    windowed: bool = False
    """Whether it takes means over a window, so that images are mirrored up to a
    multiple of it and tiles need much context."""
    rate: float = 1.0
    """Learning rate that suits it, over the usual one."""
    operations: frozenset[str] = POOLING
    """What a device has to be able to compute, see `napari_unet.device`."""


OWN = [
    NetworkSpec(
        "unet",
        "U-Net",
        "The default: fast, right for most images.",
        "Ronneberger et al. 2015, arXiv:1505.04597; Isensee et al. 2021, "
        "arXiv:1904.08128",
    ),
    NetworkSpec(
        "light_unet",
        "Light U-Net",
        "For computers without a graphics card: several times faster, a little less "
        "accurate.",
        "Chaurasia and Culurciello 2017, arXiv:1707.03718",
        operations=CONVOLVING,
    ),
    NetworkSpec(
        "residual_unet",
        "Residual encoder U-Net",
        "Deeper on the way down: for large data sets and a graphics card.",
        "Isensee et al. 2024, arXiv:2404.09556",
        operations=CONVOLVING,
    ),
    NetworkSpec(
        "attention_unet",
        "Attention U-Net",
        "Learns where to look: for small structures in large images.",
        "Oktay et al. 2018, arXiv:1804.03999",
        operations=POOLING | {"enlarging"},
    ),
    NetworkSpec(
        "fusion_unet",
        "Late fusion U-Net",
        "An encoder for each channel: several modalities, one of which may be missing "
        "(all zero) when predicting.",
        "Dolz et al. 2018, arXiv:1804.02967; Neverova et al. 2016, arXiv:1501.00102",
    ),
    NetworkSpec(
        "unet_plus_plus",
        "UNet++",
        "More layers between encoder and decoder: fine structures of several sizes, "
        "slower.",
        "Zhou et al. 2018, arXiv:1807.10165",
    ),
    NetworkSpec(
        "deeplabv3plus",
        "DeepLabV3+",
        "Looks far around at several distances: large regions and scenes.",
        "Chen et al. 2018, arXiv:1802.02611",
        FIXED,
        windowed=True,
        operations=POOLING | {"averages", "enlarging"},
    ),
    NetworkSpec(
        "pspnet",
        "PSPNet",
        "Takes means of the surroundings into account: large regions and scenes, soft "
        "edges.",
        "Zhao et al. 2017, arXiv:1612.01105",
        FIXED,
        windowed=True,
        operations=POOLING | {"averages", "enlarging"},
    ),
    NetworkSpec(
        "hrnet",
        "HRNet",
        "Keeps several resolutions side by side: structures of very different sizes.",
        "Wang et al. 2020, arXiv:1908.07919",
        FIXED,
        operations=CONVOLVING | {"enlarging"},
    ),
    NetworkSpec(
        "unet_2015",
        "U-Net of 2015",
        "The first U-Net as published: 31 million parameters, slow on a CPU.",
        "Ronneberger et al. 2015, arXiv:1505.04597",
        LEVELS,
        # Without normalisation the usual rate lets the loss grow without bounds.
        rate=0.1,
        operations=POOLING | {"mirrored borders"},
    ),
    NetworkSpec(
        "unet_2016",
        "3D U-Net of 2016",
        "The first 3D U-Net as published: 19 million parameters, for cubic voxels and "
        "a graphics card.",
        "Çiçek et al. 2016, arXiv:1606.06650",
        LEVELS,
        operations=POOLING | {"mirrored borders"},
    ),
]


@cache
def own_networks() -> dict[str, NetworkSpec]:
    """The networks of this program by name, the default first."""
    return {spec.name: spec for spec in OWN}


def foreign_networks() -> dict[str, EntryPoint]:
    """Networks of other packages by name; a name of ours is never taken over."""
    return {
        point.name: point
        for point in entry_points(group=GROUP)
        if point.name not in own_networks() and point.name != "pixel_unet"
    }


def known_networks() -> dict[str, NetworkSpec]:
    """All networks that can be chosen, by name; those of other packages last."""
    others = {
        name: NetworkSpec(
            name,
            name,
            f"From the package {_package(point)}.",
            settings=LEVELS,
            operations=ANY,
        )
        for name, point in sorted(foreign_networks().items())
    }
    return own_networks() | others


def operations_of(name: str, *, training: bool = False) -> frozenset[str]:
    """What a device has to be able to compute for a network."""
    spec = known_networks().get(name)
    return (ANY if spec is None else spec.operations) | (
        TRAINING if training else set()
    )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
