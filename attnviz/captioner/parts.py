"""The parts that a configuration asks for: backbone, what brings its maps to E, decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from attnviz.captioner.decoder import Decoder, WordDecoder
from attnviz.captioner.encoder import Fuse, Pool, build_backbone
from attnviz.captioner.kinds import Kinds
from attnviz.captioner.show_attend_tell import ShowAttendTell
from attnviz.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from attnviz.captioner.config import ModelConfig
    from attnviz.captioner.convnet import TorchvisionBackbone
    from attnviz.captioner.efficientnet import EfficientNetLite
    from attnviz.captioner.vocabulary import Vocabulary


class Parts(NamedTuple):
    """A network's parts, and the grid (h, w) of its E."""

    backbone: EfficientNetLite | TorchvisionBackbone
    fuse: nn.Module
    decoder: WordDecoder
    grid: tuple[int, int]


def build_parts(config: ModelConfig, vocabulary: Vocabulary, dropout: float = 0.0) -> Parts:
    """The parts of a network that knows these words, with random weights.

    Raises:
        ModelError: for names or sizes that do not fit.
    """
    backbone = build_backbone(config.backbone, config.layer)
    grid = backbone.grid(config.input)
    if config.decoder == "show-attend-tell":
        if config.channels != backbone.channels[0]:
            raise ModelError(
                f"{config.decoder} reads the backbone's map as it is: channels must be {backbone.channels[0]}, not "
                f"{config.channels}"
            )
        grid = config.pool or grid
        other = ShowAttendTell(
            words=len(vocabulary),
            channels=config.channels,
            cells=grid[0] * grid[1],
            embedding=config.embedding,
            state=config.state,
            attention=config.attention,
            dropout=dropout,
        )
        return Parts(backbone, Pool(grid), other, grid)
    decoder = Decoder(
        config.mode,
        words=len(vocabulary),
        channels=config.channels,
        cells=grid[0] * grid[1],
        embedding=config.embedding,
        state=config.state,
        language=config.language,
        attention=config.attention,
        reduced=config.reduced,
        dropout=dropout,
        kinds=Kinds.of(config.kinds, vocabulary) if config.kinds else None,
    )
    return Parts(backbone, Fuse(backbone.channels, config.channels, len(config.kinds)), decoder, grid)
