"""Which models there are, and how one is opened by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attnviz.captioner.attention import SCORES
from attnviz.captioner.checkpoint import WEIGHTS, load_checkpoint, read_meta
from attnviz.errors import ModelError

if TYPE_CHECKING:
    from attnviz.captioner.captioner import Captioner

DEFAULT_MODEL = "flickr8k"
DEFAULT_MODE = "concat"


@dataclass(frozen=True)
class Bundled:
    """A checkpoint that ships with attnviz: NAME-MODE.safetensors in `checkpoint.WEIGHTS`."""

    name: str
    mode: str
    path: Path

    @property
    def bytes(self) -> int:
        """Size of the file; a shared encoder file comes on top."""
        return self.path.stat().st_size

    def meta(self) -> dict[str, Any]:
        """The checkpoint's header; see `checkpoint.read_meta`."""
        return read_meta(self.path)


def bundled(folder: Path = WEIGHTS) -> list[Bundled]:
    """The bundled checkpoints, by name, then in the order of `SCORES`."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        for mode in sorted(SCORES, key=len, reverse=True):  # channel-dot before dot
            if path.stem.endswith(f"-{mode}"):
                found.append(Bundled(path.stem.removesuffix(f"-{mode}"), mode, path))
                break
    order = list(SCORES)
    return sorted(found, key=lambda one: (one.name, order.index(one.mode)))


def load_model(name: str | Path = DEFAULT_MODEL, mode: str | None = None, device: str = "auto") -> Captioner:
    """Opens a bundled model by name, or a checkpoint file by path.

    Args:
        name: such as `flickr8k`, or the path of a checkpoint.
        mode: the score function; None takes `concat` of a bundled model and whatever a checkpoint file holds.
        device: `auto`, `cpu`, `cuda` or `mps`; `auto` takes the first accelerator there is.

    Raises:
        ModelError: for an unknown name, mode or device, a mode that the file does not hold, or a file that cannot be
            read.
    """
    if mode is not None and mode not in SCORES:
        raise ModelError(f"no mode is called {mode!r}; {_did_you_mean(mode, SCORES)}")
    where = _device(device)
    path = find_checkpoint(name, mode)
    model = load_checkpoint(path)
    if mode is not None and model.mode != mode:
        raise ModelError(f"{path}: holds the mode {model.mode}, not {mode}")
    return model.to(where)


def find_checkpoint(name: str | Path = DEFAULT_MODEL, mode: str | None = None) -> Path:
    """The file that `load_model` opens: `name` itself where it is one, else the bundled model of that name and mode.

    Raises:
        ModelError: for an unknown name, or a mode that the bundled model has no weights for.
    """
    path = Path(name)
    if path.suffix == ".safetensors" or path.is_file():
        return path
    models = bundled()
    modes = {one.mode: one for one in models if one.name == str(name)}
    if not modes:
        names = sorted({one.name for one in models})
        raise ModelError(
            f"no bundled model is called {str(name)!r}, and no checkpoint file; {_did_you_mean(str(name), names)}"
        )
    wanted = mode or (DEFAULT_MODE if DEFAULT_MODE in modes else next(iter(modes)))
    if wanted not in modes:
        raise ModelError(f"the model {name} has no weights for the mode {wanted}; it has {', '.join(modes)}")
    return modes[wanted].path


def _did_you_mean(word: str, choices: Any) -> str:
    close = difflib.get_close_matches(word, choices, 1)
    listed = f"there are {', '.join(choices)}" if choices else "there are none"
    return f"did you mean {close[0]!r}? {listed}" if close else listed


def _device(name: str) -> torch.device:
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    if name not in ("cpu", "cuda", "mps"):
        raise ModelError(f"no device is called {name!r}; there are auto, cpu, cuda, mps")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not has_mps):
        raise ModelError(f"this machine, or its torch, has no {name} device; use --device cpu or auto")
    return torch.device(name)
