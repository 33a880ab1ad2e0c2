"""Checkpoints: one safetensors file that rebuilds its own model, without pickle.

The header holds a JSON string under `attnviz`: the file's version, the model's name, its configuration, its vocabulary,
how it was trained and what it reached (the card). Weights are float16 on disk (float32 where they came from another
program's checkpoint) and float32 in memory. The backbone lies
in the same file, or, shared by several checkpoints, in a second one beside it that is named with its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnviz.captioner.blank import blank, is_blank
from attnviz.captioner.captioner import Captioner
from attnviz.captioner.config import ModelConfig
from attnviz.captioner.encoder import own_prefix
from attnviz.captioner.familiar import Familiar
from attnviz.captioner.header import opened, parse, read_meta
from attnviz.captioner.stored import Stored, header, write_tensors
from attnviz.captioner.vocabulary import Vocabulary
from attnviz.errors import ModelError
from attnviz.files import is_file, spelled

_BACKBONE = "backbone."

COLDEST, HOTTEST = 0.125, 8.0
"""The least and the greatest temperature of a checkpoint."""

NUMBERS = ("F16", "BF16", "F32", "F64", "I64")
"""The types of numbers that weights may have; the last are those that some of torchvision's networks count with."""


def save_checkpoint(
    model: Captioner, path: str | Path, *, encoder: str | Path | None = None, card: Mapping[str, Any] | None = None
) -> None:
    """Writes `model` to `path`, atomically.

    Args:
        encoder: a file written by `save_encoder`, in the same folder, that holds the backbone; without it, the backbone
            is stored in the checkpoint itself.
        card: JSON-ready facts about training and results, shown by `attnviz models`.

    Raises:
        ModelError: when the backbone in `encoder` is not the model's.
        OutputError: when the file cannot be written.
    """
    path = Path(path)
    meta = header(model.name, model.config, model.vocabulary.words, card) | _doubt(model)
    tensors = {
        key: value for key, value in model.state_dict().items() if encoder is None or not key.startswith(_BACKBONE)
    }
    if encoder is not None:
        shared = _read(Path(encoder))[1]
        own = {
            key.removeprefix(_BACKBONE): value for key, value in model.state_dict().items() if key.startswith(_BACKBONE)
        }
        own, shared = _halves(own), _halves(shared)
        if own.keys() != shared.keys() or not all(torch.equal(own[key], shared[key]) for key in own):
            raise ModelError(f"{Path(encoder).name}: holds another backbone than the model has")
        meta["encoder"] = {"file": Path(encoder).name, "sha256": _sha256(Path(encoder))}
    _write(path, _halves(tensors), meta)


def save_encoder(model: Captioner, path: str | Path) -> None:
    """Writes the backbone of `model` alone, for checkpoints that share it. Raises OutputError as above."""
    _write(Path(path), _halves(model.backbone.state_dict()), {"version": 1, "backbone": model.config.backbone})


def load_encoder(model: Captioner, path: str | Path) -> None:
    """Gives `model` the backbone that `save_encoder` wrote to `path`.

    Raises:
        ModelError: for a missing or damaged file, or one that holds another kind of backbone.
    """
    path = spelled(path)
    if _shapes(path) != {key: tuple(value.shape) for key, value in model.backbone.state_dict().items()}:
        raise ModelError(f"{path.name}: holds another backbone than the model has")
    model.backbone.load_state_dict(_read(path)[1])


