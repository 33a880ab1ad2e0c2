"""Trace files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzz import mutate
from fuzz.target import Target

SHAPES = (
    *("(3, 2, 4)", "(3,)", "()", "(0, 2, 4)", "(3, 0, 4)", "(3, 2, 4, 1)", "(-1, 2, 4)", "(True, 2, 4)"),
    *("(1000000000,)", "(1, 3000, 3000)", "(1, 1, 1000000)", "(200000, 1, 1)", "(1, 16384, 16384)"),
    "(10000000000, 10000000000, 4)",
)
TYPES = (
    *("<f4", "<f8", "<f2", ">f4", "<c8", "<i4", "|b1", "|O", "|S5", "|V8", "<M8[s]", "x"),
    *("<U0", "<U1", "<U8", "<U1000000"),
)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
VALUES = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 1e-45, 2.0)
CODES = (0x110000, 0xFFFFFFFF, 0xD800, 0xDFFF, 0, 10, 0x202E, 0x10FFFF, 0x301)


def seeds(folder: Path) -> Sequence[bytes]:
    from PIL import Image

    from attnviz.photo.frame import Frame
    from attnviz.trace import ImageInfo, Trace

    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(folder / "photo.png")
    weights = random.dirichlet(np.ones(8), 3).reshape(3, 2, 4).astype(np.float32)
    frame = Frame.letterbox((12, 16), (64, 64), (2, 4))
    image = ImageInfo("photo.png", (12, 16), "0" * 64)
    words, channels = ("a", "dog", "caf\u00e9"), random.dirichlet(np.ones(5), 3).astype(np.float32)
    sure = np.log([0.5, 0.9, 0.1]).astype(np.float32)
    full = Trace(weights, words, sure, weights, channels, frame, image, "m", "dot")
    small = Trace(np.ones((1, 1, 1), np.float32), ("\u732b",), settings={"unknown": ["x"]})
    found = []
    for trace in (full, Trace(weights, words), small):
        trace.save(folder / "seed.npz")
        found.append((folder / "seed.npz").read_bytes())
    packed = io.BytesIO()
    np.savez_compressed(packed, weights=weights.astype(np.float64), tokens=np.array(words))
    return [*found, packed.getvalue()]


def read(path: Path) -> None:
    from attnviz.render import draw
    from attnviz.trace import Trace

    trace = Trace.load(path)
    json.dumps(trace.summary(), allow_nan=False)
    repr(trace)
    again = path.with_suffix(".again")
    trace.save(again)
    same = Trace.load(again)
    assert same.tokens == trace.tokens
    assert np.array_equal(same.weights, trace.weights)
    again.unlink()
    if len(trace):
        for _ in range(2):  # what was drawn is known as ours
            draw(trace, path.with_name("photo.png"), path.parent / "out", formats=("png", "html"), size=32, steps="0-1")


def damaged(random: Random, data: bytes) -> bytes:
    """The bytes of the file, or those of its arrays, or their headers, or the text that is its `meta`."""
    if random.random() < 0.3:
        return mutate.raw(random, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice(list(members))
        match random.randrange(7):
            case 0:
                del members[name]
            case 1:
                members[random.choice(list(members))] = members[name]
            case 2:
                members[name] = mutate.raw(random, members[name])
            case 3 | 4:
                members[name] = _header(random, members[name])
            case 5 if "meta.npy" in members:
                members["meta.npy"] = _meta(random, members["meta.npy"])
            case _:
                members[name] = _numbers(random, members[name])
        if not members:
            break
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", random.choice(METHODS)) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def _header(random: Random, member: bytes) -> bytes:
    """Another shape or type than the array has, with as much or as little behind it."""
    shape, kind = random.choice(SHAPES), random.choice(TYPES)
    old = member[10:].split(b"\n", 1)
    fields = {"descr": kind, "shape": shape}
    try:
        given: Any = np.load(io.BytesIO(member), allow_pickle=False)
        fields = {"descr": given.dtype.str, "shape": str(given.shape)}
        fields[random.choice(("descr", "shape"))] = kind if random.random() < 0.5 else shape
    except Exception:
        pass
    text = f"{{'descr': '{fields['descr']}', 'fortran_order': False, 'shape': {fields['shape']}, }}\n".encode()
    body = old[1] if len(old) > 1 else b""
    if random.random() < 0.2:
        body = bytes(random.choice((0, 1000, 1_000_000, 50_000_000)))
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + body


def _meta(random: Random, member: bytes) -> bytes:
    try:
        text = str(np.load(io.BytesIO(member), allow_pickle=False))
        changed = np.array(mutate.dumps(mutate.tree(random, json.loads(text))))
    except Exception:  # damaged before
        return member
    out = io.BytesIO()
    np.save(out, changed)
    return out.getvalue()


def _numbers(random: Random, member: bytes) -> bytes:
    """An array with a few values, or letters, that no trace has."""
    try:
        array = np.load(io.BytesIO(member), allow_pickle=False).copy()
    except Exception:
        return member
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        letters = np.atleast_1d(array).view(np.uint32).ravel()
        letters[random.randrange(letters.size)] = random.choice(CODES)
    elif array.dtype.kind == "f" and array.size:
        with np.errstate(all="ignore"):
            array.ravel()[random.randrange(array.size)] = random.choice(VALUES)
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


TARGET = Target(".npz", seeds, read, damaged)
