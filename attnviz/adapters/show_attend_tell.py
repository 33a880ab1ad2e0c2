"""Checkpoints of the Show, Attend and Tell tutorial for PyTorch (sgrvinod's) -> a checkpoint of attnviz.

They hold whole modules, which `torch.load` opens only beside the code that wrote them, and only by running what is in
them. Here nothing is run (pickles.py): classes become shells, and names and shapes of the parameters must be those of
the tutorial's encoder and decoder, whatever their sizes. No torch is needed, and one tensor at a time is in memory.

    encoder   resnet: a ResNet of torchvision less its last two parts; adaptive_pool: to a grid, 14x14
    decoder   attention.{encoder_att, decoder_att, full_att}, embedding, decode_step, init_h, init_c, f_beta, fc
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.adapters.modules import Module, children, compare, parameters, unwrapped
from attnviz.adapters.pickles import Name, Shell
from attnviz.adapters.resnet import COUNTER, LAYERS, Convolution, ResNet, Shape
from attnviz.adapters.torchfile import TorchFile, named, opened
from attnviz.adapters.wordmap import WordMap, read_wordmap
from attnviz.captioner.config import RELU, ModelConfig
from attnviz.captioner.stored import Stored, write_model
from attnviz.errors import ModelError

if TYPE_CHECKING:
    from attnviz.adapters.tensors import Tensor

INPUT = 256
"""Pixels: the tutorial stretches every photo to 256x256."""

GRID = 14
"""Its encoder's grid, where a file does not say."""

CLASSES = frozenset({"Encoder", "DecoderWithAttention", "Attention"})
PLACES = ("torch.nn.modules.", "torch.nn.parallel.", "torchvision.models.resnet", "torch.optim.")
"""Where the other classes of such a file come from."""

PARTS = {0: "conv1", 1: "bn1", 4: LAYERS[0], 5: LAYERS[1], 6: LAYERS[2], 7: LAYERS[3]}
"""Number of a part in `resnet` -> its name in torchvision; 2 is the ReLU, 3 the pooling, without parameters."""

NEVER = -1e4
"""The logit of a special word that a word map has not: it is never written."""

IDLE = ("Dropout", "Identity")
"""Parts that do nothing when a caption is written."""

KINDS = {
    "encoder": {"resnet": "Sequential", "adaptive_pool": "AdaptiveAvgPool2d"},
    "decoder": {
        "attention": "Attention",
        "embedding": "Embedding",
        "decode_step": "LSTMCell",
        "init_h": "Linear",
        "init_c": "Linear",
        "f_beta": "Linear",
        "fc": "Linear",
        "sigmoid": "Sigmoid",
    },
    "decoder.attention": {
        "encoder_att": "Linear",
        "decoder_att": "Linear",
        "full_att": "Linear",
        "relu": "ReLU",
        "softmax": "Softmax",
    },
}
"""The parts of each module, and what they are."""


@dataclass(frozen=True)
class Facts:
    """What a checkpoint says of itself, for people.

    Attributes:
        encoder: its ResNet.
        words: how many the decoder knows.
        epoch, bleu: of the training, where the file has them; the BLEU is the tutorial's own.
        remarks: what a user should know of the conversion.
    """

    encoder: str
    words: int
    epoch: int | None
    bleu: float | None
    remarks: tuple[str, ...] = ()


def convert(
    checkpoint: str | Path, wordmap: str | Path, out: str | Path, *, name: str | None = None, input: int = INPUT
) -> Facts:
    """Writes what a tutorial's checkpoint holds as a checkpoint of attnviz, in float32: it gives the same numbers.

    Args:
        checkpoint: such as BEST_checkpoint_coco_5_cap_per_img_5_min_word_freq.pth.tar.
        wordmap: the WORDMAP_....json beside it.
        out: the .safetensors file to write, whole or not at all.
        name: what the model is called; the name of `out` by default.
        input: side of the square that photos are stretched to, in pixels.

    Raises:
        ModelError: for files that are missing, damaged, hostile, or of another kind; nothing of them was run.
        OutputError: when `out` cannot be written.
    """
    out = Path(out)
    with opened(checkpoint, _is_shell) as file:
        with named(checkpoint):
            encoder, decoder = _halves(file.root)
            pool, remarks = _check_parts(encoder, decoder)
            backbone = _resnet(encoder)
            sizes = _sizes(decoder, backbone.channels)
        words = read_wordmap(wordmap, sizes["words"])
        config = ModelConfig.from_dict(
            {
                "decoder": "show-attend-tell",
                "mode": RELU,
                "backbone": backbone.name,
                "layer": LAYERS[-1],
                "input": [input, input],
                "channels": backbone.channels,
                "embedding": sizes["embedding"],
                "state": sizes["state"],
                "language": sizes["state"],
                "attention": sizes["attention"],
                "pool": list(pool),
            }
        )
        facts = Facts(backbone.name, sizes["words"], *_history(file.root), tuple(remarks))
        card = {"converted from": Path(checkpoint).name, "epoch": facts.epoch, "BLEU-4 by the tutorial": facts.bleu}
        tensors = dict(_kept(file, encoder, decoder, words))
        with named(checkpoint):
            write_model(out, name or out.stem, config, words.words, tensors, card)
    return facts