def load_checkpoint(path: str | Path) -> Captioner:
    """Rebuilds the model that `path` holds, on the CPU, ready to describe images.

    What the header asks for is compared with the names and shapes of the tensors before any memory is taken for it.

    Raises:
        ModelError: for a missing or damaged file, one of another program or of a later version, or a shared encoder
            file that is missing or has changed.
    """
    path = spelled(path)
    meta = read_meta(path)
    try:
        if not isinstance(meta["name"], str) or not all(isinstance(word, str) for word in meta["vocabulary"]):
            raise TypeError("name and words must be text")
        parts = (ModelConfig.from_dict(meta["config"]), Vocabulary(tuple(meta["vocabulary"])), meta["name"])
        files = {path: ""}
        if meta.get("encoder"):
            files[_encoder_beside(path, meta["encoder"])] = _BACKBONE
        shapes = {prefix + key: shape for file, prefix in files.items() for key, shape in _shapes(file).items()}
        # Torchvision's networks take seconds to be built, if no memory: only where the file has such a one.
        if not any(key.startswith(_BACKBONE + own_prefix(parts[0].backbone)) for key in shapes):
            raise ModelError(f"holds no backbone of the kind {parts[0].backbone}; fetch it anew")
        with blank():
            model = Captioner(*parts)
        _compare({key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}, shapes)
        tensors = {prefix + key: value for file, prefix in files.items() for key, value in _read(file)[1].items()}
        # assign: the tensors just read become the parameters, so that nothing is initialised or copied in vain.
        kinds = {key: tensor.dtype for key, tensor in model.state_dict().items()}
        model.load_state_dict({key: value.to(kinds[key]) for key, value in tensors.items()}, assign=True)
        if is_blank(model):  # some of torchvision's networks hold numbers that no file has
            model = Captioner(*parts)
            model.load_state_dict(tensors)
        model.temperature = _temperature(meta.get("temperature", 1.0))
        if "familiar" in meta:
            model.familiar = Familiar.from_dict(meta["familiar"], model.backbone.channels[0])
    except ModelError as error:
        named = str(error) if path.name in str(error) else f"{path.name}: {error}"
        raise ModelError(named) from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as error:
        # Torch says what is missing from the second line on.
        told = " ".join(str(error).split())
        raise ModelError(f"{path.name}: not a whole attnviz checkpoint: {told[:200]}") from error
    return model.eval().requires_grad_(False)


def _encoder_beside(path: Path, shared: Mapping[str, Any]) -> Path:
    """The file of the backbone that a checkpoint shares with others. Raises ModelError where it is not the one."""
    beside = path.parent / Path(shared["file"]).name
    if not is_file(beside):
        raise ModelError(f"{path.name}: its encoder file {beside.name} is not beside it; put both into one folder")
    if _sha256(beside) != shared["sha256"]:
        raise ModelError(
            f"{path.name}: {beside.name} beside it is not the encoder it was trained with; fetch both anew"
        )
    return beside


def _compare(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ModelError where the tensors of a file are not those of the network that its header describes."""
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            asked, held = (" x ".join(map(str, one[key])) if key in one else "nothing" for one in (wanted, found))
            raise ModelError(f"its header asks for {asked} in {key}, and it holds {held}; fetch it anew")


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file, unread."""
    with opened(path, "pt") as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        if other := {str(one.get_dtype()) for one in slices.values()}.difference(NUMBERS):
            raise ModelError(f"{path.name}: holds numbers of the type {min(other)}; weights are {', '.join(NUMBERS)}")
        return {key: tuple(one.get_shape()) for key, one in slices.items()}


def _temperature(value: Any) -> float:
    """A temperature as a checkpoint may have it. Raises ModelError for one that no fit gives."""
    if type(value) not in (int, float) or not COLDEST <= value <= HOTTEST:
        raise ModelError(f"its temperature must be a number from {COLDEST:g} to {HOTTEST:g}, not {value!r}")
    return float(value)


def _doubt(model: Captioner) -> dict[str, Any]:
    """What the header says of how far the model's words can be trusted. A checkpoint without it is read as well."""
    found: dict[str, Any] = {} if model.temperature == 1 else {"temperature": _temperature(model.temperature)}
    return found if model.familiar is None else found | {"familiar": model.familiar.to_dict()}


def update_card(path: str | Path, facts: Mapping[str, Any], doubt: Captioner | None = None) -> None:
    """Adds JSON-ready `facts` to the card of the checkpoint at `path`; its weights stay as they are.

    Args:
        doubt: whose temperature and familiar photos the checkpoint has from now on; None leaves them.

    Raises:
        ModelError: for a file that `load_checkpoint` could not read, or a temperature that cannot be.
        OutputError: when it cannot be written.
    """
    path = Path(path)
    meta, tensors = _read(path)
    if doubt is not None:
        meta = {key: value for key, value in meta.items() if key not in ("temperature", "familiar")} | _doubt(doubt)
    _write(path, tensors, meta | {"card": {**meta.get("card", {}), **facts}})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with opened(path, "pt") as file:
        return parse(path, file.metadata()), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _halves(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As a file holds them: weights in float16, what counts as it is."""
    own = {key: value.detach().cpu() for key, value in tensors.items()}
    return {key: value.half() if value.is_floating_point() else value for key, value in own.items()}


def _write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Writes tensors as they are, of the types that `stored.TYPES` has."""
    parts = {
        key: Stored(tuple(value.shape), value.numpy, str(value.dtype).removeprefix("torch."))
        for key, value in tensors.items()
    }
    write_tensors(path, parts, meta)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
