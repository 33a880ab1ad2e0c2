"""The state of a run beside its checkpoint: saved after every epoch, and gone on from."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from attnviz.captioner.config import ModelConfig
from attnviz.errors import ConfigError, counted
from attnviz.train.config import DataConfig, TrainConfig

if TYPE_CHECKING:
    from attnviz.train.config import FitConfig

LENGTHS = ("epochs", "critical", "kinds")
"""The settings that may change while a run has a state: it goes on for longer, or ends sooner, or in another way."""

DAMAGED = (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError, pickle.UnpicklingError)


def recipe(config: FitConfig) -> dict[str, Any]:
    """What a run does, whatever folder its files lie in: stored in the checkpoint's card, and compared on resuming."""
    facts = asdict(config)
    data = {key: value for key, value in facts["data"].items() if key != "cache"}
    data |= {key: Path(data[key]).name for key in ("train", "dev")}
    data["writer"] = Path(data["writer"]).name
    facts["data"] = data | {"extra": ["/".join(Path(path).parts[-2:]) for path in data["extra"]]}
    start = Path(config.start or config.pretrained).name
    found = {"start": start, "data": facts["data"], "model": config.model.to_dict(), "train": facts["train"]}
    return found | ({"score": Path(config.score).name} if config.score else {})


def state_path(config: FitConfig) -> Path:
    return Path(config.out).with_suffix(".state")


def write_state(config: FitConfig, state: Mapping[str, Any], figures: Mapping[str, float]) -> None:
    """Saves everything that `read_state` needs, and appends the last epoch's figures to the log."""
    path = state_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"config": json.dumps(recipe(config), sort_keys=True), **state}, part)
    part.replace(path)
    with Path(config.out).with_suffix(".log").open("a", encoding="utf-8") as log:
        log.write(json.dumps(figures) + "\n")


def read_state(config: FitConfig) -> dict[str, Any] | None:
    """The state that this run goes on from; None where there is none.

    Raises:
        ConfigError: it is damaged, of a run with other settings, or of more epochs than are asked for.
    """
    path = state_path(config)
    if not path.exists():
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before = _complete(json.loads(state["config"]))
        done, turned = int(state["epoch"]), state["epoch"] > before["train"]["epochs"]
    except DAMAGED as error:
        raise ConfigError(f"{path}: is no state of a run, or damaged; remove it to start anew") from error
    now = json.loads(json.dumps(recipe(config)))
    if changed := _differences(before, now):
        raise ConfigError(
            f"{path}: is the state of a run with other settings ({changed[0]}); move it away, or change `out`"
        )
    options = config.train
    if turned and options.epochs != before["train"]["epochs"]:
        raise ConfigError(
            f"{path}: the run has begun its self-critical epochs, so 'epochs' must stay {before['train']['epochs']}; "
            f"begin another run with start = {config.out!r}"
        )
    if done > options.epochs + (options.critical if turned else 0):
        raise ConfigError(f"{path}: the run has {counted(done, 'epoch')} already; ask for more, or change `out`")
    return state


def _complete(facts: dict[str, Any]) -> dict[str, Any]:
    """What an earlier attnviz wrote, with the settings that came later: they do by default what was done without."""
    for table, kind in (("data", DataConfig), ("model", ModelConfig), ("train", TrainConfig)):
        defaults = {one.name: one.default for one in fields(kind) if one.default is not MISSING}
        facts[table] = defaults | facts[table]
    return facts


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The settings that are not as they were, but for those of `LENGTHS`: what was, and what is."""
    found = []
    for table, values in now.items():
        old = before.get(table)
        pairs = values.items() if isinstance(values, dict) else [("", values)]
        for key, value in pairs:
            was = old.get(key) if isinstance(old, dict) else old
            if was != value and not (table == "train" and key in LENGTHS):
                found.append(f"{table}{'.' * bool(key)}{key} was {was!r}, and is {value!r}")
    return found
