"""The decoder: one step reads the words so far, looks at the image, and scores the next word.

Two LSTMs around the attention, after Lu et al. 2017 (arXiv:1612.01887), where the state that has read every earlier
word asks the question, and Anderson et al. 2018 (arXiv:1707.07998), where a second LSTM speaks:

    d_t = query LSTM(embedding of y_{t-1})          the state before word t: it knows every earlier word
    z_t, a_t = attention(E, d_t)                    the only place where the image is looked at
    g_t = language LSTM([d_t ; z_t])
    p(y_t) = softmax(V tanh(W [g_t ; z_t]) + b)     V: the embedding itself (tied, Press & Wolf 2017)

Where the network knows kinds of things, a_t also says which of them a word that names one should mean: see kinds.py.

Nothing of the attention flows back into the query LSTM, so for given words all T steps are two LSTM calls and one
batched attention, and the weights of a step are those of the sentence, whatever search found it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnviz.captioner.attention import Attended, Attention, Features, build_attention
from attnviz.captioner.kinds import Kinds, odds_of
from attnviz.captioner.vocabulary import PAD

if TYPE_CHECKING:
    from attnviz.captioner.hard import Chooser

LSTMState = tuple[Tensor, Tensor]


class State:
    """What a decoder remembers of the words so far, for B * Q sentences."""

    def select(self, rows: Tensor) -> State:
        """The states at `rows` (any number of flat indices into B * Q)."""
        raise NotImplementedError


@dataclass(frozen=True)
class LSTMs(State):
    """Hidden and cell state of both LSTMs, each (1, B * Q, size); and which of K kinds of things were named, 0 or 1,
    (B * Q, K), see `Kinds`."""

    query: LSTMState
    language: LSTMState
    named: Tensor

    def select(self, rows: Tensor) -> LSTMs:
        query, language = ((h[:, rows], c[:, rows]) for h, c in (self.query, self.language))
        return LSTMs(query, language, self.named[rows])


@dataclass(frozen=True)
class Output:
    """Logits (B, Q, V) over the vocabulary for the next word, and what was attended to for it."""

    logits: Tensor
    attended: Attended


class WordDecoder(nn.Module):
    """What search, training and measurement ask of a decoder."""

    WORD_ROWS: ClassVar[tuple[str, ...]]
    """The parameters that have a row for each word."""

    mode: str
    attention: Attention
    kinds: Kinds | None = None

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def prepare(self, values: Tensor) -> Features:
        """E (B, N, C), or with the log odds of kinds (B, N, C + K) -> the features that each step reads. Raises
        ModelError for a grid of the wrong size."""
        raise NotImplementedError

    def start(self, values: Tensor, queries: int = 1) -> State:
        """The first state, from the mean of E (B, N, C): `queries` alike for each image."""
        raise NotImplementedError

    def forward(
        self, features: Features, state: State, words: Tensor, choose: Chooser | None = None, pick: Tensor | None = None
    ) -> tuple[Output, State]:
        """Reads `words` (B, K, T) and scores the word after each.

        Teacher forcing gives all T words of K captions at once; a search gives T = 1.

        Args:
            choose: makes the attention hard.
            pick: (B, Q) numbers in K * T, the positions to attend and score, so that padding costs nothing; None: all.

        Returns:
            logits and attention for Q queries per image (all: K * T, caption by caption); and the state after the last
            word.
        """
        raise NotImplementedError

    def asking(self) -> tuple[str, list[nn.Module]]:
        """What makes the query that the attention is asked with: a name for it, and its parts."""
        raise NotImplementedError

    def speaking(self) -> list[nn.Module | nn.Parameter]:
        """The parts that come after the attention. While they alone learn, the maps for given words cannot change."""
        raise NotImplementedError


class Decoder(WordDecoder):
    """LSTM decoder with attention.

    Args:
        mode: the score function, a key of `attention.SCORES`.
        words: V, the size of the vocabulary.
        channels: C of the encoder's output E (B, N, C).
        cells: N of its grid.
        embedding: size of a word's vector.
        state: D, size of the query LSTM, whose hidden state is the d of the score functions.
        language: size of the language LSTM.
        attention: A, the inner size of the score function.
        reduced: channels that `flat-concat` scores; 0 for all.
        dropout: share of the embedding's (half of it), and the output layer's inputs dropped in training.
        kinds: the words that name kinds of things; None for a network that asks for none.
    """

    WORD_ROWS = ("embed.weight", "bias")

    def __init__(
        self,
        mode: str,
        *,
        words: int,
        channels: int,
        cells: int,
        embedding: int = 256,
        state: int = 384,
        language: int = 384,
        attention: int = 256,
        reduced: int = 0,
        dropout: float = 0.0,
        kinds: Kinds | None = None,
    ) -> None:
        super().__init__()
        self.mode, self.dropout, self.channels, self.kinds = mode, dropout, channels, kinds
        self.embed = nn.Embedding(words, embedding, padding_idx=PAD)
        nn.init.normal_(self.embed.weight, std=embedding**-0.5)
        self.attention = build_attention(
            mode, channels=channels, state=state, cells=cells, width=attention, reduced=reduced
        )
        self.start_query = nn.Linear(channels, 2 * state)
        self.start_language = nn.Linear(channels, 2 * language)
        self.query = nn.LSTM(embedding, state, batch_first=True)
        self.speak = nn.LSTM(state + channels, language, batch_first=True)
        self.project = nn.Linear(language + channels, embedding)
        self.bias = nn.Parameter(torch.zeros(words))

    def prepare(self, values: Tensor) -> Features:
        found = self.attention.prepare(values[..., : self.channels])
        return found if self.kinds is None else replace(found, odds=odds_of(values[..., self.channels :]))

    def start(self, values: Tensor, queries: int = 1) -> LSTMs:
        mean = values[..., : self.channels].mean(1).repeat_interleave(queries, 0)  # (B * Q, C)
        states = []
        for layer in (self.start_query, self.start_language):
            hidden, cell = torch.tanh(layer(mean)).unsqueeze(0).chunk(2, -1)
            states.append((hidden.contiguous(), cell.contiguous()))
        query, language = states
        return LSTMs(query, language, values.new_zeros(len(mean), self.kinds.count if self.kinds else 0))

    def forward(
        self, features: Features, state: State, words: Tensor, choose: Chooser | None = None, pick: Tensor | None = None
    ) -> tuple[Output, State]:
        assert isinstance(state, LSTMs)
        b, k, t = words.shape
        read = F.dropout(self.embed(words.reshape(b * k, t)), self.dropout / 2, self.training)
        asked, query = self.query(read, state.query)  # (B * K, T, D)
        attended = self.attention(features, take(asked.reshape(b, k * t, -1), pick), choose)
        context = attended.context
        if pick is None:
            everywhere = context
        else:
            where = pick.unsqueeze(-1).expand_as(context)
            everywhere = context.new_zeros(b, k * t, context.shape[-1]).scatter(1, where, context)
        spoken, language = self.speak(torch.cat([asked, everywhere.reshape(b * k, t, -1)], -1), state.language)
        both = torch.cat([take(spoken.reshape(b, k * t, -1), pick), context], -1)
        hidden = torch.tanh(self.project(F.dropout(both, self.dropout, self.training)))
        logits = F.linear(F.dropout(hidden, self.dropout / 2, self.training), self.embed.weight, self.bias)
        named = state.named
        if self.kinds is not None and features.odds is not None:
            each = self.kinds.named(words.reshape(b * k, t), named)
            asked = take(each.reshape(b, k * t, -1), pick)
            logits, named = self.kinds.deal(logits, attended.weights, features.odds, asked), each[:, -1]
        return Output(logits, attended), LSTMs(query, language, named)

    def asking(self) -> tuple[str, list[nn.Module]]:
        return "query LSTM", [self.query, self.start_query, self.embed]

    def speaking(self) -> list[nn.Module | nn.Parameter]:
        # The output layer's matrix is not among them, since the query LSTM reads it too.
        return [self.start_language, self.speak, self.project, self.bias]


def take(rows: Tensor, pick: Tensor | None) -> Tensor:
    """rows (B, n, size) at the positions `pick` (B, Q) -> (B, Q, size)."""
    return rows if pick is None else rows.gather(1, pick.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))
