"""Checkpoints that ask for much and hold little: the header is compared with the tensors before memory is taken."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from attnviz.captioner import Captioner, ModelConfig, load_checkpoint, save_checkpoint, save_encoder
from attnviz.captioner.blank import blank, is_blank
from attnviz.captioner.encoder import build_backbone
from attnviz.captioner.header import read_meta
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.errors import ModelError

Change = Callable[[dict[str, Any]], object]


def rewritten(path: Path, change: Change, *, weights: bool = True) -> Path:
    """A checkpoint with another header, its tensors kept or left out."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    meta = json.loads(header["__metadata__"]["attnviz"])
    change(meta)
    header["__metadata__"]["attnviz"] = json.dumps(meta)
    if not weights:
        header, body = {"__metadata__": header["__metadata__"]}, b""
    text = json.dumps(header).encode()
    other = path.with_name("other.safetensors")
    other.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return other


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(Captioner.tiny("flat-concat"), path)
    return path


SIZES = ("channels", "embedding", "state", "language", "attention")


def test_a_header_alone_takes_no_memory(whole: Path) -> None:
    """450 bytes that would have a network of 10 GB built; the process may take 1 GB beyond what torch takes."""
    resource = pytest.importorskip("resource")
    assert resource
    sizes = dict.fromkeys(SIZES, 16384)
    path = rewritten(whole, lambda meta: meta["config"].update(sizes, input=[2048, 2048]), weights=False)
    assert path.stat().st_size < 1000
    code = f"""if True:
        import resource, sys
        from attnviz.captioner.checkpoint import load_checkpoint
        from attnviz.errors import ModelError
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load_checkpoint({str(path)!r})
        except ModelError as error:
            print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    told, grown = found.stdout.splitlines()
    assert told == "other.safetensors: holds no backbone of the kind efficientnet-lite0; fetch it anew"
    assert int(grown) < (2**30 if sys.platform == "darwin" else 2**20)


@pytest.mark.parametrize("size", [7, 4096, 16384])
@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_compared_with_the_tensors(whole: Path, name: str, size: int) -> None:
    path = rewritten(whole, lambda meta: meta["config"].update({name: size}))
    if name == "attention":  # which flat-concat does not have
        assert load_checkpoint(path).config.attention == size
        return
    with pytest.raises(
        ModelError, match=r"its header asks for .* in (decoder|fuse)\..*, and it holds .*; fetch it anew"
    ):
        load_checkpoint(path)


def test_a_fine_grid_is_compared_too(whole: Path) -> None:
    """16,384 cells: flat-concat would have 6 GB of weights."""
    path = rewritten(whole, lambda meta: meta["config"].update(input=[2048, 2048]))
    with pytest.raises(ModelError, match=r"its header asks for 16384 in decoder\.attention\.image_part"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("backbone", "says"),
    [
        ("vit_b_16", "holds no backbone of the kind vit_b_16"),
        ("regnet_y_128gf", "holds no backbone of the kind regnet_y_128gf"),
        ("efficientnet-lite4", "its header asks for"),
        ("no such thing", "holds no backbone of the kind no such thing"),
    ],
)
def test_another_backbone_than_the_file_holds(whole: Path, backbone: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        load_checkpoint(rewritten(whole, lambda meta: meta["config"].update(backbone=backbone)))
    assert str(error.value).startswith("other.safetensors: ")


@pytest.mark.parametrize("backbone", ["vit_b_16", "regnet_y_128gf", "resnet-bottleneck-99-99-99-99", "fcn_resnet50"])
def test_a_backbone_of_torchvision_with_a_tensor_to_its_name(tmp_path: Path, backbone: str) -> None:
    """Whatever torchvision raises, or would download."""
    small = ModelConfig("concat", "resnet-basic-1-1-1-1", "layer1", (32, 32), channels=4, embedding=4, state=4)
    save_checkpoint(Captioner(small, Vocabulary((*SPECIAL, "a"))), tmp_path / "small.safetensors")
    assert load_checkpoint(tmp_path / "small.safetensors").grid == (8, 8)
    path = rewritten(tmp_path / "small.safetensors", lambda meta: meta["config"].update(backbone=backbone, layer=None))
    with pytest.raises(ModelError) as error:
        load_checkpoint(path)
    assert re.search("its header asks for|no grid|no network called|each of the four layers", str(error.value))


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.update(encoder={"file": "a" * 300, "sha256": ""}),
        lambda meta: meta.update(encoder={"file": "\0", "sha256": ""}),
        lambda meta: meta.update(encoder={"file": ["a"], "sha256": ""}),
        lambda meta: meta.update(encoder={"file": "tiny.safetensors", "sha256": 3}),
        lambda meta: meta.update(name={"a": 1}),
        lambda meta: meta.update(vocabulary=[*SPECIAL, 1, 2]),
        lambda meta: meta.update(vocabulary=3),
        lambda meta: meta["config"].update(input=3),
        lambda meta: meta["config"].update(input=True),
        lambda meta: meta["config"].update(input=[32, 10**400]),
        lambda meta: meta["config"].update(mode=["concat"]),
        lambda meta: meta["config"].update(backbone=None),
        lambda meta: meta["config"].update(state=float("nan")),
        lambda meta: meta["config"].update(kinds=[["dog"]]),  # and no layer for it
        lambda meta: meta["config"].update(kinds=[["no such word"]]),
        lambda meta: meta["config"].update(kinds="dog"),
        lambda meta: meta["config"].update(kinds={"dog": 1}),
        lambda meta: meta["config"].update(kinds=[["a"]] * 10**5),
        lambda meta: meta.update(temperature=0),
        lambda meta: meta.update(temperature=float("nan")),
        lambda meta: meta.update(temperature="1"),
        lambda meta: meta.update(temperature=True),
        lambda meta: meta.update(temperature=10**400),
        lambda meta: meta.update(version=1e300),
    ],
)
def test_headers_of_another_form_get_one_line(whole: Path, change: Change) -> None:
    with pytest.raises(ModelError, match=r"other\.safetensors: "):
        load_checkpoint(rewritten(whole, change))


def test_numbers_that_are_no_weights(tmp_path: Path) -> None:
    tensors = {"a": {"dtype": "C64", "shape": [3], "data_offsets": [0, 24]}}  # which older safetensors do not write
    header = json.dumps({"__metadata__": {"attnviz": META}, **tensors}).encode()
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    told = "holds numbers of the type C64; weights are F16, BF16, F32|not a readable safetensors file"
    with pytest.raises(ModelError, match=rf"m\.safetensors: ({told})"):
        load_checkpoint(tmp_path / "m.safetensors")


META = json.dumps({"version": 1, "name": "m", "config": {}, "vocabulary": list(SPECIAL)})


@pytest.mark.parametrize(("name", "says"), [("a" * 300, "300 bytes is too long"), ("https://a.b/c.safetensors", "URL")])
def test_names_that_are_no_files(name: str, says: str) -> None:
    for read in (load_checkpoint, read_meta):
        with pytest.raises(ModelError, match=says):
            read(name)


def test_a_network_without_memory_has_the_same_names_and_shapes() -> None:
    words = Vocabulary((*SPECIAL, "a", "dog"))
    for config in (
        ModelConfig("channel-general", "efficientnet-lite2", input=(64, 96)),
        ModelConfig("concat", "shufflenet_v2_x0_5", input=(64, 64)),
        ModelConfig("general", "resnet18", "layer2", (64, 64)),
    ):
        real = Captioner(config, words)
        with blank():
            other = Captioner(config, words)
        assert is_blank(other)
        assert not is_blank(real)
        assert other.grid == real.grid
        shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (real, other)]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", ["swin_t", "regnet_y_400mf"])  # they count out some numbers when they are built
def test_torchvisions_networks_come_back_whole(tmp_path: Path, name: str) -> None:
    config = ModelConfig("concat", name, input=(224, 224), channels=4, embedding=4, state=4, language=4, attention=4)
    model = Captioner(config, Vocabulary((*SPECIAL, "a"))).eval()
    save_checkpoint(model, tmp_path / "m.safetensors")
    other = load_checkpoint(tmp_path / "m.safetensors")
    assert not is_blank(other)
    pixels = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(other.encode(pixels), model.encode(pixels), atol=0.05, rtol=0.05)


def test_an_encoder_file_of_another_network(tmp_path: Path) -> None:
    model = Captioner.tiny("concat")
    save_encoder(model, tmp_path / "encoder.safetensors")
    save_checkpoint(model, tmp_path / "m.safetensors", encoder=tmp_path / "encoder.safetensors")
    assert load_checkpoint(tmp_path / "m.safetensors").grid == (2, 2)
    save_file({"a": torch.zeros(1)}, tmp_path / "encoder.safetensors")
    with pytest.raises(ModelError, match="is not the encoder it was trained with"):
        load_checkpoint(tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match=r"encoder\.safetensors: a safetensors file, but not one of attnviz"):
        read_meta(tmp_path / "encoder.safetensors")


def test_every_torchvision_name_is_told_in_one_line_or_built() -> None:
    with blank():
        assert build_backbone("regnet_y_128gf").channels == (7392,)
        with pytest.raises(ModelError, match="no grid behind its transformer"):
            build_backbone("vit_b_16")
        with pytest.raises(ModelError, match="no network called 'maskrcnn_resnet50_fpn'"):
            build_backbone("maskrcnn_resnet50_fpn")
