"""Files of attention and of words from other programs, and what is said of others."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from attnviz.errors import TraceError
from attnviz.trace import Trace, npz
from attnviz.trace.weights import MAX_JSON, read_tokens, read_weights

ARRAY = np.random.default_rng(0).dirichlet(np.ones(12), (2, 3, 4))


def saved(folder: Path, name: str) -> Path:
    path = folder / name
    match name:
        case "w.npy":
            np.save(path, ARRAY)
        case "half.npy":
            np.save(path, ARRAY.astype(np.float16))
        case "one.npz":
            np.savez(path, a=ARRAY)
        case "named.npz":
            np.savez_compressed(path, weights=ARRAY, other=np.zeros(3), tokens=np.array(["a", "b", "c", "d"]))
        case "list.json":
            path.write_text(json.dumps(ARRAY.tolist()))
        case "object.json":
            path.write_text(json.dumps({"weights": ARRAY.tolist(), "tokens": ["a", "b", "c", "d"], "by": "me"}))
        case "w.safetensors":
            save_file({"attention": torch.tensor(ARRAY), "other": torch.zeros(3)}, path)
        case "bfloat16.safetensors":
            save_file({"any": torch.tensor(ARRAY, dtype=torch.bfloat16)}, path)
    return path


@pytest.mark.parametrize(
    "name",
    [
        *("w.npy", "half.npy", "one.npz", "named.npz", "list.json", "object.json"),
        *("w.safetensors", "bfloat16.safetensors"),
    ],
)
def test_every_kind_of_file_gives_the_numbers_that_were_saved(tmp_path: Path, name: str) -> None:
    found = read_weights(saved(tmp_path, name))
    loose = 1e-2 if "bfloat16" in name else 1e-3 if "half" in name else 0
    np.testing.assert_allclose(np.asarray(found.array, np.float64), ARRAY, rtol=loose)
    assert found.tokens == (("a", "b", "c", "d") if name in ("named.npz", "object.json") else None)
    renamed = tmp_path / "whatever"  # the content counts, not the suffix
    renamed.write_bytes((tmp_path / name).read_bytes())
    np.testing.assert_array_equal(read_weights(renamed).array, found.array)


def test_a_trace_file_is_one_too(tmp_path: Path) -> None:
    Trace(ARRAY[0].reshape(3, 6, 8)[:, :2, :4] * 0 + 1 / 8, ("a", "b", "c")).save(tmp_path / "t.npz")
    array, tokens = read_weights(tmp_path / "t.npz")
    assert (array.shape, tokens) == ((3, 2, 4), ("a", "b", "c"))


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def npy(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: torch.save(torch.zeros(3), path), "is a pickle.*safetensors.torch.save_file"),
        (lambda path: torch.save(torch.zeros(3), path, _use_new_zipfile_serialization=False), "is a pickle"),
        (lambda path: path.write_bytes(pickle.dumps([1.0])), "is a pickle"),
        (lambda path: np.save(path, np.array([{}], object)), "Python objects"),
        (lambda path: np.savez(path, a=ARRAY, b=ARRAY), "holds a, b; call the array that is meant 'weights'"),
        (lambda path: save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, path), "holds a, b; call the array"),
        (lambda path: save_file({"a": torch.zeros(2, dtype=torch.bool)}, path), "kind BOOL; save them as float32"),
        (write(b'{"tokens": ["a"]}'), "holds nothing; call"),
        (write(b"[[0.5, 0.5]"), "not valid JSON"),
        (write(b"[" * 100_000), "not valid JSON"),
        (write(b"[" + b"9" * 5000 + b"]"), "not valid JSON"),
        (write(b""), "none of what weights are read from"),
        (write(b"\x89PNG\r\n"), "none of what weights are read from"),
        (write(b"PK\x03\x04 and no more"), "is not a file of weights"),
        (write(npy((1000, 1000))), "is cut off"),
        (write(npy((2**40, 2**40))), "is cut off"),
        (write(npy((-3, 4)) + bytes(48)), "damaged"),
        (write(npy((3,), "<f9")), "damaged"),
        (write((40).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_of'), "none of|damaged"),
        (write((9).to_bytes(8, "little") + b'{"a": 1} ' + bytes(20)), "is damaged"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: None, "no such file"),
    ],
)  # fmt: skip
def test_files_that_hold_no_attention_are_one_line(tmp_path: Path, make: Callable[[Path], Any], words: str) -> None:
    path = tmp_path / "file"
    make(path)
    made = list(tmp_path.iterdir())
    source = path if path in made or not made else made[0]  # numpy adds its suffix
    with pytest.raises(TraceError, match=words) as caught:
        read_weights(source)
    assert str(caught.value).startswith(f"{source}: ")
    assert "\n" not in str(caught.value)


def test_large_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "w.json"
    with text.open("wb") as stream:
        stream.write(b"[")
        stream.truncate(MAX_JSON + 1)
    with pytest.raises(TraceError, match="JSON of at most"):
        read_weights(text)
    with pytest.raises(TraceError, match="too many for words"):
        read_tokens(text)
    monkeypatch.setattr(npz, "MAX_BYTES", ARRAY.nbytes // 3)
    for name in ("w.npy", "one.npz", "w.safetensors"):
        with pytest.raises(TraceError, match="bytes"):
            read_weights(saved(tmp_path, name))


def test_words_in_files(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_bytes("\ufeffa\r\n\n Hündchen \nruns, fast".encode())
    assert read_tokens(tmp_path / "w.txt") == ("a", "Hündchen", "runs, fast")
    (tmp_path / "w.json").write_text('["a", " dog"]')
    assert read_tokens(tmp_path / "w.json") == ("a", " dog")
    for content, words in ((b"[1]", "list of texts"), (b"{}", "list of texts"), (b"[", "not valid JSON")):
        (tmp_path / "w.json").write_bytes(content)
        with pytest.raises(TraceError, match=words):
            read_tokens(tmp_path / "w.json")
    (tmp_path / "w.txt").write_bytes(b"\xff")
    with pytest.raises(TraceError, match="damaged"):
        read_tokens(tmp_path / "w.txt")
