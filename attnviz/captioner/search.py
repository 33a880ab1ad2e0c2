"""Which words: beam search over the decoder, batched over images and beams.

It finds word numbers only; where the network looked is read off afterwards in one pass over the finished sentence
(`Captioner.describe`), which gives the same weights, since a step depends on earlier words alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from attnviz.captioner.vocabulary import END, PAD, START, UNKNOWN
from attnviz.limits import BEAM

if TYPE_CHECKING:
    from attnviz.captioner.decoder import WordDecoder
    from attnviz.captioner.hard import Chooser
    from attnviz.captioner.vocabulary import Vocabulary

LENGTH_POWER = 0.5
"""Sentences are compared by log-probability / length ** LENGTH_POWER (Wu et al. 2016, arXiv:1609.08144, with the plain
length): 0 favours short sentences, 1 is the mean per word."""


CLOSE = 2e-5
"""A share of the score (1 at least): what is decided by less, an image decides alone. Where an image stands in a batch
changes its scores in the last bits, since matrix kernels treat the rows at an edge in another way: by 2e-6 at most, in
all modes on 64 photos, a tenth of this. One photo in a hundred is that close somewhere."""

LINKS = ("and", "a", "an", "another", "the")


class Links(NamedTuple):
    """The numbers of "and" and of the articles: with them, small networks like to repeat themselves ("a cat and a cat",
    "a brown and brown dog", "a cat on top of a cat"), which no reader would say: of Flickr8k's captions, one in a
    hundred has a word twice after the same article."""

    joining: int
    articles: tuple[int, ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Links:
        """Of an English vocabulary; in any other, nothing is linked."""
        joining, *articles = (number if number != UNKNOWN else PAD for number in vocabulary.encode(LINKS))
        return cls(joining, tuple(articles))

    def said(self, sentences: Tensor) -> Tensor:
        """The words that may not come next, (B, K, T) for sentences (B, K, T) of at least two words: one before "and"
        may not follow it, with an article or without; one after an article may not follow that article again. PAD
        stands for none."""
        last, before = sentences[..., -1:], sentences[..., -2:-1]
        earlier = sentences[..., -3:-2] if sentences.shape[-1] > 2 else torch.full_like(last, PAD)
        none = torch.full_like(last, PAD)
        article = torch.isin(last, torch.tensor(self.articles, device=last.device)) & (last != PAD)
        joined = torch.where(last == self.joining, before, none)
        joined = torch.where(article & (before == self.joining), earlier, joined)
        again = torch.where(article & (sentences[..., :-1] == last), sentences[..., 1:], none)
        return torch.cat([joined, again], -1)


@torch.no_grad()
def sample(decoder: WordDecoder, values: Tensor, count: int, longest: int = 30) -> Tensor:
    """Sentences drawn word by word with the network's own probabilities.

    Args:
        values: E, (B, N, C).
        count: K, how many for each image.
        longest: the most words before a sentence is cut.

    Returns:
        (B, K, T) word numbers, each sentence with its end (but a cut one), then padding.
    """
    b = values.shape[0]
    features, state = decoder.prepare(values), decoder.start(values, count)
    words = torch.full((b, count, 1), START, device=values.device)
    over = torch.zeros_like(words, dtype=torch.bool)
    drawn = []
    for step in range(longest):
        output, state = decoder(features, state, words)
        logits = output.logits
        logits[..., [PAD, START, UNKNOWN]] = -torch.inf
        if step == 0:
            logits[..., END] = -torch.inf  # as in the search
        words = torch.multinomial(logits.flatten(0, 1).softmax(-1), 1).view(b, count, 1).masked_fill(over, PAD)
        drawn.append(words)
        over |= words == END
        if bool(over.all()):
            break
    return torch.cat(drawn, -1)


def beam_search(
    decoder: WordDecoder,
    values: Tensor,
    beam: int = BEAM,
    longest: int = 30,
    choose: Callable[[int], Chooser | None] = lambda step: None,
    length_power: float = LENGTH_POWER,
    links: Links | None = None,
) -> list[list[int]]:
    """The best sentence found for each image, whatever other images there are.

    The images are searched side by side, which is faster, and those where two scores came closer than `CLOSE` once
    more, each alone: rounding, which depends on the neighbours, decides nothing.

    Args:
        values: E, (B, N, C).
        beam: K, how many sentences are kept; 1 is greedy search.
        longest: the most words before a sentence is ended.
        choose: step -> how hard attention chooses at that step; None for soft attention.
        length_power: how much longer sentences are favoured, see `LENGTH_POWER`.
        links: the words around which nothing is said twice, see `Links`; None allows it.

    Returns:
        B lists of word numbers, without start and end.
    """

    def search(images: Tensor) -> tuple[list[list[int]], Tensor]:
        return _search(decoder, images, beam, longest, choose, length_power, links)

    found, margins = search(values)
    for image in (margins < CLOSE).nonzero().flatten().tolist() if len(values) > 1 else ():
        # A copy lies in memory as any image alone would: kernels look at that too.
        (found[image],), _ = search(values[image : image + 1].clone())
    return found


def _search(
    decoder: WordDecoder,
    values: Tensor,
    k: int,
    longest: int,
    choose: Callable[[int], Chooser | None],
    length_power: float,
    links: Links | None,
) -> tuple[list[list[int]], Tensor]:
    """What `beam_search` finds in one go, and for each image (B,) how close the closest decision was: see `CLOSE`."""
    b = values.shape[0]
    features, state = decoder.prepare(values), decoder.start(values, k)
    device = values.device
    words = torch.full((b, k, 1), START, device=device)
    total = torch.full((b, k), -torch.inf, device=device)
    total[:, 0] = 0  # all beams start alike: only the first may branch at step 0
    sentences = torch.full((b, k, longest), PAD, device=device)
    best = torch.full((b,), -torch.inf, device=device)
    found = torch.full((b, longest), PAD, device=device)
    ended = torch.zeros(b, dtype=torch.long, device=device)
    images = torch.arange(b, device=device)
    margins = torch.full((b,), torch.inf, device=device)
    for step in range(longest + 1):
        output, state = decoder(features, state, words, choose(step))
        logprobs = output.logits.log_softmax(-1)
        logprobs[..., [PAD, START, UNKNOWN]] = -torch.inf
        if step == 0:
            logprobs[..., END] = -torch.inf  # a caption has at least one word
        if links is not None and step > 1:
            logprobs.scatter_(-1, links.said(sentences[:, :, :step]), -torch.inf)
        if step == longest:
            logprobs[..., :END] = logprobs[..., END + 1 :] = -torch.inf
        # Twice as many candidates as beams: at most k of them are ends, so k sentences can always go on.
        ahead, flat = (total.unsqueeze(-1) + logprobs).flatten(1).topk(2 * k + 1)
        score, flat = ahead[:, :-1], flat[:, :-1]
        if output.attended.margin is not None:
            margins = margins.minimum(_smallest(output.attended.margin.where(total.isfinite(), torch.inf), total))
        parent, word = flat // logprobs.shape[-1], flat % logprobs.shape[-1]
        is_end = word == END
        # The k best that go on, in order: a stable sort moves the ends behind.
        keep = is_end.long().sort(dim=-1, stable=True).indices[:, :k]
        # What decides: who is the last to go on, whether an end is among the k best, and which end is the best one.
        decides = is_end.clone()
        decides[:, k - 1] |= is_end[:, k]
        decides[:, k:] = False
        decides.scatter_(1, keep[:, -1:], True)
        apart = (ahead[:, :-1] - ahead[:, 1:]).where(decides, torch.inf)
        margins = margins.minimum(_smallest(apart, ahead[:, 1:]))
        finished = torch.where(is_end[:, :k], score[:, :k] / max(step, 1) ** length_power, -torch.inf)
        top, which = finished.max(-1)
        margins = margins.minimum(_smallest((top - best).abs().unsqueeze(-1), top.unsqueeze(-1)))
        better = top > best
        best = torch.where(better, top, best)
        found[better] = sentences[images, parent[images, which]][better]
        ended += (is_end[:, :k] & score[:, :k].isfinite()).sum(-1)
        if step == longest or bool((ended >= k).all()):
            break
        total = score.gather(1, keep).masked_fill((ended >= k).unsqueeze(-1), -torch.inf)
        parent, word = parent.gather(1, keep), word.gather(1, keep)
        sentences = sentences.gather(1, parent.unsqueeze(-1).expand_as(sentences))
        sentences[:, :, step] = word
        words = word.unsqueeze(-1)
        state = state.select((parent + images.unsqueeze(1) * k).flatten())
    return [[n for n in row if n != PAD] for row in found.tolist()], margins


def _smallest(differences: Tensor, scores: Tensor) -> Tensor:
    """(B, n) -> (B,), as a share of the scores; sentences that cannot be (-inf, with NaN) are not compared."""
    return (differences / scores.abs().clamp_min(1)).nan_to_num(torch.inf, torch.inf).amin(-1)
