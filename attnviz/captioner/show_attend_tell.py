"""The decoder of Show, Attend and Tell as its most copied PyTorch tutorial builds it, and that tutorial's search.

Xu et al. 2015 (arXiv:1502.03044), soft attention; the tutorial is sgrvinod's "a PyTorch tutorial to image captioning".
One LSTM cell, and what is looked at for a word depends on the state that the words before it left behind:

    e_i = v . relu(We E_i + Wd h_{t-1})             with biases; a_t = softmax(e), z_t = sum_i a_ti E_i
    h_t = LSTMCell([embedding of y_{t-1} ; sigmoid(Wb h_{t-1}) * z_t])
    p(y_t) = softmax(W h_t)

E is the backbone's last map, pooled to the grid, without a fuse; h_0 and c_0 are linear in its mean, without a tanh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from attnviz.captioner.attention import Attended, Attention
from attnviz.captioner.config import RELU
from attnviz.captioner.decoder import Output, State, WordDecoder, take
from attnviz.captioner.hard import step_of
from attnviz.captioner.vocabulary import END, START

if TYPE_CHECKING:
    from attnviz.captioner.attention import Features
    from attnviz.captioner.hard import Chooser

LONGEST = 51
"""Words after which the tutorial gives a search up."""


class ReluScore(Attention):
    """s_i = v . relu(We E_i + Wd d) + b, with biases in We and Wd too."""

    def __init__(self, channels: int, state: int, cells: int, width: int, reduced: int = 0) -> None:
        super().__init__(channels, state, cells, width, reduced)
        self.encoder_att = nn.Linear(channels, width)
        self.decoder_att = nn.Linear(state, width)
        self.full_att = nn.Linear(width, 1)

    def keys(self, values: Tensor) -> Tensor:
        return self.encoder_att(values)  # type: ignore[no-any-return]

    def score(self, features: Features, query: Tensor) -> Tensor:
        asked = self.decoder_att(query)
        if torch.is_grad_enabled():  # (B, Q, N, A) numbers a step are too many to keep for the way back
            found: Tensor = checkpoint(self._score, features.keys, asked, use_reentrant=False)
            return found
        return self._score(features.keys, asked)

    def _score(self, keys: Tensor, asked: Tensor) -> Tensor:
        """(B, N, A), (B, Q, A) -> (B, Q, N)."""
        return self.full_att(F.relu(keys.unsqueeze(1) + asked.unsqueeze(2))).squeeze(-1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Cell(State):
    """Hidden and cell state, each (B * Q, D)."""

    hidden: Tensor
    cell: Tensor

    def select(self, rows: Tensor) -> Cell:
        return Cell(self.hidden[rows], self.cell[rows])


class ShowAttendTell(WordDecoder):
    """See the top of this file. The names of its parts are the tutorial's.

    Args:
        words: V, the size of the vocabulary.
        channels: C of E (B, N, C).
        cells: N of its grid.
        embedding: size of a word's vector.
        state: D, size of the LSTM cell.
        attention: A, the inner size of the score function.
        dropout: share of the output layer's inputs dropped in training.
    """

    WORD_ROWS = ("embedding.weight", "fc.weight", "fc.bias")

    def __init__(
        self,
        *,
        words: int,
        channels: int,
        cells: int,
        embedding: int = 512,
        state: int = 512,
        attention: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.mode, self.dropout = RELU, dropout
        self.attention = ReluScore(channels, state, cells, attention)
        self.embedding = nn.Embedding(words, embedding)
        self.decode_step = nn.LSTMCell(embedding + channels, state)
        self.init_h = nn.Linear(channels, state)
        self.init_c = nn.Linear(channels, state)
        self.f_beta = nn.Linear(state, channels)
        self.fc = nn.Linear(state, words)

    def prepare(self, values: Tensor) -> Features:
        return self.attention.prepare(values)

    def start(self, values: Tensor, queries: int = 1) -> Cell:
        mean = values.mean(1).repeat_interleave(queries, 0)  # (B * Q, C)
        return Cell(self.init_h(mean), self.init_c(mean))

    def forward(
        self, features: Features, state: State, words: Tensor, choose: Chooser | None = None, pick: Tensor | None = None
    ) -> tuple[Output, State]:
        assert isinstance(state, Cell)
        b, k, t = words.shape
        read, seen = self.embedding(words), []
        hidden, cell, spoken = state.hidden, state.cell, []
        for step in range(t):
            # What is looked at hangs on what was seen before, so the steps are taken one by one.
            attended = self.attention(features, hidden.view(b, k, -1), step_of(choose, step))
            context = torch.sigmoid(self.f_beta(hidden)) * attended.context.flatten(0, 1)
            hidden, cell = self.decode_step(torch.cat([read[:, :, step].flatten(0, 1), context], 1), (hidden, cell))
            seen.append(attended)
            spoken.append(hidden.view(b, k, -1))

        def together(parts: list[Tensor]) -> Tensor:
            """(B, K, n) a step -> (B, Q, n), caption by caption."""
            return take(torch.stack(parts, 2).flatten(1, 2), pick)

        logits = self.fc(F.dropout(together(spoken), self.dropout, self.training))
        context, weights = (together([getattr(one, name) for one in seen]) for name in ("context", "weights"))
        scores = together([one.scores for one in seen]) if seen[0].scores is not None else None
        return Output(logits, Attended(context, weights, scores)), Cell(hidden, cell)

    def asking(self) -> tuple[str, list[nn.Module]]:
        return "LSTM", [self.decode_step, self.init_h, self.init_c, self.f_beta, self.embedding]

    def speaking(self) -> list[nn.Module | nn.Parameter]:
        return [self.fc]


@torch.inference_mode()
def search(
    decoder: WordDecoder,
    values: Tensor,
    beam: int,
    longest: int = LONGEST,
    choose: Callable[[int], Chooser | None] = lambda step: None,
) -> list[int]:
    """The tutorial's beam search over one image.

    A sentence that ends leaves fewer beams to the others, the sum of log-probabilities decides, whatever the length,
    and no word is ruled out. Where no beam has ended after `longest` words, the tutorial fails; here the best of them
    is taken as it is.

    Args:
        values: E of the one image, (1, N, C).
        beam: K, how many sentences are kept; 1 is greedy search.
        choose: step -> how hard attention chooses at that step; None for soft attention.

    Returns:
        Word numbers, without start and end: none where the end came first, `longest` where it never came.
    """
    features, state = decoder.prepare(values), decoder.start(values)
    device = values.device
    words = torch.full((1, 1, 1), START, device=device)
    total = torch.zeros(1, device=device)
    sentences = torch.empty(1, 0, dtype=torch.long, device=device)
    best, found = -torch.inf, list[int]()
    for step in range(longest):
        output, state = decoder(features, state, words, choose(step))
        scores = total.unsqueeze(1) + output.logits[0].log_softmax(-1)  # (beams, V)
        total, flat = scores.flatten().topk(min(beam, scores.numel()))
        parent, word = flat // scores.shape[1], flat % scores.shape[1]
        sentences = torch.cat([sentences[parent], word.unsqueeze(1)], 1)
        over = word == END
        for score, sentence in zip(total[over].tolist(), sentences[over].tolist(), strict=True):
            if score > best:
                best, found = score, sentence[:-1]
        beam -= int(over.sum())
        if beam <= 0:
            return found
        total, sentences = total[~over], sentences[~over]
        state, words = state.select(parent[~over]), word[~over].view(1, -1, 1)
    return found if best > -torch.inf else list(sentences[0].tolist())
