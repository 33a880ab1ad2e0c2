"""What counts as a word, for data, training and evaluation alike."""

from __future__ import annotations


def normalise(token: str) -> str:
    """The form in which a token is counted and looked up: lower case; empty if it holds no letter or digit."""
    return token.lower() if any(c.isalnum() for c in token) else ""


_FUNCTION = (
    "a an the this that these those some any each every no another other others both all many several few i me "
    "my you your he him his she her hers it its we us our they them their theirs who whom whose which what "
    "there himself herself itself themselves one ones something someone am is are was were be been being has "
    "have had having do does did will would can could may might must shall should and or but nor so yet if "
    "while as because than when where until though although of in on at by for with from to into onto over "
    "under through across along around about above below behind beside between among near next off out up down "
    "against toward towards past during after before inside outside upon without within beneath underneath "
    "amid atop not also very too just only then 's"
)
FUNCTION_WORDS = frozenset(_FUNCTION.split())
"""English words that name no thing, kind or act: articles, pronouns, auxiliaries, conjunctions and prepositions."""


def is_content(word: str) -> bool:
    """Whether a normalised word is none of `FUNCTION_WORDS`."""
    return word not in FUNCTION_WORDS
