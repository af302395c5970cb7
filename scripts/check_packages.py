"""Test every package of a folder with the official library of the BioImage Model Zoo.

check_packages.py FOLDER; run by check_bioimageio.sh in an environment of its own.
"""

from __future__ import annotations

import inspect
import sys
import warnings
import zipfile
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")

TOLERANCE = 1e-4


def check(path: Path) -> list[str]:
    """What is wrong with a package."""
    from bioimageio.core import load_description, test_model

    description: Any = load_description(path, perform_io_checks=False)
    problems = []
    for form in ("pytorch_state_dict", "torchscript", "onnx"):
        if getattr(description.weights, form, None) is None:
            continue
        summary = test_model(path, weight_format=form)
        if summary.status != "passed":
            problems.append(f"{form}: {summary.status}\n{summary.format()}")
            continue
        difference = largest_difference(description, path, form)
        print(f"  {form}: passed, outputs differ by {difference:.1e}")
        if not difference <= TOLERANCE:
            problems.append(f"{form}: outputs differ by {difference:g}")
    return problems


def largest_difference(description: Any, path: Path, form: str) -> float:
    """Between what the library predicts and what the package says."""
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.digest_spec import create_sample_for_model

    with zipfile.ZipFile(path) as archive:
        given = np.load(BytesIO(archive.read("test_input.npy")))
        wanted = np.load(BytesIO(archive.read("test_output.npy")))
    pipeline = create_prediction_pipeline(description, weight_format=form)
    sample = create_sample_for_model(description, inputs={"raw": given})
    # Without what it adds around the image for the halo: our borders are ours.
    exactly = {"skip_input_padding": True, "skip_output_cropping": True}
    known = inspect.signature(pipeline.predict_sample_without_blocking).parameters
    exactly = {k: v for k, v in exactly.items() if k in known}
    sample = pipeline.predict_sample_without_blocking(sample, **exactly)
    (found,) = sample.members.values()
    return float(np.abs(np.asarray(found.data) - wanted).max())


def main(folder: str) -> int:
    """0 if every package passes."""
    print(f"bioimageio.core {version('bioimageio.core')}", end=", ")
    print(f"bioimageio.spec {version('bioimageio.spec')}", end=", ")
    print(f"pydantic {version('pydantic')}, torch {version('torch')}")
    packages = sorted(Path(folder).glob("*.zip"))
    failed = 0
    for path in packages:
        print(path.name, flush=True)
        problems = check(path)
        failed += bool(problems)
        for problem in problems:
            print(f"  {problem}")
    print(f"{len(packages) - failed} of {len(packages)} packages pass")
    return int(failed > 0 or not packages)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
