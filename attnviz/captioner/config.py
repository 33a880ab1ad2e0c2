"""The sizes and names that a network is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from attnviz.errors import ModelError

FrameKind = Literal["stretch", "letterbox", "crop"]
DecoderKind = Literal["two-lstm", "show-attend-tell"]

FRAMES: tuple[FrameKind, ...] = ("stretch", "letterbox", "crop")
DECODERS: tuple[DecoderKind, ...] = ("two-lstm", "show-attend-tell")

MODES = ("dot", "general", "concat", "channel-dot", "channel-general", "flat-concat")
"""The score functions, as `attention.SCORES` has them; here so that they are known without torch."""

RELU = "additive-relu"
"""The score function of the decoder `show-attend-tell`, which has this one and no other."""

INPUT_LIMIT = 2048
"""Pixels: no backbone was trained on more, and its memory grows with the square."""

SIZE_LIMIT = 16384

KIND_LIMIT = 1024
"""Kinds of things: some thousand were ever listed for photos (LVIS), and each costs a number in every cell."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and names that a network is built from; stored in its checkpoint.

    Attributes:
        mode: score function.
        backbone: a name that `encoder.build_backbone` knows.
        layer: the layer that a torchvision backbone is cut at; None takes its last grid.
        input: (H, W) of the network's input, in pixels.
        frame: how a photo becomes that input.
        channels: C of E, after the fuse.
        embedding, state, language, attention, reduced: sizes of the decoder, see `Decoder`.
        decoder: `two-lstm` (see `Decoder`), or `show-attend-tell` (see `ShowAttendTell`), which has neither `language`
            nor `reduced`, no mode but `additive-relu`, and reads the backbone's last map as it is, without a fuse.
        pool: (h, w), the grid that this map is pooled to, or None for the map's own; of `show-attend-tell` alone.
        kinds: the words that name each kind of thing of which `two-lstm` asks the encoder, see `Kinds`; with none, it
            does not ask. Training finds them in the data, see `train.kinds`.
    """

    mode: str = "concat"
    backbone: str = "efficientnet-lite2"
    layer: str | None = None
    input: tuple[int, int] = (224, 224)
    frame: FrameKind = "stretch"
    channels: int = 384
    embedding: int = 256
    state: int = 384
    language: int = 384
    attention: int = 256
    reduced: int = 0
    decoder: DecoderKind = "two-lstm"
    pool: tuple[int, int] | None = None
    kinds: tuple[tuple[str, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values; without those that came with the second decoder where it is not meant, and
        without `kinds` where there are none, so that attnviz 0.1 can read what it could write."""
        left_out = {"decoder", "pool"} if self.decoder == DECODERS[0] else set()
        left_out |= set() if self.kinds else {"kinds"}
        return {key: value for key, value in asdict(self).items() if key not in left_out}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], base: ModelConfig | None = None) -> ModelConfig:
        """Reads what `dataclasses.asdict` or a TOML table holds.

        Args:
            base: where what `values` leave out comes from; None for the defaults.

        Raises:
            ModelError: for an unknown key or a value of the wrong type.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelError(f"unknown model setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
        given = {**asdict(base or cls()), **values}
        if "decoder" in values and values["decoder"] != (base or cls()).decoder:  # what belongs to the other kind
            kind = {"mode": RELU if values["decoder"] == "show-attend-tell" else cls.mode, "pool": None}
            given = {**given, **kind, **values}
        _check_names(given)
        sizes = {key: given[key] for key in ("channels", "embedding", "state", "language", "attention")}
        for key, value in sizes.items():
            _check_size(key, value)
        _check_size("reduced", given["reduced"], least=0)
        given["input"] = _pair("input", given["input"], INPUT_LIMIT)
        if given["pool"] is not None:
            given["pool"] = _pair("pool", given["pool"], INPUT_LIMIT)
        given["kinds"] = _kinds(given["kinds"])
        return cls(**given)


def _check_names(given: Mapping[str, Any]) -> None:
    # A file may hold anything.
    if not all(isinstance(given[key], str) for key in ("mode", "backbone")) or not isinstance(
        given["layer"], str | None
    ):
        raise ModelError("mode, backbone and layer must be names")
    for key, choices in (("frame", FRAMES), ("decoder", DECODERS)):
        if given[key] not in choices:
            named = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise ModelError(f"{key} must be {named}, not {given[key]!r}")
    other = given["decoder"] == "show-attend-tell"
    if other != (given["mode"] == RELU):
        raise ModelError(f"the decoder {given['decoder']} has no mode {given['mode']!r}; {RELU} is show-attend-tell's")
    if given["kinds"] and other:
        raise ModelError("kinds are for the decoder two-lstm alone; leave them out")
    if given["pool"] is not None and not other:
        raise ModelError("pool is for the decoder show-attend-tell alone; leave it out")


def _check_size(key: str, value: Any, least: int = 1, most: int = SIZE_LIMIT) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ModelError(f"model sizes must be whole numbers: {key} must be from {least} to {most}, not {value!r}")


def _kinds(value: Any) -> tuple[tuple[str, ...], ...]:
    # A file may hold anything.
    lists = isinstance(value, list | tuple) and all(isinstance(kind, list | tuple) for kind in value)
    if not lists or len(value) > KIND_LIMIT or not all(isinstance(word, str) for kind in value for word in kind):
        raise ModelError(f"kinds must be lists of words, {KIND_LIMIT} at most")
    return tuple(tuple(kind) for kind in value)


def _pair(key: str, value: Any, most: int) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ModelError(f"{key} must be two whole numbers, [height, width], not {value!r}")
    for side in value:
        _check_size(key, side, most=most)
    height, width = value
    return height, width
