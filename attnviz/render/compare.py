"""Traces of one photo, side by side: they must have the same words, and each needs a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attnviz.errors import ConfigError, TraceError

if TYPE_CHECKING:
    from attnviz.trace import Trace


def check_words(traces: Sequence[Trace]) -> None:
    """Raises TraceError for a trace without steps, ConfigError for traces of different words."""
    if any(len(trace) == 0 for trace in traces):
        raise TraceError("the trace has no steps, so there is nothing to draw")
    if any(trace.tokens != traces[0].tokens for trace in traces):
        raise ConfigError("traces of different words cannot be compared; explain the photo with the same text")


def names_of(traces: Sequence[Trace]) -> list[str]:
    """What tells the traces apart: their modes, models, layers or maps, or mode and model, or numbers."""
    layers = [_layers(trace.layers) for trace in traces]
    for names in ([trace.mode for trace in traces], [trace.model for trace in traces], layers, _maps(traces)):
        if all(names) and len(set(names)) == len(names):
            return [str(name) for name in names]
    both = [" ".join(filter(None, (trace.model, trace.mode))) for trace in traces]
    if len(set(both)) == len(both) and all(both):
        return both
    return [f"{name or 'trace'} {number}" for number, name in enumerate(both, 1)]


def kind_of(traces: Sequence[Trace]) -> str:
    """What the names of `names_of` are names of: "mode", "model", "layer" or "map", or "row" for anything else."""
    names = names_of(traces)
    if names == [_layers(trace.layers) for trace in traces]:
        return "layer"
    if names == _maps(traces):
        return "map"
    for kind in ("mode", "model"):
        if names == [getattr(trace, kind) for trace in traces]:
            return kind
    return "row"


def _maps(traces: Sequence[Trace]) -> list[str]:
    return [str(trace.settings.get("map", "attention")) for trace in traces]


def _layers(layers: str | None) -> str | None:
    """A choice of layers as a name: "layer 8", "layers 10-20", "all layers"."""
    if layers is None or not layers[:1].isdigit():
        return layers and f"{layers} layer{'s' * (layers == 'all')}"
    return f"layer{'s' * ('-' in layers)} {layers}"
