"""Caption quality: corpus BLEU (Papineni et al. 2002), computed by sacrebleu."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from attnviz.data.words import normalise
from attnviz.errors import ConfigError
from attnviz.stats import interval, resampled

ORDERS = 4
"""BLEU-1 to BLEU-4."""

Sentences = Sequence[Sequence[str]]


def words_of(tokens: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """A caption's words as captions are counted: lower case, without punctuation, "dog's" as "dog" and "'s".

    Args:
        tokens: the words as a network writes them, such as "A" and "dog's,".
        known: words of the split, which are taken as they are ("t-shirt", "'s").
    """
    found = list[str]()
    for token in tokens:
        word = normalise(token)
        if word and word not in known:
            bare = word.strip("".join(char for char in word if not char.isalnum()))
            stem = next((bare.removesuffix(end) for end in ("'s", "\u2019s") if bare.endswith(end)), bare)
            found += [stem, "'s"] if stem and stem != bare and bare not in known else [bare]
        elif word:
            found.append(word)
    return tuple(found)


def bleu(hypotheses: Sentences, references: Sequence[Sentences]) -> dict[str, float]:
    """BLEU-1 to BLEU-4 over a corpus, in percent.

    Args:
        hypotheses: one sentence per photo, as words.
        references: per photo its captions, as words; photos may differ in their number.

    Returns:
        `BLEU-1` ... `BLEU-4`: geometric means of the clipped 1- to n-gram precisions, times the brevity penalty.

    Raises:
        ConfigError: when sacrebleu is not installed.
    """
    spoken = [" ".join(words) for words in hypotheses]
    most = max(map(len, references))
    # sacrebleu wants the k-th reference of all photos together, and skips None.
    written: list[Any] = [[" ".join(refs[k]) if k < len(refs) else None for refs in references] for k in range(most)]
    scores = {}
    for order in range(1, ORDERS + 1):
        metric = _metric(order)
        scores[f"BLEU-{order}"] = float(metric.corpus_score(spoken, written).score)
    return scores


def bleu_intervals(
    hypotheses: Sentences, references: Sequence[Sentences], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each figure of `bleu` (Koehn 2004): photos are drawn with replacement, with all they have.

    Args and errors as of `bleu`.
    """
    metric, rows = _metric(ORDERS, sentence=True), []
    for words, refs in zip(hypotheses, references, strict=True):
        found = metric.sentence_score(" ".join(words), [" ".join(ref) for ref in refs])
        rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
    drawn = resampled(rows, seed)
    right, said = drawn[:, :ORDERS], np.maximum(drawn[:, ORDERS : 2 * ORDERS], 1)
    length, wanted = np.maximum(drawn[:, -2:], 1).T
    with np.errstate(divide="ignore"):  # a precision of 0 makes the mean 0
        means = np.cumsum(np.log(right / said), axis=1) / np.arange(1, ORDERS + 1)
    scores = 100 * np.exp(means) * np.exp(np.minimum(0, 1 - wanted / length))[:, None]
    return {f"BLEU-{order + 1}": interval(scores[:, order]) for order in range(ORDERS)}


def _metric(order: int, sentence: bool = False) -> Any:
    """sacrebleu's metric, of a corpus or, as it wants to be told, a sentence. Raises ConfigError without sacrebleu."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise ConfigError(
            "captions are scored by sacrebleu, which is not installed; pip install 'attnviz[train]'"
        ) from error
    return BLEU(tokenize="none", smooth_method="none", max_ngram_order=order, force=True, effective_order=sentence)
