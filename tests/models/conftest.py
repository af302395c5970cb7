from __future__ import annotations

import zipfile

import pytest

from .small_models import make_model


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def path(tmp_path, model):
    return model.save(tmp_path / "new folder" / "m.bioimage.io.zip", quick=True)


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, **changes):
    """The same archive with some entries replaced (``None`` leaves one out).

    Names are written with ``__`` for the dot.
    """
    old = entries(path)
    old.update({k.replace("__", "."): v for k, v in changes.items()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in old.items():
            if data is not None:
                archive.writestr(name, data)
