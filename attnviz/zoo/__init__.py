"""Names -> networks: the bundled models, checkpoint files, `hf:...`, and what other packages have installed.

Nothing is imported for a name that is not asked for: neither torch nor the package of a plug-in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.captioner.config import MODES, RELU
from attnviz.captioner.header import WEIGHTS, read_meta
from attnviz.errors import ModelError
from attnviz.files import is_file, is_folder
from attnviz.zoo.plugins import Plugin, offering, plugins

if TYPE_CHECKING:
    import os

    import torch

    from attnviz.captioner import Captioner
    from attnviz.network import Network

__all__ = [
    "ADAPTERS",
    "DEFAULT_MODE",
    "DEFAULT_MODEL",
    "Adapter",
    "Bundled",
    "Plugin",
    "bundled",
    "described",
    "find_checkpoint",
    "load_captioner",
    "load_model",
    "mode_of",
    "plugins",
]

DEFAULT_MODEL = "flickr8k"
DEFAULT_MODE = "concat"
DEVICES = ("auto", "cpu", "cuda", "mps")


class Adapter(NamedTuple):
    """A module of attnviz's own that opens other people's models, for names that begin with its prefix."""

    module: str
    names: str
    what: str


ADAPTERS = {
    "hf": Adapter("attnviz.adapters.hf", "hf:PATH or hf:ORG/NAME", "a model of Hugging Face's transformers"),
}
"""Prefix -> adapter: `hf:PATH` is opened by `load_model(PATH, mode=..., device=...)` of its module."""


@dataclass(frozen=True)
class Bundled:
    """A checkpoint that ships with attnviz: NAME-MODE.safetensors in `header.WEIGHTS`."""

    name: str
    mode: str
    path: Path

    @property
    def bytes(self) -> int:
        """Size of the file; a shared encoder file comes on top."""
        return self.path.stat().st_size

    def meta(self) -> dict[str, Any]:
        """The checkpoint's header. Raises ModelError as `header.read_meta` does."""
        return read_meta(self.path)


def bundled(folder: Path = WEIGHTS) -> list[Bundled]:
    """The bundled checkpoints, by name, then in the order of `config.MODES`."""
    found = []
    for path in sorted(folder.glob("*.safetensors")):
        for mode in sorted(MODES, key=len, reverse=True):  # channel-dot before dot
            if path.stem.endswith(f"-{mode}"):
                found.append(Bundled(path.stem.removesuffix(f"-{mode}"), mode, path))
                break
    return sorted(found, key=lambda one: (one.name, MODES.index(one.mode)))


def described(path: Path) -> Bundled:
    """A checkpoint file by what it says of itself. Raises ModelError as `header.read_meta` does."""
    meta = read_meta(path)
    return Bundled(str(meta.get("name", path.stem)), str(meta.get("config", {}).get("mode", DEFAULT_MODE)), path)


def load_model(name: str | os.PathLike[str] = DEFAULT_MODEL, mode: str | None = None, device: str = "auto") -> Network:
    """Opens a network by name.

    Args:
        name: a bundled model such as `flickr8k`, the path of a checkpoint, `hf:PATH_OR_ID` for a model of Hugging
            Face's transformers, or `NAME` or `NAME:REST` for a network that another package has installed.
        mode: the score function; None takes `concat` of a bundled model and whatever a checkpoint file holds.
        device: `auto`, `cpu`, `cuda` or `mps`; `auto` takes the first accelerator there is.

    Raises:
        ModelError: for an unknown name, mode or device, a mode that the file does not hold, a file that cannot be
            read, or a package that fails: its name is in the message.
    """
    if device not in DEVICES:
        raise ModelError(f"no device is called {device!r}; there are {', '.join(DEVICES)}")
    prefix, rest = _split(name)
    if prefix in ADAPTERS:
        adapted: Network = import_module(ADAPTERS[prefix].module).load_model(rest, mode=mode, device=_device(device))
        return adapted
    if prefix and (plugin := offering(prefix)) is not None:
        return plugin.load(rest, mode, device)
    return load_captioner(name, mode, device)


