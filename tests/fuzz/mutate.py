"""Damage to bytes, texts and JSON values, as programs, disks and hostile people do it. Drawn from `random` alone."""

from __future__ import annotations

import copy
import json
import re
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutation = Callable[[Random, bytes], bytes]

LENGTHS = (0, 1, 255, 256, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
"""What a length field holds when it lies."""

# Written after `json.dumps`, which has no such numbers and cannot nest as deep.
LITERALS = {
    "@huge@": "9" * 5000,
    "@large@": "1" + "0" * 400,
    "@inf@": "1e999",
    "@nan@": "NaN",
    "@infinity@": "-Infinity",
    "@deep@": "[" * 20_000 + "]" * 20_000,
    "@deeper@": '{"a":' * 20_000 + "1" + "}" * 20_000,
}

NUMBERS: Sequence[Any] = (
    *(0, -1, 1, 2, 3, 255, 65536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, 2**64, -(2**63)),
    *(0.5, -0.5, 1.5, 1e-320, 1e308, -1e308, True, False),
    *("@huge@", "@large@", "@inf@", "@nan@", "@infinity@"),
)

TEXTS: Sequence[str] = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "a\nb",
        "\r\n",
        "\t",
        "\ud800",
        "\udcff",
        "\U0010ffff",
        "\ufeff",
        "\u202e",
        "\x1b[31m",
    ),
    *("caf\u00e9", "cafe\u0301", "\u732b", "\U0001f431", "\u05d0", "e" + "\u0301" * 500),
    *("a" * 300, "a" * 5000, "x" * 100_000, "/" * 300, "a b " * 3000),
    *(
        "..",
        ".",
        "../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "C:\\con",
        "con",
        "-",
        "--help",
        "~",
        "https://a.b/c",
    ),
    *(
        "=1+1",
        "<script>alert(1)</script>",
        "%s%n",
        "{}",
        "{0.__class__}",
        "${HOME}",
        "'",
        '"',
        "\\",
        "None",
        "null",
        "nan",
    ),
)

