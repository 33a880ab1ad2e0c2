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
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attnviz.captioner.captioner import Captioner
from attnviz.captioner.config import ModelConfig
from attnviz.captioner.header import parse, unreadable
from attnviz.captioner.stored import Stored, header, write_tensors
from attnviz.captioner.vocabulary import Vocabulary
from attnviz.errors import ModelError

_BACKBONE = "backbone."


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
    meta = header(model.name, model.config, model.vocabulary.words, card)
    tensors = {
        key: value for key, value in model.state_dict().items() if encoder is None or not key.startswith(_BACKBONE)
    }
    if encoder is not None:
        shared = _read(Path(encoder))[1]
        own = {
            key.removeprefix(_BACKBONE): value for key, value in model.state_dict().items() if key.startswith(_BACKBONE)
        }
        if own.keys() != shared.keys() or not all(torch.equal(own[key].half(), shared[key]) for key in own):
            raise ModelError(f"{Path(encoder).name}: holds another backbone than the model has")
        meta["encoder"] = {"file": Path(encoder).name, "sha256": _sha256(Path(encoder))}
    _write(path, _halves(tensors), meta)


def save_encoder(model: Captioner, path: str | Path) -> None:
    """Writes the backbone of `model` alone, for checkpoints that share it. Raises OutputError as above."""
    _write(Path(path), _halves(model.backbone.state_dict()), {"version": 1, "backbone": model.config.backbone})


def load_checkpoint(path: str | Path) -> Captioner:
    """Rebuilds the model that `path` holds, on the CPU, ready to describe images.

    Raises:
        ModelError: for a missing or damaged file, one of another program or of a later version, or a shared encoder
            file that is missing or has changed.
    """
    path = Path(path)
    meta, tensors = _read(path)
    try:
        config, vocabulary = ModelConfig.from_dict(meta["config"]), Vocabulary(tuple(meta["vocabulary"]))
        # Not on torch's meta device, although that would save drawing the random weights (0.07 s): it imports torch's
        # whole symbolic machinery (1.5 s).
        model = Captioner(config, vocabulary, str(meta["name"]))
        if shared := meta.get("encoder"):
            beside = path.parent / Path(shared["file"]).name
            if not beside.is_file():
                raise ModelError(
                    f"{path.name}: its encoder file {beside.name} is not beside it; put both into one folder"
                )
            if _sha256(beside) != shared["sha256"]:
                raise ModelError(
                    f"{path.name}: {beside.name} beside it is not the encoder it was trained with; fetch both anew"
                )
            tensors |= {_BACKBONE + key: value for key, value in _read(beside)[1].items()}
        # assign: the tensors just read become the parameters, so that nothing is initialised or copied in vain.
        model.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    except ModelError as error:
        named = str(error) if path.name in str(error) else f"{path.name}: {error}"
        raise ModelError(named) from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        # Torch says what is missing from the second line on.
        told = " ".join(str(error).split())
        raise ModelError(f"{path.name}: not a whole attnviz checkpoint: {told[:200]}") from error
    return model.eval().requires_grad_(False)


def update_card(path: str | Path, facts: Mapping[str, Any]) -> None:
    """Adds JSON-ready `facts` to the card of the checkpoint at `path`; its weights stay as they are.

    Raises:
        ModelError: for a file that `load_checkpoint` could not read.
        OutputError: when it cannot be written.
    """
    path = Path(path)
    meta, tensors = _read(path)
    _write(path, tensors, meta | {"card": {**meta.get("card", {}), **facts}})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            return parse(path, file.metadata()), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(unreadable(path, error)) from error


def _halves(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().half() for key, value in tensors.items()}


def _write(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Writes tensors as they are, float16 or float32."""
    parts = {
        key: Stored(tuple(value.shape), value.numpy, str(value.dtype).removeprefix("torch."))
        for key, value in tensors.items()
    }
    write_tensors(path, parts, meta)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
