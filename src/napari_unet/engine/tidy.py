"""What libraries keep after a task, though nobody needs it any more."""

from __future__ import annotations

import gc
import sys
from typing import Any


def tidy() -> None:
    """Collect garbage, and let torch forget the networks that it traced.

    ``torch.jit.trace`` keeps about ten times the size of the weights for as long as
    the process lives, and a model is traced whenever it is saved. These are the calls
    that torch's own tests make between two of them. They must not be made while
    something is being traced.
    """
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "jit"):
        return
    clear = getattr(torch._C, "_jit_clear_class_registry", None)
    state = getattr(torch.jit, "_state", None)
    recursive = getattr(torch.jit, "_recursive", None)
    if clear is None or state is None or recursive is None:
        return  # another version of torch, which keeps them
    clear()
    recursive.concrete_type_store = recursive.ConcreteTypeStore()
    state._clear_class_state()
