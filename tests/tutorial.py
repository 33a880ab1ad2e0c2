"""A Show, Attend and Tell network as the tutorial lays it out, written anew: what its checkpoints are tried against.

The names of the classes and of their parts are what a checkpoint holds; their module is called `models` in one.
`caption` is the tutorial's beam search, step by step.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    def __init__(self, resnet: ResNet, side: int = 14) -> None:
        super().__init__()
        self.enc_image_size = side
        self.resnet = nn.Sequential(*list(resnet.children())[:-2])
        self.adaptive_pool = nn.AdaptiveAvgPool2d((side, side))

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, H, W) -> (B, h, w, C)
        return self.adaptive_pool(self.resnet(images)).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class Attention(nn.Module):
    def __init__(self, channels: int, state: int, width: int) -> None:
        super().__init__()
        self.encoder_att = nn.Linear(channels, width)
        self.decoder_att = nn.Linear(state, width)
        self.full_att = nn.Linear(width, 1)
        self.relu = nn.ReLU()
        self.softmax = nn.Softmax(dim=1)

    def forward(self, cells: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        sums = self.encoder_att(cells) + self.decoder_att(hidden).unsqueeze(1)
        alpha = self.softmax(self.full_att(self.relu(sums)).squeeze(2))
        return (cells * alpha.unsqueeze(2)).sum(1), alpha


class DecoderWithAttention(nn.Module):
    def __init__(self, words: int, channels: int, width: int = 12, embedding: int = 10, state: int = 16) -> None:
        super().__init__()
        self.encoder_dim, self.decoder_dim, self.vocab_size = channels, state, words
        self.attention = Attention(channels, state, width)
        self.embedding = nn.Embedding(words, embedding)
        self.dropout = nn.Dropout(0.5)
        self.decode_step = nn.LSTMCell(embedding + channels, state, bias=True)
        self.init_h = nn.Linear(channels, state)
        self.init_c = nn.Linear(channels, state)
        self.f_beta = nn.Linear(state, channels)
        self.sigmoid = nn.Sigmoid()
        self.fc = nn.Linear(state, words)

    def begin(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        mean = cells.mean(1)
        return self.init_h(mean), self.init_c(mean)

    def step(self, cells: Tensor, words: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of the next word, where was looked, and the new state."""
        seen, alpha = self.attention(cells, h)
        gate = self.sigmoid(self.f_beta(h))
        h, c = self.decode_step(torch.cat([self.embedding(words), gate * seen], 1), (h, c))
        return self.fc(self.dropout(h)), alpha, h, c


class Sentence(NamedTuple):
    """Word numbers without start and end, and for each word its logits (T, V) and weights (T, h, w)."""

    numbers: list[int]
    logits: np.ndarray
    weights: np.ndarray


def pixels(photo: Path, side: int = 256) -> Tensor:
    """(1, 3, side, side), as the tutorial reads a photo."""
    image = Image.open(photo).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.asarray(image).transpose(2, 0, 1) / 255.0).float()
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return ((x - mean) / deviation).unsqueeze(0)


@torch.no_grad()
def caption(decoder: DecoderWithAttention, found: Tensor, k: int, ends: tuple[int, int]) -> list[int]:
    """The tutorial's beam search: numbers of the best sentence, start and end left out; the best one under way where
    none has ended.

    Args:
        found: what the encoder made of a photo, (1, h, w, C).
        k: beams.
        ends: the numbers of start and end.
    """
    start, end = ends
    cells = found.reshape(1, -1, found.shape[-1]).expand(k, -1, -1)
    words, scores = torch.full((k,), start), torch.zeros(k, 1)
    sentences = words.unsqueeze(1)
    h, c = decoder.begin(cells)
    over: list[tuple[float, list[int]]] = []
    for step in range(1, 52):
        logits, _, h, c = decoder.step(cells, words, h, c)
        total = scores + F.log_softmax(logits, 1)
        best, flat = (total[0] if step == 1 else total.view(-1)).topk(k)
        parent = torch.div(flat, total.shape[1], rounding_mode="floor")
        sentences = torch.cat([sentences[parent], (flat % total.shape[1]).unsqueeze(1)], 1)
        going = [i for i in range(k) if sentences[i, -1] != end]
        over += [(float(best[i]), sentences[i].tolist()) for i in range(k) if i not in going]
        k -= k - len(going)
        if k == 0:
            break
        sentences, scores, words = sentences[going], best[going].unsqueeze(1), sentences[going, -1]
        h, c, cells = h[parent[going]], c[parent[going]], cells[parent[going]]
    if not over:
        return [int(number) for number in sentences[0, 1:]]
    values = [score for score, _ in over]
    return over[values.index(max(values))][1][1:-1]