def load_captioner(
    name: str | os.PathLike[str] = DEFAULT_MODEL, mode: str | None = None, device: str = "auto"
) -> Captioner:
    """`load_model` for networks of our own alone: a bundled model, or a checkpoint file.

    Raises:
        ModelError: as `load_model` does.
    """
    if mode is not None and mode not in (*MODES, RELU):
        raise ModelError(f"no mode is called {mode!r}; {_did_you_mean(mode, MODES)}")
    path = find_checkpoint(name, mode)
    where = _device(device)
    from attnviz.captioner import load_checkpoint

    model = load_checkpoint(path)
    if mode is not None and model.mode != mode:
        raise ModelError(f"{path}: holds the mode {model.mode}, not {mode}")
    return model.to(where)


def mode_of(path: str | os.PathLike[str]) -> str | None:
    """The score function of a checkpoint file. Raises ModelError as `header.read_meta` does."""
    mode = read_meta(Path(path)).get("config", {}).get("mode")
    return None if mode is None else str(mode)


def find_checkpoint(name: str | os.PathLike[str] = DEFAULT_MODEL, mode: str | None = None) -> Path:
    """The file of a network of our own: `name` itself where it is one, else the bundled model of that name and mode.

    Raises:
        ModelError: for an unknown name, a network of others, or a mode that the bundled model has no weights for.
    """
    path = Path(name)
    if _is_checkpoint(path):
        return path
    models = bundled()
    modes = {one.mode: one for one in models if one.name == str(name)}
    if not modes:
        raise ModelError(_unknown(name, {one.name for one in models}))
    wanted = mode or (DEFAULT_MODE if DEFAULT_MODE in modes else next(iter(modes)))
    if wanted not in modes:
        raise ModelError(f"the model {name} has no weights for the mode {wanted}; it has {', '.join(modes)}")
    return modes[wanted].path


def nothing_called(name: str) -> str | None:
    """That `name`, which is no path, names no network, with what comes closest; None where it may name one.

    No file is read and nothing is imported for it. Raises ModelError where two packages offer the name.
    """
    names = {one.name for one in bundled()}
    prefix, _ = _split(name)
    if name in names or _is_checkpoint(Path(name)) or prefix in ADAPTERS or (prefix and offering(prefix)):
        return None
    return _unknown(name, names)


def _is_checkpoint(path: Path) -> bool:
    return path.suffix == ".safetensors" or is_file(path)


def _split(name: str | os.PathLike[str]) -> tuple[str, str]:
    """("hf", "PATH") for "hf:PATH"; ("name", "") without a colon; ("", "") for what is a file or a bundled model."""
    if not isinstance(name, str) or _is_checkpoint(Path(name)) or name in {one.name for one in bundled()}:
        return "", ""
    prefix, colon, rest = name.partition(":")
    return ("", "") if colon and len(prefix) == 1 else (prefix, rest)  # C:\models


def _unknown(name: str | os.PathLike[str], bundled_names: Iterable[str]) -> str:
    """That nothing is called `name`, with what comes closest."""
    path, (prefix, _) = Path(name), _split(name)
    if is_folder(path):
        hint = f"name it as hf:{name}" if is_file(path / "config.json") else "name the checkpoint file in it"
        return f"{name}: is a folder; {hint}"
    if prefix in ADAPTERS or (prefix and offering(prefix)):
        return f"{name}: is no checkpoint of attnviz"
    names = [*sorted(bundled_names), *(f"{one}:" for one in (*ADAPTERS, *sorted({one.name for one in plugins()})))]
    word = f"{prefix}:" if ":" in str(name) else str(name)
    return f"no bundled model is called {str(name)!r}, and no checkpoint file; {_did_you_mean(word, names)}"


def _did_you_mean(word: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, 1)
    listed = f"there are {', '.join(choices)}" if choices else "there are none"
    return f"did you mean {close[0]!r}? {listed}" if close else listed


def _device(name: str) -> torch.device:
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not has_mps):
        raise ModelError(f"this machine, or its torch, has no {name} device; use --device cpu or auto")
    return torch.device(name)
