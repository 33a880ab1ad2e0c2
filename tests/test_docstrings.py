"""What is public says what it takes, what it gives and what it raises."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

import attnviz


def public() -> Iterator[tuple[str, Any]]:
    """(name, object) of what `attnviz` and its public modules name in `__all__`."""
    for module in ("attnviz", *(f"attnviz.{name}" for name in attnviz._MODULES)):
        home = import_module(module)
        for name in getattr(home, "__all__", ()):
            yield f"{module}.{name}", getattr(home, name)


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions among them, and the public methods of the classes among them, each once."""
    seen = set[int]()
    for name, value in public():
        members = [(name, value)]
        if inspect.isclass(value):
            members = [(f"{name}.{key}", getattr(one, "__func__", one)) for key, one in vars(value).items()]
        for called, function in members:
            if (
                inspect.isfunction(function)
                and id(function) not in seen
                and not called.rpartition(".")[2].startswith("_")
            ):
                seen.add(id(function))
                yield called, function


FUNCTIONS = dict(callables())


def raises(function: Callable[..., Any]) -> bool:
    """Whether a function itself has a raise that is not caught on the spot."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


@pytest.mark.parametrize("name", [name for name, value in public() if callable(value)])
def test_whatever_is_public_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(dict(public())[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_take_and_raise(name: str) -> None:
    function = FUNCTIONS[name]
    told = inspect.getdoc(function) or ""
    assert told, "no docstring"
    if "Args:" in told:
        for parameter in inspect.signature(function).parameters:
            if parameter not in ("self", "cls"):
                assert re.search(rf"\b{parameter}\b", told), f"{parameter} is not explained"
    if raises(function):
        assert re.search(r"\b[Rr]aises?\b", told), "it raises, and does not say so"