def _is_shell(name: Name) -> bool:
    return name.name in CLASSES or (name.module.startswith(PLACES) and name.name[0].isupper())


def _halves(root: Any) -> tuple[Module, Module]:
    """Encoder and decoder. Raises ModelError for a file that has not both."""
    advice = "attnviz converts those of sgrvinod's tutorial, with 'encoder' and 'decoder'"
    if not isinstance(root, dict):
        kind = str(root.kind) if isinstance(root, Shell) else type(root).__name__
        raise ModelError(f"holds {kind} alone; {advice}")
    if "deep_output.weight" in root or "attention.U.weight" in root:
        raise ModelError(
            f"holds a decoder alone, without its encoder, as AaronCCWong's Show-Attend-and-Tell saves it; {advice}"
        )
    for key in ("encoder", "decoder"):
        if not isinstance(root.get(key), Shell | dict):
            names = ", ".join(map(str, list(root)[:5]))
            raise ModelError(f"has no {key!r} but {names:.200}; {advice}" if root else f"is empty; {advice}")
    encoder, decoder = (unwrapped(root[key]) for key in ("encoder", "decoder"))
    return encoder, decoder


def _check_parts(encoder: Module, decoder: Module) -> tuple[tuple[int, int], list[str]]:
    """Holds the parts to the tutorial's, also those without parameters: a tanh for a ReLU would change everything.

    Returns:
        The grid that the encoder pools to, and remarks.
    """
    if isinstance(encoder, dict) or isinstance(decoder, dict):
        return (GRID, GRID), [f"the file holds parameters alone: the grid is taken to be the tutorial's, {GRID}x{GRID}"]
    attention = children(decoder).get("attention")
    for place, module in (("encoder", encoder), ("decoder", decoder), ("decoder.attention", attention)):
        parts = children(module) if isinstance(module, Shell) else {}
        wanted = KINDS[place]
        for name in wanted.keys() | parts.keys():
            found = parts[name].kind.name if isinstance(parts.get(name), Shell) else "nothing"
            if found != wanted.get(name) and not (name not in wanted and found in IDLE):
                expected = f"the tutorial has {wanted[name]}" if name in wanted else "the tutorial has no such part"
                raise ModelError(f"its {place} is another than the tutorial's: {name} is {found}; {expected}")
    size = children(encoder)["adaptive_pool"].state.get("output_size")
    sides = (size, size) if type(size) is int else size
    if not isinstance(sides, tuple) or len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise ModelError(f"its encoder pools to {size!r}, which is no grid")
    return (sides[0], sides[1]), []


def _resnet(encoder: Module) -> ResNet:
    """The kind of the encoder's ResNet; raises ModelError where shapes or strides are of none."""
    shapes = {name: tensor.shape for name, tensor in _torchvision_names(encoder)}
    found = ResNet.of(shapes)
    wanted: dict[str, Shape] = {}
    for one in found.convolutions():
        wanted |= one.shapes()
        if isinstance(encoder, Shell):
            _check_convolution(children(encoder)["resnet"], one)
    compare("encoder", wanted, shapes)
    return found


def _torchvision_names(encoder: Module) -> Iterator[tuple[str, Tensor]]:
    """The encoder's parameters by the names that torchvision has for them."""
    for name, tensor in parameters(encoder):
        number = re.fullmatch(r"resnet\.([0-9])\.(.+)", name)
        part = PARTS.get(int(number[1])) if number else None
        yield (f"{part}.{number[2]}" if number and part else name), tensor