@torch.no_grad()
def read(decoder: DecoderWithAttention, found: Tensor, numbers: Sequence[int], start: int) -> Sentence:
    """Logits and weights at each of the words `numbers`, word by word."""
    cells = found.reshape(1, -1, found.shape[-1])
    h, c = decoder.begin(cells)
    logits, weights = [], []
    for before in [start, *numbers[:-1]]:
        scores, alpha, h, c = decoder.step(cells, torch.tensor([before]), h, c)
        logits.append(scores[0].numpy())
        weights.append(alpha.view(found.shape[1:3]).numpy())
    return Sentence(list(numbers), np.array(logits), np.array(weights))


class Tutorial(NamedTuple):
    """A network, its word map, and its optimisers."""

    encoder: Encoder
    decoder: DecoderWithAttention
    words: dict[str, int]
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]

    @property
    def ends(self) -> tuple[int, int]:
        return self.words["<start>"], self.words["<end>"]

    @property
    def names(self) -> dict[int, str]:
        return {number: word for word, number in self.words.items()}


def small_resnet(
    kind: type[BasicBlock | Bottleneck] = Bottleneck, layers: Sequence[int] = (1, 1, 1, 1), **sizes: int
) -> ResNet:
    return ResNet(kind, list(layers), **sizes)


def train(
    resnet: ResNet,
    sentences: Sequence[str],
    photos: Sequence[Tensor],
    steps: int = 8,
    fine_tune: bool = False,
    **sizes: int,
) -> Tutorial:
    """A network that has learned for a few steps, one sentence a photo."""
    vocabulary = sorted({word for sentence in sentences for word in sentence.split()})
    words = {word: number for number, word in enumerate(vocabulary, 1)}
    words |= {name: len(words) + i for i, name in enumerate(("<unk>", "<start>", "<end>"), 1)} | {"<pad>": 0}
    encoder = Encoder(resnet)
    with torch.no_grad():  # random weights: the norms take their statistics from the photos, or all would look alike
        for part in encoder.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = 1.0
            if isinstance(part, nn.BatchNorm2d) and part.num_features >= 512:
                part.weight.mul_(0.2)
        encoder.train()(torch.cat(list(photos)))
        encoder.eval()
        channels = encoder(photos[0]).shape[-1]
    decoder = DecoderWithAttention(len(words), channels, **sizes)
    encoder.requires_grad_(fine_tune)
    parts = [p for p in encoder.parameters() if p.requires_grad] or [nn.Parameter(torch.zeros(1))]
    optimisers = torch.optim.Adam(parts, 1e-4), torch.optim.Adam(decoder.parameters(), 1e-2)
    cells = [encoder(photo).reshape(1, -1, channels) for photo in photos]
    for _ in range(steps):
        loss = torch.zeros(())
        for number, sentence in enumerate(sentences):
            if fine_tune:
                cells[number] = encoder(photos[number]).reshape(1, -1, channels)
            numbers = [words["<start>"], *(words[word] for word in sentence.split()), words["<end>"]]
            h, c = decoder.begin(cells[number])
            for before, after in pairwise(numbers):
                logits, _, h, c = decoder.step(cells[number], torch.tensor([before]), h, c)
                loss = loss + F.cross_entropy(logits, torch.tensor([after])) / len(photos)
        for optimiser in optimisers:
            optimiser.zero_grad()
        torch.autograd.backward(loss)
        for optimiser in optimisers:
            optimiser.step()
    return Tutorial(encoder.eval(), decoder.eval(), words, optimisers)


@contextmanager
def called_models(name: str = "models") -> Iterator[None]:
    """While it lasts, the classes belong to a module of that name, as in the tutorial."""
    classes = (Encoder, Attention, DecoderWithAttention)
    before = [(one, one.__module__) for one in classes]
    parts = name.split(".")
    modules = {".".join(parts[:count]): ModuleType(".".join(parts[:count])) for count in range(1, len(parts) + 1)}
    held = {one: sys.modules[one] for one in modules if one in sys.modules}
    sys.modules.update(modules)
    for one in classes:
        one.__module__ = name
        setattr(modules[name], one.__name__, one)
    try:
        yield
    finally:
        for one, place in before:
            one.__module__ = place
        for module in modules:
            del sys.modules[module]
        sys.modules.update(held)


def save(model: Tutorial, path: Path, legacy: bool = False, module: str = "models", **changes: Any) -> Path:
    """What the tutorial saves after an epoch."""
    state: dict[str, Any] = {
        "epoch": 7,
        "epochs_since_improvement": 1,
        "bleu-4": 0.2412,
        "encoder": model.encoder,
        "decoder": model.decoder,
        "encoder_optimizer": model.optimisers[0],
        "decoder_optimizer": model.optimisers[1],
        **changes,
    }
    with called_models(module), warnings.catch_warnings(action="ignore"):  # the older container looks for the source
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path
