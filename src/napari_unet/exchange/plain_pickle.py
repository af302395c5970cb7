"""What a pickle describes, told without running it.

A pickle is a small program, and running it may do anything. Here its instructions are
only followed on paper: a call becomes a :class:`Call` that says what would have been
called, and nothing is ever imported or called.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

MAX_STEPS = 50_000_000


class PickleError(ValueError):
    """The pickle is damaged, or uses what plain data does not need."""


@dataclass(frozen=True)
class Name:
    """Something that would have been imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """A call that was not made."""

    function: Any
    arguments: Any
    state: Any = None


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise PickleError("it takes more than there is")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise PickleError("it has no beginning")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken


CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING "
    "SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def describe_pickle(file: IO[bytes]) -> Any:
    """The data of a pickle, with a `Call` for everything that is no plain data.

    Raises
    ------
    PickleError
        If it is damaged, or holds instructions that plain data does not need.
    """
    machine = _Machine()
    try:
        for code, argument, _ in islice(pickletools.genops(file), MAX_STEPS):
            if code.name == "STOP":
                return machine.pop(1)[0]
            _follow(machine, code.name, argument)
    except PickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise PickleError(str(error)) from error
    raise PickleError("it has no end, or is too long")


def _follow(machine: _Machine, code: str, argument: Any) -> None:
    stack = machine.stack
    if code in VALUES:
        stack.append(argument)
    elif code in CONSTANTS:
        stack.append(CONSTANTS[code])
    elif code in TUPLES:
        count = TUPLES[code]
        stack.append(tuple(machine.pop(count)) if count else ())
    elif code in PUTS:
        machine.memo[int(argument)] = stack[-1]
    elif code == "MEMOIZE":
        machine.memo[len(machine.memo)] = stack[-1]
    elif code in GETS:
        stack.append(machine.memo[int(argument)])
    elif code == "MARK":
        machine.marks.append(len(stack))
    elif code in ("PROTO", "FRAME"):
        return
    elif not _collect(machine, code) and not _call(machine, code, argument):
        raise PickleError(f"it uses {code}")


def _collect(machine: _Machine, code: str) -> bool:
    """Tuples, lists and dictionaries."""
    stack = machine.stack
    if code == "TUPLE":
        stack.append(tuple(machine.since_mark()))
    elif code in ("EMPTY_LIST", "LIST"):
        stack.append([] if code == "EMPTY_LIST" else machine.since_mark())
    elif code in ("EMPTY_DICT", "DICT"):
        stack.append({} if code == "EMPTY_DICT" else _paired(machine.since_mark()))
    elif code in ("APPEND", "APPENDS"):
        new = machine.pop(1) if code == "APPEND" else machine.since_mark()
        _last(stack, list).extend(new)
    elif code in ("SETITEM", "SETITEMS"):
        new = machine.pop(2) if code == "SETITEM" else machine.since_mark()
        _last(stack, dict).update(_paired(new))
    elif code in ("POP", "POP_MARK"):
        machine.pop(1) if code == "POP" else machine.since_mark()
    else:
        return False
    return True


def _call(machine: _Machine, code: str, argument: Any) -> bool:
    """What a real reader would import and call."""
    stack = machine.stack
    if code == "GLOBAL":
        module, _, name = str(argument).partition(" ")
        stack.append(Name(module, name))
    elif code == "STACK_GLOBAL":
        module, name = machine.pop(2)
        stack.append(Name(str(module), str(name)))
    elif code in ("REDUCE", "NEWOBJ"):
        function, arguments = machine.pop(2)
        stack.append(Call(function, arguments))
    elif code == "BUILD":
        (state,) = machine.pop(1)
        _last(stack, Call).state = state
    else:
        return False
    return True


def _last(stack: list[Any], kind: type) -> Any:
    if not isinstance(stack[-1], kind):
        raise PickleError(f"there is no {kind.__name__} to add to")
    return stack[-1]


def _paired(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))
