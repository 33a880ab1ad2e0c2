"""The names that options accept, known without importing what they stand for; tests hold them to the real tables."""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """One score function: its formula, what the softmax runs over, and what to know about it."""

    score: str
    over: str
    note: str


MODES = {
    "concat": Mode("s_i = w . tanh(Wc [E_i ; d])", "cells", "the additive form; the default"),
    "general": Mode("s_i = (We E_i) . (Wd d)", "cells", "both sides projected to a common size"),
    "dot": Mode("s_i = E_i . d", "cells", "needs as many channels as the state has"),
    "channel-dot": Mode("s_c = sum_i d_i E_ic", "channels", "needs as many cells as the state has; fixed grid"),
    "channel-general": Mode("s_c = (Wd d) . (We E_:c)", "channels", "a class activation map in effect; fixed grid"),
    "flat-concat": Mode("s = tanh(FC([d ; flatten(E)]))", "cells", "at most e/(e + (N-1)/e) of N cells; fixed grid"),
}
"""In the order of usefulness. E_i is the encoder's output at cell i, E_:c its channel c, d the decoder's state."""

FORMATS = (
    "png",
    "gif",
    "overview",
    "jpg",
    "webp-stills",
    "apng",
    "webp",
    "mp4",
    "html",
    "pdf",
    "svg",
    "boxes",
    "arrays",
)
FILES = {
    "gif": ("gif",),
    "png": ("overview", "png"),
    "webp": ("webp", "webp-stills"),
    "apng": ("apng",),
    "mp4": ("mp4",),
    "html": ("html",),
    "pdf": ("pdf",),
    "svg": ("svg",),
    "json": ("boxes",),
    "npz": ("npz", "arrays"),
    "jpg": ("jpg",),
}
"""What a file named with `-o` may hold, by its suffix; the first unless `-f` says another."""
FIGURE_FORMATS = ("pdf", "svg", "png")

EVIDENCE_FORMATS = ("table", "json", "pdf", "html")
REMOVALS = ("blur", "mean")

SCALES = ("log", "linear", "shared", "step")
RENAMED_SCALES = {"uniform": "linear"}
STYLES = ("heat", "spotlight", "contour")
DEVICES = ("auto", "cpu", "cuda", "mps")
MAPS = ("attention", "gradient")
HARD = ("sample", "argmax")
VIEWS = ("all", "overview", "tiles")
SHELLS = ("bash", "zsh", "fish")

COMPLETING = "_ATTNVIZ_COMPLETE"
"""Set by the scripts of `attnviz completion`, which want to know what can come next: SHELL_complete."""
