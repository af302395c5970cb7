"""Running packages of other programs as networks, for our own tiles."""

from __future__ import annotations

import importlib
import importlib.util
import io
import itertools
import math
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.errors import ModelFileError
from napari_unet.models.archive import (
    UNREADABLE,
    damaged,
    is_plain,
    open_archive,
    read_entry,
    unsafe,
)
from napari_unet.models.exports import onnx_session
from napari_unet.models.foreign import ForeignPlan, Side, Step, plan_foreign, refused
from napari_unet.models.model_file import (
    MAX_WEIGHTS_BYTES,
    read_rdf,
    state_dict_from,
)

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}
WRITES = (b"from_file", b"torch.save", b"aten::save", b"_save_parameters")
"""What a TorchScript program could do to files."""
MAX_CODE_BYTES = 2**22
DEFAULT_HALO = {2: 32, 3: 8}
"""Context in voxels where the package does not say how much it needs."""


class Runner(Protocol):
    """The network itself, in whichever form."""

    def __call__(self, image: Tensor) -> Tensor: ...
    def to(self, device: torch.device) -> None: ...


class ForeignNetwork(nn.Module):
    """A package of another program as one of our networks.

    Its axes, sizes, steps before and after are those of the package. An image of any
    size is taken: it is mirrored up to a size that the package allows, or cut into
    windows where there is only one.
    """

    gives_maps = True
    """What comes out are probabilities already."""

    def __init__(self, plan: ForeignPlan, runner: Runner) -> None:
        super().__init__()
        self.plan, self._runner = plan, runner

    def __deepcopy__(self, memo: dict[int, Any]) -> ForeignNetwork:
        return self  # nothing in it changes

    def to(self, *args: Any, **kwargs: Any) -> ForeignNetwork:
        """Move to a device; the package keeps its own types."""
        device = kwargs.get("device") or next(
            (a for a in args if isinstance(a, torch.device)), None
        )
        if device is not None:
            self._runner.to(torch.device(device))
        return self

    @property
    def divisor(self) -> tuple[int, ...]:
        """Steps in which sizes along (Z) Y X grow; windows do that by themselves."""
        given, scale = self.plan.given, self.plan.answer.scale
        return tuple(
            max(step, 1, round(1 / s) if s < 1 else 1)
            for step, s in zip(given.step, scale, strict=True)
        )

    @property
    def halo(self) -> tuple[int, ...]:
        """Context in voxels along (Z) Y X."""
        return tuple(
            math.ceil(h / d) * d
            for h, d in zip(self._context(), self.divisor, strict=True)
        )

    def _context(self) -> list[int]:
        """What the package says, or what is usual, where it says nothing."""
        given, answer = self.plan.given, self.plan.answer
        usual = DEFAULT_HALO[len(given.step)]
        return [
            math.ceil(halo / scale) or (usual if step else small // 8)
            for halo, scale, step, small in zip(
                answer.halo, answer.scale, given.step, given.smallest, strict=True
            )
        ]

    def forward(self, image: Tensor) -> Tensor:
        """Maps ``N K (Z) Y X`` of an image ``N C (Z) Y X``."""
        with torch.autocast(image.device.type, enabled=False):
            ready = run_steps(image.float(), self.plan.before)
            maps = self._windows(ready)
            maps = run_steps(maps, self.plan.after).float()
        if self.plan.kind != "sigmoid":
            return maps
        # What no map stands for is background.
        return torch.cat([1 - maps.amax(dim=1, keepdim=True), maps], dim=1)

    def _windows(self, image: Tensor) -> Tensor:
        """The network on an image of any size, window by window where it must be."""
        given, shape = self.plan.given, image.shape[2:]
        ndim = len(shape)
        window = [
            small + (math.ceil(max(0, n - small) / step) * step if step else 0)
            for n, small, step in zip(shape, given.smallest, given.step, strict=True)
        ]
        if all(w >= n for w, n in zip(window, shape, strict=True)):
            return self._window(padded(image, window))[_cut(shape)]
        halo = [
            0 if step else min(h, (w - 1) // 2)
            for h, w, step in zip(self._context(), window, given.step, strict=True)
        ]
        result: Tensor | None = None
        starts = [_starts(n, w, h) for n, w, h in zip(shape, window, halo, strict=True)]
        for corner in itertools.product(*starts):
            part = image[_box(corner, window)]
            found = self._window(padded(part, window))
            if result is None:
                result = found.new_zeros((*found.shape[:2], *shape))
            inner = [
                (0 if c == 0 else h, w if c + w >= n else w - h)
                for c, h, w, n in zip(corner, halo, window, shape, strict=True)
            ]
            stop = [
                min(c + b, n) for c, (_, b), n in zip(corner, inner, shape, strict=True)
            ]
            target: Any = tuple(
                slice(c + a, e)
                for c, (a, _), e in zip(corner, inner, stop, strict=True)
            )
            taken: Any = tuple(
                slice(a, e - c)
                for c, (a, _), e in zip(corner, inner, stop, strict=True)
            )
            result[(..., *target)] = found[(..., *taken)]
        if result is None:
            raise ValueError(f"there is nothing in {ndim} dimensions")
        return result

    def _window(self, image: Tensor) -> Tensor:
        """The network on an image of a size that it takes."""
        given, answer = self.plan.given, self.plan.answer
        # One by one: many packages take no more at a time.
        maps = torch.cat(
            [
                brought_back(
                    self._runner(laid_out(image[n : n + 1], given)), answer
                ).float()
                for n in range(len(image))
            ]
        )
        if maps.shape[2:] != image.shape[2:]:
            mode = "bilinear" if image.ndim == 4 else "trilinear"
            maps = F.interpolate(
                maps, tuple(image.shape[2:]), mode=mode, align_corners=False
            )
        return maps


def _starts(length: int, window: int, halo: int) -> list[int]:
    if length <= window:
        return [0]
    step = window - 2 * halo
    inner = list(range(0, length - window, step))
    return [*inner, length - window]


def _box(corner: Sequence[int], size: Sequence[int]) -> Any:
    return (..., *(slice(c, c + n) for c, n in zip(corner, size, strict=True)))


def _cut(shape: Sequence[int]) -> Any:
    return (..., *(slice(0, n) for n in shape))


def padded(image: Tensor, size: Sequence[int]) -> Tensor:
    """``N C (Z) Y X`` mirrored at its far ends up to `size`."""
    for axis, length in enumerate(size, start=2):
        have = image.shape[axis]
        if have < length:
            period = max(1, 2 * (have - 1))
            index = torch.arange(length, device=image.device) % period
            index = torch.minimum(index, period - index).clamp(max=have - 1)
            image = image.index_select(axis, index)
    return image


def laid_out(image: Tensor, side: Side) -> Tensor:
    """``N C (Z) Y X`` in the order of the package's axes."""
    own = "NC" + "".join(a for a in "ZYX" if a in side.axes)
    for letter in ("N", "C"):
        if letter not in side.axes:
            image = image.select(own.index(letter), 0)
            own = own.replace(letter, "")
    return image.permute([own.index(a) for a in side.axes]).contiguous()


def brought_back(found: Tensor, side: Side) -> Tensor:
    """A tensor in the order of the package's axes as ``N C (Z) Y X``."""
    axes = side.axes
    for letter in ("N", "C"):
        if letter not in axes:
            found, axes = found.unsqueeze(0), letter + axes
    wanted = "NC" + "".join(a for a in "ZYX" if a in axes)
    return found.permute([axes.index(a) for a in wanted])


def run_steps(image: Tensor, steps: Sequence[Step]) -> Tensor:
    """Steps of a package on ``N C (Z) Y X``."""
    for name, kwargs in steps:
        image = _step(image, name, kwargs)
    return image


def _step(image: Tensor, name: str, kwargs: dict[str, Any]) -> Tensor:
    def along(value: Any, default: float) -> Tensor:
        given = torch.as_tensor(
            default if value is None else value, dtype=torch.float32
        ).to(image.device)
        return given.reshape(1, -1, *(1,) * (image.ndim - 2)) if given.ndim else given

    if name == "ensure_dtype":
        return _cast(image, str(kwargs["dtype"]))
    if name == "sigmoid":
        return image.float().sigmoid()
    if name == "softmax":
        return image.float().softmax(dim=1)
    if name == "clip":
        return image.clamp(min=kwargs.get("min"), max=kwargs.get("max"))
    if name == "binarize":
        return (image > along(kwargs.get("threshold"), 0.5)).float()
    if name == "scale_linear":
        gain, offset = along(kwargs.get("gain"), 1.0), along(kwargs.get("offset"), 0.0)
        return image * gain + offset
    mean, std = along(kwargs.get("mean"), 0.0), along(kwargs.get("std"), 1.0)
    return (image - mean) / std


def _cast(image: Tensor, dtype: str) -> Tensor:
    wanted = DTYPES.get(dtype, torch.float32)
    if wanted.is_floating_point or wanted == torch.bool:
        return image.to(wanted)
    limits = torch.iinfo(wanted)
    # Brighter than the type holds is as bright as it holds, not dark again.
    return image.clamp(limits.min, limits.max).to(wanted)


# --- the network itself --------------------------------------------------------------


class _Onnx:
    def __init__(self, data: bytes, path: Path) -> None:
        try:
            session = onnx_session(data)
        except Exception as error:
            raise damaged(path, "its weights cannot be read") from error
        if session is None:
            raise refused(
                path,
                "its weights are ONNX, for which another package is needed: "
                'install it with `pip install "napari-unet-live[bioimageio]"`',
            )
        self._session = session
        self._name = session.get_inputs()[0].name

    def __call__(self, image: Tensor) -> Tensor:
        (found, *_) = self._session.run(None, {self._name: image.cpu().numpy()})
        return torch.from_numpy(np.asarray(found)).to(image.device)

    def to(self, device: torch.device) -> None:
        """It computes on the CPU wherever the image is."""


class _Module:
    def __init__(self, module: Any) -> None:
        self._module = module.eval()

    def __call__(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            found = self._module(image)
        first: Tensor = found[0] if isinstance(found, tuple | list) else found
        return first

    def to(self, device: torch.device) -> None:
        self._module.to(device)


def load_foreign(path: Path, *, allow_code: bool = False) -> ForeignNetwork:
    """Open a package of another program.

    Parameters
    ----------
    allow_code : bool
        Whether Python code that comes with the package may run. Without, only ONNX and
        TorchScript are opened.

    Raises
    ------
    ModelFileError
        If it cannot be used, or only with its own code and that is not allowed.
    """
    with open_archive(path) as archive:
        plan = plan_foreign(archive, path, read_rdf(archive, path))
        entry = plan.weights
        if plan.form == "pytorch_state_dict" and not allow_code:
            raise refused(
                path,
                "it runs only with Python code that comes with it, which could do "
                "anything on this computer; if you trust who made it, allow it "
                "(when Predict or Batch asks, by `--allow-model-code`, or by "
                "`load_model(path, allow_code=True)`)",
            )
        name, checksum = str(entry["source"]), entry.get("sha256")
        data = read_entry(archive, path, name, MAX_WEIGHTS_BYTES, checksum)
        runner: Runner
        if plan.form == "onnx":
            runner = _Onnx(data, path)
        elif plan.form == "torchscript":
            runner = _Module(_torchscript(data, path))
        else:
            runner = _Module(_own_code(archive, data, entry, path))
    return ForeignNetwork(plan, runner)


def _torchscript(data: bytes, path: Path) -> Any:
    """A TorchScript program: it cannot import anything, but some calls touch files."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as inner:
            for entry in inner.infolist():
                if not entry.filename.endswith(".py"):
                    continue
                code = read_entry(inner, path, entry.filename, MAX_CODE_BYTES)
                if any(word in code for word in WRITES):
                    raise unsafe(path, "its network reads or writes files")
    except UNREADABLE as error:
        raise damaged(path, "its weights cannot be read") from error
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that TorchScript will go
        try:
            jit: Any = torch.jit
            return jit.load(io.BytesIO(data), map_location="cpu")
        except (RuntimeError, ValueError) as error:
            raise damaged(path, "its weights cannot be read") from error


def _own_code(
    archive: zipfile.ZipFile, data: bytes, entry: dict[str, Any], path: Path
) -> nn.Module:
    """A network built by the package's own code. Only with consent."""
    architecture = entry["architecture"]
    source = architecture.get("source")
    code = b""
    if source:
        if not is_plain(source):
            raise unsafe(path, "its code lies outside of the file")
        checksum = architecture.get("sha256")
        code = read_entry(archive, path, source, MAX_CODE_BYTES, checksum)
    try:
        if source:
            module = _module(code)
        else:
            module = importlib.import_module(architecture["import_from"])
        kind = getattr(module, architecture["callable"])
        network: nn.Module = kind(**(architecture.get("kwargs") or {}))
        network.load_state_dict(state_dict_from(data, path))
    except ModelFileError:
        raise
    except Exception as error:
        raise refused(path, f"its own code fails ({error})") from error
    return network


def _module(source: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "foreign_architecture.py"
        file.write_bytes(source)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None:
            raise ImportError("no loader")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
