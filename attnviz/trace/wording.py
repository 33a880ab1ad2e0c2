"""What can be told of a caption's words without a tagger: which carry its content, which is about the main thing, and
which the network was unsure of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

UNSURE = 0.1
"""A word that the network gave less probability than this is marked as unsure wherever it is shown."""

UNSURE_MARK = "?"
"""Stands behind an unsure word, where it is only shown and not given back."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# English words that say how others hang together: articles, pronouns, numerals, prepositions, conjunctions, auxiliary
# verbs, and adverbs that name nothing to be seen. The class is closed: new nouns, verbs and adjectives never join it.
FUNCTION_WORDS = _set(
    """
    a an the this that these those each every either neither any some no none all both half another other others such
    much many more most few fewer less least several enough own same
    i me my mine myself you your yours yourself he him his himself she her hers herself it its itself we us our ours
    ourselves they them their theirs themselves one ones someone somebody something anyone anybody anything everyone
    everybody everything nobody nothing who whom whose which what whatever
    two three four five six seven eight nine ten eleven twelve dozen first second third last
    aboard about above across after against along alongside amid among amongst around as at atop before behind below
    beneath beside besides between beyond by despite down during except for from in inside into like near next of off
    on onto opposite out outside over past per since through throughout till to toward towards under underneath until
    unto up upon via with within without
    and or nor but so yet if then than because although though while whilst whereas when where why how whether unless
    am is are was were be been being isn't aren't wasn't weren't has have had having hasn't haven't do does did doing
    done doesn't don't didn't can could may might must shall should will would cannot can't
    not n't 's 're 've 'll 'd 'm 't s t
    there here away back together apart ahead forward backward too very just only also even still already again ever
    never always often now almost quite rather
    """
)

# Several words that do the work of one: which of them carry no content of their own.
_PHRASES = tuple(
    tuple(phrase.split())
    for phrase in (
        "group of",
        "couple of",
        "bunch of",
        "pair of",
        "lot of",
        "lots of",
        "number of",
        "row of",
        "variety of",
        "front of",
        "top of",
        "side of",
        "middle of",
        "close up of",
        "close-up of",
        "picture of",
        "photo of",
        "photograph of",
        "image of",
        "view of",
        "kind of",
        "type of",
        "set of",
    )
)
# What often follows a noun in captions without a function word between; it ends the noun's phrase.
_VERBS = _set(
    """
    stand stands stood sit sits sat run runs ran jump jumps jumped play plays played hold holds held wear wears wore
    walk walks walked ride rides rode look looks looked lie lies lay lays eat eats ate drink drinks drank swim swims
    swam catch catches caught chase chases chased carry carries carried pull pulls pulled push pushes pushed show shows
    shown smile smiles smiled pose poses posed watch watches watched throw throws threw kick kicks kicked hit hits
    climb climbs climbed fly flies flew leap leaps leapt dance dances danced sleep sleeps slept make makes made take
    takes took get gets got go goes went perform performs race races float floats hang hangs hung drive drives drove
    parked covered filled surrounded seated dressed gathered attached topped decorated lined
    """
)
# What stands alone before "and" or a masked phrase and is still no noun: "black and white dog", "large group of men".
_ADJECTIVES = _set(
    """
    black white red green blue yellow orange brown grey gray pink purple gold golden silver tan beige dark light bright
    colorful colourful large small big little huge tiny tall short long wide young old older younger
    """
)
_NOUNS_IN_ING = _set(
    """
    awning beijing being bedding bring building ceiling clothing clearing crossing evening fencing flooring frosting
    icing king landing lightning morning opening painting pudding railing ring sibling siding sing sling spring string
    swing thing wedding wing wring
    """
)


def is_unsure(logprob: float | None) -> bool:
    """Whether the network gave a word less than `UNSURE` probability. What is not known is not unsure.

    Args:
        logprob: the natural logarithm of the word's probability.
    """
    return logprob is not None and not math.isnan(logprob) and logprob < math.log(UNSURE)


def unsure(logprobs: Iterable[float] | None, count: int) -> tuple[bool, ...]:
    """`is_unsure` of each of `count` words; of none where no probabilities are known."""
    return (False,) * count if logprobs is None else tuple(is_unsure(float(value)) for value in logprobs)


def content_words(words: Sequence[str]) -> list[int]:
    """Which of a caption's words carry its content: nouns, verbs, adjectives, all but English function words.

    A word of another language counts as content, one without a letter or digit does not.
    """
    plain = [_plain(word) for word in words]
    idle = {index for start, phrase in _phrases(plain) for index in range(start, start + len(phrase))}
    return [
        index
        for index, word in enumerate(plain)
        if index not in idle and word not in FUNCTION_WORDS and any(map(str.isalnum, word))
    ]


def main_word(words: Sequence[str]) -> int | None:
    """The word for what a caption is first about, such as "dog" in "a brown dog runs in the grass".

    That is the last word of the first run of content words, up to a verb: of an English caption mostly the head of its
    first noun phrase. Without a tagger it is a guess, fit to choose which word's map stands for the whole. None where
    no word carries content.
    """
    content = content_words(words)
    head: int | None = None
    for index in content:
        word = _plain(words[index])
        ended = head is not None and (index != head + 1 or _is_verb(word))
        if head is not None and ended and _plain(words[head]) not in _ADJECTIVES:
            return head
        head = index
    return head


def _is_verb(word: str) -> bool:
    return word in _VERBS or (len(word) > 4 and word.endswith("ing") and word not in _NOUNS_IN_ING)


def _phrases(words: Sequence[str]) -> Iterable[tuple[int, tuple[str, ...]]]:
    for start in range(len(words)):
        for phrase in _PHRASES:
            if tuple(words[start : start + len(phrase)]) == phrase:
                yield start, phrase


def _plain(word: str) -> str:
    """A word without what tokenizers leave at its ends: marks for blanks and joins, and punctuation."""
    return word.strip('\u2581\u0120 \t\n#.,;:!?"()[]{}').removesuffix("\u2019s").casefold() or word.casefold()
