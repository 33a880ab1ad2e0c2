"""Recording the attention of any plain PyTorch code while it runs, without changing what it computes.

A torch function mode sees every softmax and attention function that is called. Modules of torch that take a shortcut
where nobody looks (`nn.MultiheadAttention` in evaluation) keep taking it, and their weights are computed beside it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from attnviz.adapters.calls import Batch, Call, array_of
from attnviz.adapters.functions import Mode, shortcuts
from attnviz.errors import ConfigError, TraceError
from attnviz.photo.sizes import whole
from attnviz.trace import Trace

if TYPE_CHECKING:
    from types import FrameType

    from attnviz.photo.frame import Frame
    from attnviz.photo.sizes import Size
    from attnviz.trace.words import Pieces


def watch(net: nn.Module | None, cells: int | Iterable[int]) -> Watch:
    """Records the attention over so many cells that runs while the context is open.

    Use it around your own loop, whatever that is, and make a trace of what was seen:

        with attnviz.watch(net, cells=196) as seen:
            words = caption(net, pixels)
        trace = seen.trace(words, image="photo.jpg")

    Seen are softmaxes (as function, method or module), `F.scaled_dot_product_attention`, `nn.MultiheadAttention` and
    `F.multi_head_attention_forward`: weights after the softmax and before any dropout. What the network computes stays
    the same to the bit, random numbers and gradients too. Self-attention of the cells among themselves is left out,
    and so is what other modules than `net` and its parts do. Not seen is what runs compiled or scripted, and a softmax
    that is written out as exp and sum.

    Args:
        net: the network; None for whatever runs.
        cells: the number of the encoder's cells, such as 14 * 14, plus a CLS token if there is one; or several numbers.

    Raises:
        ConfigError: a `net` that is no module, or cells that are no positive numbers.
    """
    if net is not None and not isinstance(net, nn.Module):
        raise ConfigError(f"net must be a torch.nn.Module, or None for whatever runs, not {type(net).__name__}")
    several = list(cells) if isinstance(cells, Iterable) else [cells]
    return Watch(net, frozenset(whole("cells", count) for count in several))


class Watch:
    """What `watch` gives: a context, and afterwards what was seen.

    Attributes:
        calls: each attention with the wanted number of cells, in order.
    """

    def __init__(self, net: nn.Module | None, cells: frozenset[int]) -> None:
        self.calls: list[Call] = []
        self._cells = cells
        self._others: Counter[int] = Counter()  # attention over other numbers of cells, for messages
        self._modules: list[tuple[nn.Module, str]] = (
            [] if net is None else [(module, name) for name, module in net.named_modules()]
        )
        self._names = {id(module): name for module, name in self._modules}  # true as long as the modules are held
        self._any = net is None
        self._mode: Mode | None = None

    def __enter__(self) -> Self:
        if self._mode is not None:
            raise ConfigError("this watch is open already; open another one")
        self._mode = Mode(self)
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        shortcuts.open(self)
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._mode is not None
        shortcuts.close(self)
        self._mode.__exit__(*error)  # type: ignore[no-untyped-call]
        self._mode = None

    def clear(self) -> None:
        """Forgets what was seen so far, as between two photos."""
        self.calls.clear()
        self._others.clear()

    def trace(
        self,
        tokens: Sequence[str] | Pieces,
        *,
        image: Any,
        grid: Size | int | None = None,
        skip: int | tuple[int, int] = 0,
        heads: str | int | Sequence[int] = "mean",
        layers: str | int | Sequence[int] = "mean",
        frame: Frame | None = None,
        only: str = "",
        images: int = 1,
        batch: int = 0,
        per_step: int = 1,
    ) -> Trace:
        """A trace of what was seen for T tokens of one photo.

        Either the network ran once for each token (and once more for the end), of which the newest row counts, or once
        over the whole sentence.

        Args:
            tokens, image, grid, skip, heads, layers, frame: as for `attnviz.Trace.of`; layers are counted in the order
                in which they ran.
            only: of the calls, those whose name has this in it, such as "decoder.layers".
            images: how many ran at once.
            batch: which of them is meant.
            per_step: how often a step calls the same attention, where no modules tell layers apart.

        Raises:
            TraceError: nothing was seen, or not once for each token.
            AttnvizError: as for `attnviz.Trace.of`.
        """
        calls = [call for call in self.calls if only in call.name]
        if not calls:
            raise TraceError(self._nothing(only))
        count = len(tokens.texts) if hasattr(tokens, "texts") else len(tokens)
        attention = array_of(calls, count, Batch(batch, images), per_step)
        return Trace.of(attention, tokens, image=image, grid=grid, skip=skip, heads=heads, layers=layers, frame=frame)

    def _nothing(self, only: str) -> str:
        wanted = " or ".join(map(str, sorted(self._cells)))
        if self.calls:
            names = ", ".join(dict.fromkeys(call.name or "(no module)" for call in self.calls))
            return f"no attention over {wanted} cells has {only!r} in its name; seen were {names}"
        others = ", ".join(str(length) for length, _ in self._others.most_common(8))
        return f"no attention over {wanted} cells was seen" + (
            f"; there was some over {others}" if others else "; did the network run inside the context, and uncompiled?"
        )

    def wants(self, length: int, queries: int, itself: bool | None = None) -> bool:
        """Whether attention of so many rows over so many columns is to be kept; see `functions.Keeper`."""
        if length not in self._cells:
            self._others[length] += 1
            return False
        return queries != length if itself is None else not itself

    def keep(self, kind: str, weights: Tensor | None) -> None:
        """Keeps weights (..., N), unless they belong to another network."""
        name = self._place()
        if name is not None and weights is not None:
            self.calls.append(Call(name, kind, weights.detach().to("cpu", torch.float32, copy=True).numpy()))

    def _place(self) -> str | None:
        """The name of the innermost module of the net that is at work; None where only other modules are."""
        frame: FrameType | None = sys._getframe(1)
        inside = False
        while frame is not None:
            owner: object = frame.f_locals.get("self")
            if isinstance(owner, nn.Module) and (id(owner) in self._names or type(owner) is not nn.Softmax):
                if self._any and id(owner) not in self._names:
                    self._modules.append((owner, f"{type(owner).__name__}-{len(self._modules)}"))
                    self._names[id(owner)] = self._modules[-1][1]
                if id(owner) in self._names:
                    return self._names[id(owner)]
                inside = True
            frame = frame.f_back
        return None if inside else ""
