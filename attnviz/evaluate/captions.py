"""Caption quality: corpus BLEU (Papineni et al. 2002), computed by sacrebleu."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from attnviz.data.words import normalise
from attnviz.errors import ConfigError


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


def bleu(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> dict[str, float]:
    """BLEU-1 to BLEU-4 over a corpus, in percent.

    Args:
        hypotheses: one sentence per photo, as words.
        references: per photo its captions, as words; photos may differ in their number.

    Returns:
        `BLEU-1` ... `BLEU-4`: geometric means of the clipped 1- to n-gram precisions, times the brevity penalty.

    Raises:
        ConfigError: when sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise ConfigError(
            "captions are scored by sacrebleu, which is not installed; pip install 'attnviz[train]'"
        ) from error
    spoken = [" ".join(words) for words in hypotheses]
    most = max(map(len, references))
    # sacrebleu wants the k-th reference of all photos together, and skips None.
    written: list[Any] = [[" ".join(refs[k]) if k < len(refs) else None for refs in references] for k in range(most)]
    scores = {}
    for order in range(1, 5):
        metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order, force=True)
        scores[f"BLEU-{order}"] = float(metric.corpus_score(spoken, written).score)
    return scores