def _check_convolution(resnet: Shell, wanted: Convolution) -> None:
    """Raises ModelError where a convolution or norm works in another way than torchvision's of its name."""
    sides = {"stride": wanted.stride, "padding": wanted.padding, "dilation": 1}
    expected: dict[str, Any] = {name: (side, side) for name, side in sides.items()} | {"groups": wanted.groups}
    for place, facts in ((wanted.name, expected), (wanted.norm, {"eps": 1e-5})):
        module: Any = resnet
        first, *rest = place.split(".")
        number = next(number for number, part in PARTS.items() if part == first)
        for step in (str(number), *rest):
            module = children(module).get(step) if isinstance(module, Shell) else None
        state = module.state if isinstance(module, Shell) else {}
        for name, value in facts.items():
            if name in state and state[name] != value:
                raise ModelError(
                    f"its encoder is no ResNet of torchvision: {place} has {name} {state[name]}, not {value}"
                )


def _sizes(decoder: Module, channels: int) -> dict[str, int]:
    """The decoder's sizes, off its shapes. Raises ModelError where these are not the tutorial's."""
    shapes = {name: tensor.shape for name, tensor in parameters(decoder)}
    words, embedding = _two(shapes, "embedding.weight")
    attention, _ = _two(shapes, "attention.encoder_att.weight")
    state, _ = _two(shapes, "init_h.weight")
    wanted: dict[str, Shape] = {"embedding.weight": (words, embedding)}
    linear = {
        "attention.encoder_att": (attention, channels),
        "attention.decoder_att": (attention, state),
        "attention.full_att": (1, attention),
        "init_h": (state, channels),
        "init_c": (state, channels),
        "f_beta": (channels, state),
        "fc": (words, state),
    }
    for name, shape in linear.items():
        wanted |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for side, inputs in (("ih", embedding + channels), ("hh", state)):
        wanted |= {f"decode_step.weight_{side}": (4 * state, inputs), f"decode_step.bias_{side}": (4 * state,)}
    compare("decoder", wanted, shapes)
    return {"words": words, "embedding": embedding, "attention": attention, "state": state}


def _two(shapes: Mapping[str, Shape], name: str) -> tuple[int, int]:
    shape = shapes.get(name, ())
    if len(shape) != 2 or 0 in shape:
        raise ModelError(f"its decoder is another than the tutorial's: it has no {name}, or one of another shape")
    return shape[0], shape[1]


def _kept(file: TorchFile, encoder: Module, decoder: Module, words: WordMap) -> Iterator[tuple[str, Stored]]:
    """What the converted checkpoint holds, by its names; read when it is written."""
    for name, tensor in _torchvision_names(encoder):
        if not name.endswith(COUNTER):
            yield f"backbone.body.{name}", _stored(file, name, tensor, tensor.shape)
    for one in ResNet.of({name: tensor.shape for name, tensor in _torchvision_names(encoder)}).convolutions():
        yield f"backbone.body.{one.norm}.{COUNTER}", Stored((), lambda: np.zeros((), np.float32))  # nobody reads it
    for name, tensor in parameters(decoder):
        change, shape = None, tensor.shape
        if name in ("embedding.weight", "fc.weight", "fc.bias"):
            change = partial(_rows, rows=words.rows, absent=NEVER if name == "fc.bias" else 0.0)
            shape = (len(words.rows), *shape[1:])
        yield f"decoder.{name}", _stored(file, name, tensor, shape, change)


def _stored(
    file: TorchFile,
    name: str,
    tensor: Tensor,
    shape: Shape,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Stored:
    def read() -> np.ndarray:
        numbers = file.read(tensor)
        if not np.isfinite(numbers).all():
            raise ModelError(f"{name} in it holds infinities or NaN: its training has gone astray")
        return change(numbers) if change else numbers

    return Stored(shape, read)


def _rows(table: np.ndarray, rows: tuple[int | None, ...], absent: float) -> np.ndarray:
    """The rows of a table of words in another order; a word that has none is given `absent`."""
    found = table[[row or 0 for row in rows]]
    found[[number for number, row in enumerate(rows) if row is None]] = absent
    return found


def _history(root: Mapping[str, Any]) -> tuple[int | None, float | None]:
    """Epoch and BLEU-4, where they are numbers."""
    epoch, bleu = root.get("epoch"), root.get("bleu-4")
    known = isinstance(bleu, int | float) and not isinstance(bleu, bool) and 0 <= bleu <= 1
    return epoch if type(epoch) is int else None, float(bleu) if known and bleu is not None else None
