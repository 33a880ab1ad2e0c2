"""Files made to do harm, damaged ones and those of others: one line that names the file, and nothing runs."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn

from attnviz.adapters.pickles import LONGEST, Name, Reader
from attnviz.adapters.show_attend_tell import convert
from attnviz.adapters.tensors import Storage, persistent, rebuild
from attnviz.adapters.torchfile import MAGIC, PROTOCOL, opened
from attnviz.errors import AttnvizError, ModelError

if TYPE_CHECKING:
    from conftest import Outcome

MARKER = "harm-was-done"


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def named(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode()


class Harm:
    """Pickled, it is a call: Python's own reader would make the file `MARKER`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


STORAGE = b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x04tQ"


def tensor(offset: bytes, shape: bytes, stride: bytes) -> bytes:
    """A tensor of a storage of four numbers."""
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + STORAGE + offset + shape + stride + b"\x89)tR."


PICKLES: dict[str, tuple[bytes, str]] = {
    "a command": (pickle.dumps(Harm(os.system, f"touch {MARKER}"), 2), r"asks for '(posix|nt).system'"),
    "a command, by its parts": (
        named("os", "system") + b"(" + text(f"touch {MARKER}") + b"tR.",
        "asks for 'os.system'",
    ),
    "an open file": (named("io", "open") + b"(" + text(MARKER) + text("w") + b"tR.", "asks for 'io.open'"),
    "eval": (named("builtins", "eval") + b"(" + text("1") + b"tR.", "asks for 'builtins.eval'"),
    "getattr": (named("builtins", "getattr") + b"(" + text("a") + text("b") + b"tR.", "asks for 'builtins.getattr'"),
    "getattr of Python 2": (named("__builtin__", "getattr") + b".", "asks for '__builtin__.getattr'"),
    "an import": (named("importlib", "import_module") + b"(" + text("os") + b"tR.", "importlib.import_module"),
    "a dotted name": (b"\x80\x04" + text("models") + text("Encoder.__init__") + b"\x93.", "Encoder.__init__"),
    "a dotted name of old": (named("models", "Encoder.__init__.__globals__") + b".", "asks for 'models.Encoder.__init"),
    "a name that is none": (named("models", "Encoder ") + b".", "asks for 'models.Encoder '"),
    "torch's own reader": (named("torch.storage", "_load_from_bytes") + b"(tR.", "_load_from_bytes"),
    "a function of torch": (named("torch.hub", "load") + b".", "asks for 'torch.hub.load'"),
    "a class with values": (named("models", "Encoder") + b"K\x0e\x85R.", "calls models.Encoder with 1 value"),
    "an object with values": (named("models", "Encoder") + b"K\x0e\x85\x81.", "calls models.Encoder with 1 value"),
    "a call of a number": (b"K\x05)R.", "calls what is no name"),
    "a state that is no table": (named("models", "Encoder") + b")\x81K\x05b.", "is no table of attributes"),
    "slots": (named("models", "Encoder") + b")\x81N}" + text("x") + b"K\x01s\x86b.", "is no table of attributes"),
    "an old instance": (b"(imodels\nEncoder\n.", "the instruction INST"),
    "an extension": (b"\x82\x01.", "the instruction EXT1"),
    "an id in words": (b"Pstorage\n.", "the instruction PERSID"),
    "another id": (text("x") + b"Q.", "described in a way that torch does not have"),
    "a storage of no type": (
        b"(" + text("storage") + text("Float") + text("0") + text("c") + b"K\x04tQ.",
        "has a type",
    ),
    "a tensor beyond its storage": (tensor(b"K\x01", b"K\x04\x85", b"K\x01\x85"), "reaches beyond its storage"),
    "a tensor far beyond": (tensor(b"K\x00", b"J\xff\xff\xff\x7f\x85", b"K\x01\x85"), "reaches beyond its storage"),
    "a tensor of one number, repeated": (tensor(b"K\x00", b"J\xff\xff\xff\x7f\x85", b"K\x00\x85"), "reaches beyond"),
    "a tensor before its storage": (tensor(b"J\xff\xff\xff\xff", b"K\x04\x85", b"K\x01\x85"), "impossible shape"),
    "a tensor of half a number": (tensor(b"G?\xe0\0\0\0\0\0\0", b"K\x04\x85", b"K\x01\x85"), "impossible shape"),
    "more sides than steps": (tensor(b"K\x00", b"K\x02K\x02\x86", b"K\x01\x85"), "no storage or no shape"),
    "a place far away in memory": (
        b"N" + b"r\xff\xff\xff\x7f" + b".",
        "holds NoneType alone|list of storages is another",
    ),
    "a text that is not there": (b"X\xff\xff\xff\x7fabc.", "longer than|cut off"),
    "a text of 8 bytes' length": (b"\x8d" + b"\xff" * 7 + b"\x7fabc.", "longer than|cut off"),
    "no end": (b"N", "cut off"),
    "nothing to end": (b".", "cut off or damaged"),
    "no mark": (b"t.", "cut off or damaged"),
    "lists in lists": (b"]" * 10**5 + b"a" * (10**5 - 1) + b".", "holds list alone|list of storages is another"),
    "a key that is a list": (b"}]Ns.", "cut off or damaged"),
    "an instruction that is none": (b"\xff.", "cut off or damaged"),
    "another clone": (named("models", "EncoderCNN") + b")\x81.", "asks for 'models.EncoderCNN'"),
}
"""What is wrong with a pickle -> the pickle, and what is said of it."""


