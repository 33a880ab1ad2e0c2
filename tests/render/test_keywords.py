"""The keywords of `draw`, `figure` and the rest are the fields of the records that they become."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

import attnviz
from attnviz.render import figure as figures_room
from attnviz.render.drawing import write
from attnviz.render.figure.options import FigureKeywords, FigureOptions
from attnviz.render.options import DrawKeywords, DrawOptions, PictureKeywords


@pytest.mark.parametrize(("record", "keywords"), [(DrawOptions, DrawKeywords), (FigureOptions, FigureKeywords)])
def test_keywords_are_the_fields(record: Any, keywords: Any) -> None:
    told = {
        name: hint for one in reversed(keywords.__mro__[:-1]) for name, hint in inspect.get_annotations(one).items()
    }
    written = {name: getattr(hint, "__forward_arg__", hint) for name, hint in told.items()}
    assert written == {field.name: field.type for field in fields(record) if field.init}
    assert not keywords.__required_keys__


def test_a_folder_says_itself_how_many_threads_draw() -> None:
    assert set(DrawKeywords.__annotations__) - set(PictureKeywords.__annotations__) == {"threads"}


@pytest.mark.parametrize(
    ("function", "keywords"),
    [
        (attnviz.draw, "DrawKeywords"),
        (write, "DrawKeywords"),
        (attnviz.show, "DrawKeywords"),
        (attnviz.figure, "FigureKeywords"),
        (figures_room.figures, "FigureKeywords"),
        (attnviz.batch.run, "PictureKeywords"),
    ],
)
def test_functions_take_them_as_typed_keywords(function: Callable[..., Any], keywords: str) -> None:
    (rest,) = [one for one in inspect.signature(function).parameters.values() if one.kind is one.VAR_KEYWORD]
    assert rest.annotation == f"Unpack[{keywords}]"
