"""The network's source code in one file that needs torch alone.

Other programs build a network from the package's architecture file; ours never looks at
it. It is made of the modules that define the network, whichever they are: a new network
needs nothing here as long as its modules import torch, the standard library and each
other.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass, field
from functools import lru_cache

from torch import nn

from napari_unet.config import Task

CLASS_NAME = "ExportedNetwork"
OWN = "napari_unet."
HEADER = '''"""A network of napari-unet-live, as one file that needs torch alone.

It was put together from the program's own modules when the model was saved; see
README.md beside it. BSD 3-Clause License, the napari-unet-live developers.
"""
'''

EXPORTED = '''
class {name}({base}):
    """The network, from a normalised image to {maps}."""

    def forward(self, image):
        logits = super().forward(image).float()
{end}
'''
ENDS: dict[Task, str] = {
    "classes": """\
        return (logits / {temperature!r}).softmax(dim=1)""",
    "objects": """\
        foreground, distance = logits[:, :1], logits[:, 1:]
        return torch.cat([foreground / {temperature!r}, distance], dim=1).sigmoid()""",
    "regression": """\
        return logits""",
}
"""What makes maps of the network's output, as :class:`MapsNetwork` does."""
MAPS: dict[Task, str] = {
    "classes": "the probability of each class",
    "objects": "foreground and centre distance, both from 0 to 1",
    "regression": "values",
}


class ArchitectureError(Exception):
    """A network whose modules cannot be put into one file."""


def architecture_source(
    network: type[nn.Module], task: Task, temperature: float = 1.0
) -> str:
    """Python source of `network` and all it needs, ending with :data:`CLASS_NAME`.

    Raises
    ------
    ArchitectureError
        If its modules import something that others do not have, or two of them use one
        name for different things.
    """
    imports, parts = _collected(network.__module__)
    exported = EXPORTED.format(
        name=CLASS_NAME,
        base=network.__name__,
        maps=MAPS[task],
        end=ENDS[task].format(temperature=temperature),
    )
    return "\n".join([HEADER, *imports, "", *parts, exported])


@lru_cache
def _collected(module: str) -> tuple[list[str], list[str]]:
    collected = _Collected()
    collected.add(module)
    # `from __future__` has to come first, and the plain ones before those from modules.
    imports = sorted(collected.imports, key=lambda i: ("__future__" not in i, i))
    return imports, collected.parts


@dataclass
class _Collected:
    """Modules that were looked at, in the order in which they need each other."""

    imports: set[str] = field(default_factory=lambda: {"import torch"})
    parts: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    defined: dict[str, str] = field(default_factory=dict)

    def add(self, module: str) -> None:
        if module in self.seen:
            return
        self.seen.add(module)
        try:
            source = inspect.getsource(importlib.import_module(module))
        except (OSError, TypeError, ImportError) as error:
            raise ArchitectureError(f"{module} has no source") from error
        tree = ast.parse(source)
        lines = source.splitlines()
        left_out: set[int] = set()
        renamed = []
        for number, node in enumerate(tree.body):
            if number == 0 and isinstance(node, ast.Expr):
                left_out |= _lines(node)  # its docstring
            elif isinstance(node, ast.Import | ast.ImportFrom):
                left_out |= _lines(node)
                renamed += self._take_import(node, module)
            elif _only_for_types(node):
                left_out |= _lines(node)
        self._check_inner_imports(tree, module)
        self._check_names(tree, module)
        kept = [line for n, line in enumerate(lines, start=1) if n not in left_out]
        body = "\n".join(kept).strip("\n")
        title = f"# {module.rpartition('.')[2]} " + "-" * 40
        self.parts.append("\n".join([title, *renamed, "", body, "", ""]))

    def _take_import(self, node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
        """Note an import; of an own module, take that in. Gives other names for it."""
        if isinstance(node, ast.Import):
            if any(f"{a.name}.".startswith(OWN) for a in node.names):
                raise ArchitectureError(f"{module}: import names, not modules")
            self.imports.add(ast.unparse(node))
            return []
        if node.level:
            raise ArchitectureError(f"{module}: imports have to be absolute")
        if not f"{node.module}.".startswith(OWN):
            self.imports.add(ast.unparse(node))
            return []
        self.add(str(node.module))
        return [f"{a.asname} = {a.name}" for a in node.names if a.asname]

    def _check_inner_imports(self, tree: ast.Module, module: str) -> None:
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    own = isinstance(node, ast.ImportFrom) and (
                        node.level or f"{node.module}.".startswith(OWN)
                    )
                    if own:
                        raise ArchitectureError(
                            f"{module}: {function.name} imports from this project"
                        )

    def _check_names(self, tree: ast.Module, module: str) -> None:
        for node in tree.body:
            for name in _defined_names(node):
                if self.defined.setdefault(name, module) != module:
                    raise ArchitectureError(
                        f"{module} and {self.defined[name]} both define {name}"
                    )


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _only_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _defined_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []
