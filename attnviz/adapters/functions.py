"""What a torch function mode sees of attention, and what it must not disturb."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SOFTMAX = frozenset({torch.softmax, F.softmax, Tensor.softmax, torch.special.softmax})
SHORTCUTS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)
"""Modules that compute other bits where a torch function mode is on: they run with it off."""


class Keeper(Protocol):
    """Decides what is kept, and keeps it."""

    def wants(self, length: int, queries: int, itself: bool | None = None) -> bool:
        """Whether attention of so many rows over so many columns is to be kept.

        Args:
            itself: whether rows and columns are known to be the same things, or known not to be.
        """

    def keep(self, kind: str, weights: Tensor | None) -> None:
        """Keeps weights (..., N)."""


class Mode(TorchFunctionMode):
    """Hands attention that is computed while it is on to a keeper."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self._keeper = keeper

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in SOFTMAX:
            _of_softmax(self._keeper, out, args, kwargs)
        elif func is F.scaled_dot_product_attention:
            _of_product(self._keeper, *args, **kwargs)
        elif func is F.multi_head_attention_forward:
            _of_heads(self._keeper, args, kwargs)
        return out


def _of_softmax(keeper: Keeper, out: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(dim, int) or not out.ndim:
        return
    weights = out.movedim(dim, -1)
    if dim % out.ndim != out.ndim - 1 and out.shape[-1] == 1:
        weights = weights.squeeze(-2)  # (B, N, 1) of additive attention
    if keeper.wants(weights.shape[-1], weights.shape[-2] if weights.ndim > 2 else 1):
        keeper.keep("softmax", weights)


@torch.no_grad()
def _of_product(
    keeper: Keeper,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    **_: Any,
) -> None:
    """The weights of `F.scaled_dot_product_attention`, by its documentation."""
    rows, columns = query.shape[-2], key.shape[-2]
    if not keeper.wants(columns, rows):
        return
    kind = torch.promote_types(query.dtype, torch.float32)
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = query.to(kind) @ key.to(kind).transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(rows, columns, dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    keeper.keep("scaled_dot_product_attention", scores.softmax(-1).nan_to_num(0))


@torch.no_grad()
def _of_heads(keeper: Keeper, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """The weights of `F.multi_head_attention_forward`: it is run once more, for them alone, without dropout."""
    given = _SIGNATURE.bind(*args, **kwargs).arguments
    query, key = given["query"], given["key"]
    if keeper.wants(key.shape[0], query.shape[0], itself=query is key):
        given |= {"training": False, "need_weights": True, "average_attn_weights": False}
        keeper.keep("multi_head_attention", F.multi_head_attention_forward(**given)[1])


_SIGNATURE = inspect.signature(F.multi_head_attention_forward)


class Shortcuts:
    """Has the modules of SHORTCUTS run as if nobody looked, in the threads where a keeper is open.

    Their classes get another `forward` while any is open: hooks, or a `forward` of the instance's own, would keep
    them from their shortcuts as well.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._originals: dict[type[nn.Module], Any] = {}
        self._here = threading.local()

    @property
    def keepers(self) -> list[Keeper]:
        """Those that are open in this thread."""
        found: list[Keeper] = self._here.__dict__.setdefault("keepers", [])
        return found

    def open(self, keeper: Keeper) -> None:
        self.keepers.append(keeper)
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._originals = {kind: kind.forward for kind in SHORTCUTS}
                for kind, original in self._originals.items():
                    kind.forward = self._wrapped(original)

    def close(self, keeper: Keeper) -> None:
        self.keepers.remove(keeper)
        with self._lock:
            self._count -= 1
            if self._count == 0:
                for kind, original in self._originals.items():
                    kind.forward = original

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        every = self

        @functools.wraps(original)
        def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            keepers = every.keepers
            if not keepers:
                return original(self, *args, **kwargs)
            with torch._C.DisableTorchFunction():
                out = original(self, *args, **kwargs)
                if isinstance(self, nn.MultiheadAttention):
                    for keeper in keepers:
                        _of_module(keeper, self, original, args, kwargs)
            return out

        return forward


shortcuts = Shortcuts()


@torch.no_grad()
def _of_module(
    keeper: Keeper,
    module: nn.MultiheadAttention,
    forward: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """The weights of `nn.MultiheadAttention`: it is run once more, for them alone, without dropout."""
    given = inspect.signature(forward).bind(module, *args, **kwargs).arguments
    query, key = given["query"], given["key"]
    axis = 1 if module.batch_first and key.ndim == 3 else 0
    if not keeper.wants(key.shape[axis], query.shape[axis], itself=query is key):
        return
    training, module.training = module.training, False
    try:
        weights = forward(**{**given, "need_weights": True, "average_attn_weights": False})[1]
    finally:
        module.training = training
    keeper.keep("multi_head_attention", weights)
