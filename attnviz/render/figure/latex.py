"""What LaTeX needs to include a figure: its environment, with a caption that says what is to be seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from attnviz.render.compare import names_of
from attnviz.render.figure.draw import number_name
from attnviz.render.heatmap import quantity
from attnviz.trace.wording import UNSURE, UNSURE_MARK, unsure

if TYPE_CHECKING:
    from attnviz.render.figure.options import FigureOptions
    from attnviz.trace import Trace

COLOURS = {
    "log": "Colour: attention in multiples of uniform attention; what has less than 1 is left as it is.",
    "linear": "Colour: attention in multiples of uniform attention, from 0 to 10.",
    "shared": "Colour: attention in multiples of uniform attention, on one scale for all panels.",
    "step": "Colour: attention as a share of each panel's own largest, which stands in its corner.",
}
LINES = "Lines enclose 50\\,\\% and 90\\,\\% of the attention."

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # a quotation mark of its own needs an encoding that not every paper has
    **{char: f"\\{char}" for char in "{}$&#_%"},
}


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(_SPECIAL.get(char, char) for char in text)


def snippet(
    path: str, traces: Sequence[Sequence[Trace]], options: FigureOptions, first: int = 0, total: int = 0
) -> str:
    """A `figure` environment for a saved figure.

    Args:
        path: of the file, as LaTeX shall find it.
        traces: of each photo those that are compared, as they were drawn.
        options: how.
        first: number of the page's first photo among `total` on all pages; their letters, (a) and so on, go on.
    """
    label = re.sub(r"[^A-Za-z0-9]+", "-", PurePath(path).stem).strip("-") or "attention"
    name = path if re.fullmatch(r"[\w./+=:@-]+", path) else f"\\detokenize{{{path}}}"
    return "\n".join(
        (
            r"\begin{figure}[t]",
            r"  \centering",
            f"  \\includegraphics[width={options.inches:g}in]{{{name}}}",
            f"  \\caption{{{caption(traces, options, first, total)}}}",
            f"  \\label{{fig:{label}}}",
            r"\end{figure}",
            "",
        )
    )


def caption(traces: Sequence[Sequence[Trace]], options: FigureOptions, first: int = 0, total: int = 0) -> str:
    """What the figure shows, as LaTeX text: who looks, at which words, and what colours and marks mean."""
    rows = traces[0]
    one = rows[0]
    who = escaped(" ".join(filter(None, (one.model, f"({one.mode})" if one.mode and len(rows) == 1 else ""))))
    several = max(total, len(traces)) > 1
    said = "; ".join(
        (f"({number_name(first + number)}) " if several else "") + f"``{escaped(of_one[0].caption)}''"
        for number, of_one in enumerate(traces)
    )
    does = "reads each word of" if one.settings.get("given") else "writes each word of"
    shown = quantity(rows)
    parts = [f"Where {who or 'the network'} looks while it {does} {said}."]
    if "gradient" in shown:
        parts = [f"What in the attention of {who or 'the network'} speaks for each word of {said}."]
    if len(rows) > 1:
        names = [escaped(name) for name in names_of(rows)]
        parts.append(f"Rows: {', '.join(names)}{f', and differences from {names[0]}' if options.difference else ''}.")
    parts.append(LINES if options.style == "contour" else COLOURS[options.scale])
    parts[-1] = parts[-1].replace("attention", shown.replace("×", "$\\times$"), 1)
    if any(any(unsure(trace.logprobs, len(trace))) for of_one in traces for trace in of_one):
        parts.append(f"A mark ({UNSURE_MARK}): the word had a probability below {UNSURE:g}.")
    return " ".join(parts)
