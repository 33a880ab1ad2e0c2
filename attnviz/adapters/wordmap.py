"""The word map of a Show, Attend and Tell tutorial: a JSON object, word -> number, 0 being padding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnviz.errors import ModelError, counted

PAD, START, END, UNKNOWN = SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
"""In the order that attnviz has them in."""

LARGEST = 64 * 2**20
"""Bytes: a million words take less."""


@dataclass(frozen=True)
class WordMap:
    """The words in attnviz's order, and where their rows lie in the decoder's tables.

    Attributes:
        words: the special ones first.
        rows: for each word its number in the file; None for a special word that the file has not.
    """

    words: tuple[str, ...]
    rows: tuple[int | None, ...]


def read_wordmap(path: str | Path, count: int) -> WordMap:
    """Reads a word map for a decoder that has `count` words.

    A number that no word has is called by itself, such as <17>: the decoder may write it. Padding and the unknown word
    may be missing; a decoder without them cannot write them.

    Raises:
        ModelError: for a file that is missing, no word map, or the map of another checkpoint.
    """
    path = Path(path)
    numbers = _read(path)
    for word in (START, END):
        if word not in numbers:
            raise ModelError(f"{path}: has no {word}; it is no word map of this tutorial")
    found: dict[int, str] = {}
    for word, number in numbers.items():
        if (other := found.setdefault(number, word)) != word:
            raise ModelError(f"{path}: gives both {other!r} and {word!r} the number {number}; each needs its own")
    last = max(found)
    if last != count - 1:
        raise ModelError(
            f"{path}: its numbers go up to {last}, and the decoder has {counted(count, 'word')}, 0 to {count - 1}: "
            "it is the word "
            "map of another checkpoint"
        )
    if PAD not in numbers and 0 not in found:
        found[0], numbers[PAD] = PAD, 0  # which the tutorial never writes as a word
    taken = set(numbers)
    for number in range(count):
        if not found.get(number, ""):
            name = f"<{number}>"
            while name in taken:
                name = f"<{name}>"
            found[number] = name
    others = [number for number in range(count) if found[number] not in SPECIAL]
    rows = (*(numbers.get(word) for word in SPECIAL), *others)
    return WordMap((*SPECIAL, *(found[number] for number in others)), rows)


def _read(path: Path) -> dict[str, int]:
    """Word -> number, as the file says."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for word, number in pairs:
            if table.setdefault(word, number) != number:
                raise ModelError(f"{path}: gives {word!r} two numbers, {table[word]!r} and {number!r}; it needs one")
        return table

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ModelError(f"{path}: is longer than {LARGEST:,} bytes, too long for a word map")
        numbers = json.loads(data.decode("utf-8-sig"), object_pairs_hook=once)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is no JSON; a word map is an object, word -> number") from error
    if not isinstance(numbers, dict) or not numbers:
        raise ModelError(f"{path}: is no word map, a JSON object that gives each word a number")
    for word, number in numbers.items():
        if type(number) is not int or not 0 <= number < 2**31:
            raise ModelError(f"{path}: {word!r:.60} has {number!r:.60} where a number from 0 on is expected")
        if "\0" in word or any("\ud800" <= char <= "\udfff" for char in word):
            raise ModelError(f"{path}: {word!r:.60} is no word: it holds a character that no text has")
    return numbers