VALUES: Sequence[Any] = (None, [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, "@deep@", "@deeper@", *NUMBERS)

LITTLE: Sequence[bytes] = (
    b"",
    b"\0",
    b"\0" * 8,
    b"\xff" * 8,
    b"\n",
    b"[",
    b"{",
    b'"',
    b"\xed\xa0\x80",
    b"\xc3\x28",
    b"PK\x05\x06",
)


def raw(random: Random, data: bytes) -> bytes:
    """A few bytes changed, cut out, doubled, swapped or put in; lengths that lie; a file that is cut off."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _RAW[random.randrange(len(_RAW))](random, changed)
    return bytes(changed)


def _flip(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _byte(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _length(random: Random, data: bytearray) -> None:
    code = random.choice(["<H", ">H", "<I", ">I", "<Q", ">Q"])
    size = struct.calcsize(code)
    if len(data) >= size:
        value = random.choice(LENGTHS) & (256**size - 1)
        struct.pack_into(code, data, random.randrange(len(data) - size + 1), value)


def _cut(random: Random, data: bytearray) -> None:
    start, stop = _span(random, data)
    del data[start:stop]


def _double(random: Random, data: bytearray) -> None:
    start, stop = _span(random, data)
    data[stop:stop] = data[start:stop] * random.choice((1, 1, 2, 50))


def _swap(random: Random, data: bytearray) -> None:
    start, stop = _span(random, data)
    piece = data[start:stop]
    del data[start:stop]
    where = random.randint(0, len(data))
    data[where:where] = piece


def _insert(random: Random, data: bytearray) -> None:
    where = random.randint(0, len(data))
    piece = random.choice(LITTLE) if random.random() < 0.5 else random.randbytes(random.randrange(20))
    data[where:where] = piece


def _end(random: Random, data: bytearray) -> None:
    if random.random() < 0.7:
        del data[random.randint(0, len(data)) :]
    else:
        data += random.randbytes(random.choice((1, 100, 5000)))


_RAW = (_flip, _flip, _byte, _byte, _length, _length, _cut, _double, _swap, _insert, _end)


def _span(random: Random, data: bytearray) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 2, 4, 16, 64, 1000)))


def text(random: Random, data: bytes) -> bytes:
    """A text with numbers, quoted words and lines changed for others; now and then its bytes."""
    if random.random() < 0.25:
        return raw(random, data)
    found = data.decode("utf-8", "surrogateescape")
    for _ in range(random.choice((1, 1, 2, 4))):
        found = _TEXT[random.randrange(len(_TEXT))](random, found)
    return literals(found).encode("utf-8", "surrogatepass")


def _number(random: Random, found: str) -> str:
    return _replaced(random, found, r"-?[0-9][0-9.e]*", str(random.choice(NUMBERS)))


def _quoted(random: Random, found: str) -> str:
    value = random.choice(TEXTS) if random.random() < 0.7 else random.choice(VALUES)
    return _replaced(random, found, r'"[^"\n]*"', dumps(value))


def _name(random: Random, found: str) -> str:
    return _replaced(random, found, r"[A-Za-z_]\w*", random.choice(re.findall(r"\w+", found) or [""]))


def _word(random: Random, found: str) -> str:
    return _replaced(random, found, r"[^\s<>=,]+", random.choice(TEXTS))


def _line(random: Random, found: str) -> str:
    lines = found.split("\n")
    number = random.randrange(len(lines))
    change = random.randrange(4)
    if change == 0:
        del lines[number]
    elif change == 1:
        lines.insert(number, random.choice(lines))
    elif change == 2:
        lines.insert(number, random.choice(TEXTS))
    else:
        random.shuffle(lines)
    return "\n".join(lines)


_TEXT = (_number, _number, _quoted, _quoted, _name, _word, _line)


def _replaced(random: Random, found: str, pattern: str, new: str) -> str:
    matches = list(re.finditer(pattern, found))
    if not matches:
        return found + new
    match = random.choice(matches)
    return found[: match.start()] + new + found[match.end() :]


def tree(random: Random, value: Any) -> Any:
    """A JSON value in which a few parts are left out, doubled, renamed or put in the place of others."""
    root = [copy.deepcopy(value)]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if not root:
            break
        _change(random, *random.choice(_places(root)))
    return root[0] if root else None


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of every part of a JSON value."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found.append((value, key))
        found += _places(inner)
    return found


def _change(random: Random, holder: Any, key: Any) -> None:
    old = holder[key]
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            del holder[key]
            holder[random.choice((*TEXTS, *holder, str(key).upper()))] = old
        case 2 if isinstance(holder, list):
            holder[key:key] = [copy.deepcopy(old)] * random.choice((1, 2, 200))
        case 3 if isinstance(old, list | dict):
            holder[key] = type(old)()
        case 4:
            holder[key] = [old] if random.random() < 0.5 else {"a": old}
        case 5:
            holder[key] = random.choice(TEXTS)
        case 6 if isinstance(old, int | float):
            holder[key] = random.choice(NUMBERS)
        case _:
            holder[key] = random.choice(VALUES)


def dumps(value: Any, *, ascii_only: bool = True) -> str:
    """JSON, with the literals that `json.dumps` cannot write."""
    return literals(json.dumps(value, ensure_ascii=ascii_only))


def literals(found: str) -> str:
    """Puts `LITERALS` in, with or without quotes around their names."""
    for name, literal in LITERALS.items():
        if name in found:
            found = found.replace(f'"{name}"', literal).replace(name, literal)
    return found


def json_tree(random: Random, data: bytes) -> bytes:
    """One JSON value changed as a tree; now and then as text."""
    if random.random() < 0.3:
        return text(random, data)
    return dumps(tree(random, json.loads(data)), ascii_only=random.random() < 0.7).encode("utf-8", "surrogatepass")


def json_lines(random: Random, data: bytes) -> bytes:
    """Lines of JSON of which some are changed as trees, and their order; now and then as text."""
    if random.random() < 0.3:
        return text(random, data)
    lines = data.splitlines()
    for _ in range(random.choice((1, 1, 2))):
        number = random.randrange(len(lines))
        try:
            changed = tree(random, json.loads(lines[number]))
        except (ValueError, RecursionError):
            break  # it is damaged already
        lines[number] = dumps(changed).encode("utf-8", "surrogatepass")
    return b"\n".join(lines) + random.choice((b"\n", b"\n", b"", b"\n\n"))
