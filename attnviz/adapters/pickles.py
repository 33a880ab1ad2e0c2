"""Reads a pickle and runs nothing: a small machine for the instructions that a checkpoint of torch is made of.

A pickle is a program, and Python's own reader imports and calls whatever it names. Here a name stays a name. Those that
a table admits are answered by functions of ours; classes of networks and optimisers become a `Shell`, a name and a
state without behaviour; every other one ends the reading. `pickletools` of the standard library takes the instructions
apart.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from attnviz.errors import ModelError, counted

LONGEST = 8 * 2**20
"""Bytes of one pickle: checkpoints of a ResNet-101 with its optimiser's state have half a megabyte."""

MALFORMED = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, AssertionError)
"""What instructions that do not fit each other raise."""


class Name(NamedTuple):
    """Something that a pickle names, a class or a function, by its name alone."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Shell:
    """An object of a class that is not here: the class's name and the object's state, nothing that could be run."""

    kind: Name
    state: dict[str, Any] = field(default_factory=dict)


Answer = Callable[..., Any]


class Window:
    """A file from where it stands, of which so many bytes can be read and no more.

    Args:
        size: where it ends, for a part of a file; None for as far as the file goes.
    """

    def __init__(self, file: BinaryIO, size: int | None = None) -> None:
        self.file, self.left, self.end = file, LONGEST, size

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= self.left:
            raise ModelError(f"its list of contents is longer than {LONGEST:,} bytes: it is damaged, or no checkpoint")
        return self._take(self.file.read(self._inside(count)))

    def readline(self) -> bytes:
        return self._take(self.file.readline(self._inside(self.left)))

    def _inside(self, count: int) -> int:
        return count if self.end is None else min(count, self.end)

    def _take(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.end is not None:
            self.end -= len(data)
        return data


class Reader:
    """Reads pickles with a table of what may be asked for.

    Args:
        answers: name -> the function that stands for it when it is called.
        is_shell: whether a class that is not among them may become a `Shell`.
        persistent: turns what torch writes in the place of a storage, or of a class with its source, into a value.
    """

    def __init__(
        self,
        answers: Mapping[Name, Answer],
        is_shell: Callable[[Name], bool],
        persistent: Callable[[Any], Any],
    ) -> None:
        self.answers, self.is_shell, self.persistent = answers, is_shell, persistent

    def read(self, file: BinaryIO, size: int | None = None) -> Any:
        """The value of the pickle that begins where `file` stands; afterwards it stands behind it.

        Args:
            size: the bytes that may belong to it, where others follow.

        Raises:
            ModelError: for a name that is not admitted, and for instructions that are none or do not fit each other.
        """
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd escapes, which pickletools takes as they stand
                for instruction, argument, _ in pickletools.genops(Window(file, size)):  # type: ignore[arg-type]
                    if instruction.name == "STOP":
                        return self.stack.pop()
                    self._step(instruction.name, argument)
        except MALFORMED as error:
            told = " ".join(str(error).split())[:100]
            raise ModelError(f"its list of contents is cut off or damaged ({type(error).__name__}: {told})") from error
        raise ModelError("its list of contents is cut off")

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in VALUES:
            stack.append(argument)
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "POP":
            stack.pop()
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in COLLECT:
            self._collect(name)
        else:
            self._construct(name, argument)

    def _collect(self, name: str) -> None:
        """What gathers values of the stack into a tuple, list, dict or set."""
        count = COLLECT[name]
        items = self._since_mark() if count is None else [self.stack.pop() for _ in range(count)][::-1]
        if name.startswith("TUPLE"):
            self.stack.append(tuple(items))
        elif name == "LIST":
            self.stack.append(items)
        elif name == "DICT":
            self.stack.append(dict(_pairs(items)))
        elif name == "POP_MARK":
            pass
        elif name in ("APPEND", "APPENDS"):
            self._of(list).extend(items)
        elif name == "ADDITEMS":
            self._of(set).update(items)
        else:  # SETITEM, SETITEMS
            self._of(dict).update(_pairs(items))

    def _construct(self, name: str, argument: Any) -> None:
        """What names, calls and fills."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(self._admit(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            last, module = stack.pop(), stack.pop()
            stack.append(self._admit(module, last))
        elif name == "BINPERSID":
            stack.append(self.persistent(stack.pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            stack.append(self.call(called, arguments))
        elif name == "BUILD":
            state, target = stack.pop(), stack[-1]
            if isinstance(target, Shell):
                if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
                    raise ModelError(f"the state of {target.kind} in it is no table of attributes")
                target.state.update(state)
            # Else the attributes of a dict or a tensor, such as hooks: nothing that is kept.
        else:
            raise ModelError(f"it holds the instruction {name}, which torch does not write")

    def call(self, called: Any, arguments: Any) -> Any:
        """What stands for the call of a name. Raises ModelError for one that may not be called like this."""
        if not isinstance(called, Name) or not isinstance(arguments, tuple):
            raise ModelError("it calls what is no name")
        if (answer := self.answers.get(called)) is not None:
            return answer(*arguments)
        if arguments or not self.is_shell(called):
            raise ModelError(
                f"it calls {called} with {counted(len(arguments), 'value')}, which no checkpoint of this kind does"
            )
        return Shell(called)

    def _admit(self, module: Any, name: Any) -> Name:
        found = Name(str(module), str(name))
        plain = found.name.isidentifier() and all(part.isidentifier() for part in found.module.split("."))
        if not plain or (found not in self.answers and not self.is_shell(found)):
            raise ModelError(
                f"it asks for {str(found)!r}, which no checkpoint of this kind needs: nothing of it was run"
            )
        return found

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _of(self, kind: type[Any]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"{type(self.stack[-1]).__name__} where a {kind.__name__} is filled")
        return self.stack[-1]


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
VALUES = frozenset(
    {"INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE"}
    | {"SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"}
)
COLLECT = {"TUPLE": None, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "LIST": None, "DICT": None, "POP_MARK": None}
COLLECT |= {"APPEND": 1, "APPENDS": None, "ADDITEMS": None, "SETITEM": 2, "SETITEMS": None}