def container(kind: str, payload: bytes, numbers: bytes = bytes(16)) -> bytes:
    """A checkpoint of torch around a pickle, with a storage of four numbers."""
    if kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in (("data.pkl", payload), ("data/0", numbers), ("version", b"3\n")):
                # 20 seconds past the hour are the byte of a line's end in the header, after which an instruction that
                # takes a line could be complete: "P", of the header's "PK".
                archive.writestr(zipfile.ZipInfo(f"archive/{name}", (2026, 1, 1, 0, 0, 20)), data)
        return stream.getvalue()
    parts = [MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}]
    start = b"".join(pickle.dumps(part, 2) for part in parts)
    return start + payload + pickle.dumps(["0"], 2) + struct.pack("<q", 4) + numbers


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("what", PICKLES)
def test_nothing_of_a_pickle_runs(
    what: str, kind: str, wordmap: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    payload, said = PICKLES[what]
    (tmp_path / "bad.pth.tar").write_bytes(container(kind, payload))
    status, out, err = cli("convert", "bad.pth.tar", "--wordmap", wordmap, "-o", "m.safetensors")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("attnviz: error: bad.pth.tar: ")
    with pytest.raises(ModelError, match=said):
        convert(tmp_path / "bad.pth.tar", wordmap, tmp_path / "m.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pth.tar"]


def test_the_harm_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own reader does what the pickles ask for."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(PICKLES["a command"][0])
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("share", [0.0004, 0.3, 0.7, 0.9999])
@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_a_file_that_is_cut_off(
    kind: str, share: float, saved: dict[str, Path], wordmap: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    whole = saved[kind].read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: int(len(whole) * share)])
    status, out, err = cli("convert", "cut.pth", "--wordmap", wordmap, "-o", "m.safetensors")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("attnviz: error: cut.pth: ")
    assert "cut off" in err or "damaged" in err
    assert not (tmp_path / "m.safetensors").exists()


def aaron(network: Any) -> dict[str, Any]:
    """What AaronCCWong's Show-Attend-and-Tell saves: the state dict of its decoder."""
    parts = {
        "attention.U": (4, 4),
        "attention.W": (4, 4),
        "attention.v": (1, 4),
        "init_h": (4, 4),
        "deep_output": (9, 4),
    }
    return {f"{name}.weight": torch.zeros(shape) for name, shape in parts.items()}


OTHERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "AaronCCWong's": (aaron, "holds a decoder alone.*AaronCCWong's Show-Attend-and-Tell"),
    "a decoder alone": (
        lambda network: {"epoch": 1, "decoder": network.decoder},
        "has no 'encoder' but epoch, decoder",
    ),
    "one module": (lambda network: network.decoder, "holds models.DecoderWithAttention alone"),
    "a state dict": (lambda network: network.encoder.state_dict(), "has no 'encoder' but resnet.0.weight"),
    "another net": (lambda network: {"encoder": nn.Linear(2, 2), "decoder": network.decoder}, "encoder is another"),
    "an empty one": (lambda network: {}, "is empty"),
    "numbers": (lambda network: [1, 2], "holds list alone"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_checkpoints_of_other_programs_are_named(what: str, network: Any, wordmap: Path, tmp_path: Path) -> None:
    from tutorial import called_models

    make, said = OTHERS[what]
    with called_models():
        torch.save(make(network), tmp_path / "c.pth")
    with pytest.raises(ModelError, match=said):
        convert(tmp_path / "c.pth", wordmap, tmp_path / "m.safetensors")


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"hello", "is no checkpoint of torch"),
    "a web page": (b"\n<!DOCTYPE html><html>Google Drive cannot scan this file", "is a web page"),
    "a tar": (bytes(257) + b"ustar" + bytes(300), "torch 0.1"),
    "a pickle": (pickle.dumps({"encoder": 1}), "is a pickle, but no checkpoint of torch"),
    "half a zip": (b"PK\x03\x04" + bytes(100), "cut off or damaged"),
    "big-endian": (
        pickle.dumps(MAGIC, 2) + pickle.dumps(PROTOCOL, 2) + pickle.dumps({"little_endian": False}, 2),
        "another order of bytes",
    ),
    "a long list": (b"\x80\x02" + b"X\x01\0\0\0a" * (LONGEST // 6 + 1), "longer than 8,388,608 bytes"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_are_no_checkpoints(what: str, wordmap: Path, tmp_path: Path) -> None:
    content, said = FILES[what]
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        convert(tmp_path / "c.pth", wordmap, tmp_path / "m.safetensors")
    for missing in ("none.pth", "."):
        with pytest.raises(ModelError, match="cannot be read: "):
            convert(tmp_path / missing, wordmap, tmp_path / "m.safetensors")


def rewritten(path: Path, **changes: Any) -> bytes:
    """A zip with other members, or packed in another way."""
    stream = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w", changes.get("packed", zipfile.ZIP_STORED)) as new:
        for name in old.namelist():
            last = name.rsplit("/", 1)[-1]
            if last not in changes.get("without", ()):
                new.writestr(name, changes.get("cut", lambda name, data: data)(name, old.read(name)))
        for name in changes.get("more", ()):
            new.writestr(name, b"")
    return stream.getvalue()


def test_zips_that_are_not_as_torch_writes_them(saved: dict[str, Path], wordmap: Path, tmp_path: Path) -> None:
    def shorter(name: str, data: bytes) -> bytes:
        return data[:-4] if name.endswith("data/3") else data

    with zipfile.ZipFile(saved["zip"]) as archive:
        place = archive.getinfo(next(name for name in archive.namelist() if name.endswith("/data/0"))).header_offset
    whole = bytearray(saved["zip"].read_bytes())
    whole[place + 500] ^= 1
    files: list[tuple[bytes, str]] = [
        (rewritten(saved["zip"], packed=zipfile.ZIP_DEFLATED), "members are compressed"),
        (rewritten(saved["zip"], without=("3",)), "lacks numbers of its storage 3"),
        (rewritten(saved["zip"], cut=shorter), "lacks numbers of its storage 3"),
        (rewritten(saved["zip"], without=("data.pkl",)), "no checkpoint of torch"),
        (
            rewritten(saved["zip"], more=("archive/constants.pkl", "BEST_checkpoint_zip.pth/constants.pkl")),
            "no checkpoint",
        ),
        (bytes(whole), "check sum of its numbers"),
    ]
    for content, said in files:
        (tmp_path / "c.pth").write_bytes(content)
        with pytest.raises(ModelError, match=said):
            convert(tmp_path / "c.pth", wordmap, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_every_type_and_layout(legacy: bool, tmp_path: Path) -> None:
    """Against torch's own reading of the file."""
    torch.manual_seed(0)
    base = torch.randn(6, 8)
    saved: dict[str, torch.Tensor] = {
        "plain": base,
        "turned": base.T,
        "part": base[2:5, 1::3],
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "none": torch.zeros(0, 3),
        "one": torch.tensor(3.5),
        "half": base.half(),
        "brain": base.bfloat16(),
        "double": base.double(),
        "whole": torch.arange(5),
        "small": torch.arange(5, dtype=torch.int8),
        "flags": torch.tensor([True, False]),
    }
    torch.save(saved, tmp_path / "t.pt", _use_new_zipfile_serialization=not legacy)
    with opened(tmp_path / "t.pt", lambda name: False) as file:
        for name, value in saved.items():
            found = file.read(file.root[name])
            assert found.shape == tuple(value.shape)
            assert found.dtype == (np.float32 if value.is_floating_point() else np.int64)
            np.testing.assert_array_equal(found, value.float().numpy() if value.is_floating_point() else value.numpy())


def test_storages_that_are_views_of_another_as_before_torch_0_4() -> None:
    kind, storages = Name("torch", "FloatStorage"), dict[str, Storage]()
    view = persistent(storages, ("storage", kind, "7", "cpu", 20, ("8", 5, 10)))
    assert (view.start, view.count, storages["7"].count) == (5, 10, 20)
    assert rebuild(view, 2, (2, 4), (4, 1)).offset == 7
    with pytest.raises(ModelError, match="reaches beyond"):
        rebuild(view, 3, (2, 4), (4, 1))
    for odd in (("8", 15, 10), ("8", -1, 3), ("8", 1), 5):
        with pytest.raises(ModelError, match="reaches beyond the one"):
            persistent({}, ("storage", kind, "7", "cpu", 20, odd))
    with pytest.raises(ModelError, match="described in two ways"):
        persistent(storages, ("storage", kind, "7", "cpu", 21))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=150)
@given(PLAIN, st.sampled_from([3, 4]))
def test_plain_values_are_read_as_python_reads_them(value: Any, protocol: int) -> None:
    def no_id(written: Any) -> Any:
        raise AssertionError(written)

    assert Reader({}, lambda name: False, no_id).read(io.BytesIO(pickle.dumps(value, protocol))) == value


@pytest.fixture(scope="module")
def contents(saved: dict[str, Path]) -> bytes:
    """The pickle of a checkpoint."""
    with zipfile.ZipFile(saved["zip"]) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_list_of_contents_is_one_line_or_sound(
    data: st.DataObject, contents: bytes, wordmap: Path, tmp_path: Path
) -> None:
    changed = bytearray(contents)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.sampled_from([0, 0x2E, 0x52, 0x62, 0x81, 0x93, 0xFF, *b"(}]tsaeXKqhcQ"]))
    (tmp_path / "c.pth").write_bytes(container("zip", bytes(changed)))
    with pytest.raises(AttnvizError) as caught:  # its storages are not there
        convert(tmp_path / "c.pth", wordmap, tmp_path / "m.safetensors")
    assert "\n" not in str(caught.value)


def test_every_instruction_that_python_has_is_known_or_refused() -> None:
    """None falls through in silence."""
    from attnviz.adapters.pickles import COLLECT, CONSTANTS, EMPTY, VALUES

    known = {*COLLECT, *CONSTANTS, *EMPTY, *VALUES}
    assert known <= {one.name for one in pickletools.opcodes}
