"""``napari-unet networks``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from napari_unet.cli.common import say, table
from napari_unet.networks.catalogue import known_networks

PATCHES = {2: (128, 128), 3: (48, 48, 48)}


def run(options: argparse.Namespace) -> int:
    """List the networks, in words or with what they cost."""
    if options.json:
        found = [_facts(name, ndim) for name in known_networks() for ndim in (2, 3)]
        say(json.dumps(found, indent=1))
        return 0
    for name, spec in known_networks().items():
        say(f"{name:<16} {spec.summary}")
        if spec.paper:
            say(f"{'':<16} {spec.paper}")
    if not options.costs:
        return 0
    for ndim in (2, 3):
        say()
        say(f"{ndim}D, with the widths that this computer would get:")
        say(table(_rows(ndim)))
    return 0


def _rows(ndim: int) -> list[list[str]]:
    rows = [
        ["", "parameters", "sizes", "sees", "operations", "predicting", "training"],
    ]
    for name in known_networks():
        facts = _facts(name, ndim)
        rows.append(
            [
                name,
                f"{facts['parameters'] / 1e6:.2f} M",
                f"× {_size(facts['divisor'])}",
                _size(facts["receptive_field"]),
                f"{facts['flops_per_voxel'] / 1e3:.1f} k",
                f"{facts['predict_bytes_per_voxel']:.0f} B",
                f"{facts['train_bytes_per_voxel']:.0f} B",
            ]
        )
    return rows


def _size(size: tuple[int, ...]) -> str:
    return str(size[0]) if len(set(size)) == 1 else " × ".join(str(n) for n in size)


def _facts(name: str, ndim: int) -> dict[str, Any]:
    """Costs of a network as it would be made for one channel and two classes."""
    # torch takes seconds to load, and the list alone does not need it.
    from napari_unet.device import pick_device
    from napari_unet.networks.design import NetworkRequest
    from napari_unet.networks.facts import network_facts
    from napari_unet.networks.registry import design_network

    request = NetworkRequest(
        n_in=1,
        n_out=2,
        patch=PATCHES[ndim],
        spacing=(1.0,) * ndim,
        device="cpu" if pick_device().type == "cpu" else "gpu",
    )
    info, _ = design_network(name, request)
    return {"name": name, **asdict(network_facts(info))}
