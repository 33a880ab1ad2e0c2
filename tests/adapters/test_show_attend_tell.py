"""A converted checkpoint says, sees and scores what the original does: every kind that people have."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from tutorial import DecoderWithAttention, Tutorial, caption, pixels, read, save, small_resnet, train

import attnviz
from attnviz.adapters.show_attend_tell import convert
from attnviz.captioner.header import read_meta
from attnviz.captioner.vocabulary import START
from attnviz.zoo import load_captioner

if TYPE_CHECKING:
    from attnviz.captioner import Captioner

ATOL = 1e-5


def same(model: Captioner, original: Tutorial, photos: list[Path], beams: tuple[int, ...] = (3,)) -> int:
    """Holds captions, weights and logits to the original's; returns how many captions there are."""
    encoder, decoder = original.encoder.float(), original.decoder.float()
    names, seen = original.names, set()
    with torch.no_grad():
        cells = [encoder(pixels(path, model.input[0])) for path in photos]
    for beam in beams:
        traces = attnviz.explain(model, photos, beam=beam)
        for path, found, trace in zip(photos, cells, traces, strict=True):
            numbers = caption(decoder, found, beam, original.ends)
            assert list(trace.tokens) == [names[number] for number in numbers]
            seen.add(trace.caption)
            if not numbers:
                continue
            wanted = read(decoder, found, numbers, original.ends[0])
            np.testing.assert_allclose(trace.weights, wanted.weights, atol=ATOL)
            logprobs = torch.from_numpy(wanted.logits).log_softmax(-1)[range(len(numbers)), numbers]
            assert trace.logprobs is not None
            np.testing.assert_allclose(trace.logprobs, logprobs, atol=ATOL)
            order = np.array([original.words.get(word, -1) for word in model.vocabulary.words])
            logits = all_logits(model, trace.tokens, path)
            np.testing.assert_allclose(logits[:, order >= 0], wanted.logits[:, order[order >= 0]], atol=ATOL)
    return len(seen)


@torch.no_grad()
def all_logits(model: Captioner, tokens: tuple[str, ...], photo: Path) -> np.ndarray:
    """(T, V): the logits of the converted decoder while it reads its own caption."""
    prepared = model.prepare(attnviz.photo.image.load(photo))
    values = model.encode(prepared.inputs[None])
    numbers = [START, *model.vocabulary.numbers(tokens)[:-1]]
    output, _ = model.decoder(model.decoder.prepare(values), model.decoder.start(values), torch.tensor([[numbers]]))
    return np.asarray(output.logits[0])


@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_captions_weights_and_logits_are_the_originals(
    container: str, saved: dict[str, Path], wordmap: Path, network: Tutorial, blots: list[Path], tmp_path: Path
) -> None:
    facts = convert(saved[container], wordmap, tmp_path / "m.safetensors")
    assert (facts.encoder, facts.words, facts.epoch, facts.bleu) == ("resnet-bottleneck-1-1-1-1", 21, 7, 0.2412)
    model = load_captioner(tmp_path / "m.safetensors")
    assert model.name == "m"
    assert same(model, network, blots, (1, 3, 5)) >= 3  # and they are not one sentence


def test_both_containers_give_the_same_checkpoint(saved: dict[str, Path], wordmap: Path, tmp_path: Path) -> None:
    found = []
    for container, path in saved.items():
        same_name = tmp_path / container / "c.pth"
        same_name.parent.mkdir()
        same_name.write_bytes(path.read_bytes())
        convert(same_name, wordmap, tmp_path / "m.safetensors")
        found.append((tmp_path / "m.safetensors").read_bytes())
    assert found[0] == found[1]


def half(model: Tutorial) -> dict[str, Any]:
    return {"encoder": copy.deepcopy(model.encoder).half(), "decoder": copy.deepcopy(model.decoder).half()}


def double(model: Tutorial) -> dict[str, Any]:
    return {"encoder": copy.deepcopy(model.encoder).double(), "decoder": copy.deepcopy(model.decoder).double()}


def brain(model: Tutorial) -> dict[str, Any]:
    return {"encoder": copy.deepcopy(model.encoder).bfloat16(), "decoder": copy.deepcopy(model.decoder).bfloat16()}


def parallel(model: Tutorial) -> dict[str, Any]:
    found: dict[str, Any] = {"encoder": nn.DataParallel(model.encoder), "decoder": nn.DataParallel(model.decoder)}
    for one in found.values():  # as on a machine with GPUs
        one.device_ids, one.output_device, one.src_device_obj = [0, 1], 0, torch.device("cuda", 0)
    return found


def channels_last(model: Tutorial) -> dict[str, Any]:
    return {"encoder": copy.deepcopy(model.encoder).to(memory_format=torch.channels_last)}


def not_fine_tuned(model: Tutorial) -> dict[str, Any]:
    return {"encoder_optimizer": None}


def numpy_score(model: Tutorial) -> dict[str, Any]:
    return {"bleu-4": np.float64(0.2), "epoch": np.int64(3)}


def state_dicts(model: Tutorial) -> dict[str, Any]:
    found = {"encoder": model.encoder.state_dict(), "decoder": model.decoder.state_dict()}
    return found | {"encoder_optimizer": model.optimisers[0].state_dict(), "decoder_optimizer": None}


CHANGES: list[Callable[[Tutorial], dict[str, Any]]] = [
    half,
    double,
    brain,
    parallel,
    channels_last,
    not_fine_tuned,
    numpy_score,
    state_dicts,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_checkpoints_as_people_have_them(
    container: str,
    change: Callable[[Tutorial], dict[str, Any]],
    network: Tutorial,
    wordmap: Path,
    blots: list[Path],
    tmp_path: Path,
) -> None:
    changes = change(network)
    path = save(network, tmp_path / "c.pth", container == "legacy", **changes)
    convert(path, wordmap, tmp_path / "m.safetensors")
    parts = {key: changes[key] for key in ("encoder", "decoder") if isinstance(changes.get(key), nn.Module)}
    plain = {key: part.module if isinstance(part, nn.DataParallel) else part for key, part in parts.items()}
    same(load_captioner(tmp_path / "m.safetensors"), network._replace(**plain), blots[:1])


def test_an_encoder_of_basic_blocks_fine_tuned_to_a_grid_of_its_own(blots: list[Path], tmp_path: Path) -> None:
    from torchvision.models.resnet import BasicBlock

    torch.manual_seed(1)
    photos = [pixels(path, 64) for path in blots[:2]]
    network = train(
        small_resnet(BasicBlock), ("a red dog", "two cats"), photos, 3, fine_tune=True, width=7, embedding=9
    )
    network.encoder.adaptive_pool = nn.AdaptiveAvgPool2d(5)
    path = save(network, tmp_path / "c.pth", module="src.models")
    (tmp_path / "w.json").write_text(json.dumps(network.words))
    convert(path, tmp_path / "w.json", tmp_path / "m.safetensors", input=64)
    model = load_captioner(tmp_path / "m.safetensors")
    assert model.config.backbone == "resnet-basic-1-1-1-1"
    assert model.grid == (5, 5)
    same(model, network, blots[:2], (1, 2))


@pytest.mark.parametrize(
    ("sizes", "name"),
    [
        ({"layers": (1, 2, 1, 1), "groups": 32, "width_per_group": 4}, "resnet-bottleneck-1-2-1-1-g32-w4"),
        ({"layers": (3, 4, 6, 3)}, "resnet50"),
    ],
)
def test_the_kind_of_resnet_is_read_off_its_shapes(sizes: dict[str, Any], name: str) -> None:
    from attnviz.adapters.resnet import COUNTER, ResNet

    network = small_resnet(**sizes)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items() if not key.startswith("fc.")}
    found = ResNet.of(shapes)
    assert found.name == name
    wanted = {key: shape for one in found.convolutions() for key, shape in one.shapes().items()}
    assert wanted == shapes
    assert COUNTER in str(wanted)
    convolutions = {one.name: one for one in found.convolutions()}
    for key, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            one = convolutions[key]
            assert (module.stride[0], module.padding[0], module.groups) == (one.stride, one.padding, one.groups)


class Old(pickle.Pickler):
    """Writes tensors as torch did before 0.4: `_rebuild_tensor`, and parameters as calls of `Parameter`."""

    def reducer_override(self, one: Any) -> Any:
        if isinstance(one, nn.Parameter):
            return nn.Parameter, (one.data,), (one.requires_grad, False, OrderedDict())
        if isinstance(one, torch.Tensor):
            storage: Any = one._typed_storage()  # type: ignore[no-untyped-call]
            return torch._utils._rebuild_tensor, (storage, one.storage_offset(), tuple(one.shape), one.stride())
        return NotImplemented


def test_checkpoints_of_torch_before_0_4(network: Tutorial, wordmap: Path, blots: list[Path], tmp_path: Path) -> None:
    from tutorial import called_models

    module = ModuleType("old")
    module.__dict__.update(Pickler=Old, dump=pickle.dump)
    state = {"epoch": 1, "encoder": network.encoder, "decoder": network.decoder}
    with called_models(), warnings.catch_warnings(action="ignore"):
        torch.save(state, tmp_path / "c.pth", module, _use_new_zipfile_serialization=False)
    assert b"_rebuild_tensor\n" in (tmp_path / "c.pth").read_bytes()
    convert(tmp_path / "c.pth", wordmap, tmp_path / "m.safetensors")
    same(load_captioner(tmp_path / "m.safetensors"), network, blots[:1])


def test_checkpoints_saved_on_a_gpu(saved: dict[str, Path], wordmap: Path, tmp_path: Path) -> None:
    """The file says where each storage was; here nobody has to have such a place."""
    outs = []
    for container, path in saved.items():
        data, place = path.read_bytes(), tmp_path / f"{container}.pth"
        here, there = (b"X" + len(name).to_bytes(4, "little") + name for name in (b"cpu", b"cuda:0"))
        if container == "zip":
            stream = io.BytesIO()
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w") as new:
                for name in old.namelist():
                    new.writestr(name, old.read(name).replace(here, there))
            data = stream.getvalue()
        place.write_bytes(data.replace(here, there))
        convert(place, wordmap, tmp_path / f"{container}.safetensors", name="toy")
        outs.append(load_captioner(tmp_path / f"{container}.safetensors").fingerprint())
    plain = tmp_path / "plain.safetensors"
    convert(saved["zip"], wordmap, plain, name="toy")
    assert outs == [load_captioner(plain).fingerprint()] * 2


def test_sentences_without_a_word_and_without_an_end(
    network: Tutorial, wordmap: Path, blots: list[Path], tmp_path: Path
) -> None:
    """Of what the tutorial writes when its training has hardly begun: nothing at all, or words without end."""
    _, end = network.ends
    for name, bias, length in (("eager", 50.0, 0), ("endless", -50.0, 51)):
        decoder = copy.deepcopy(network.decoder)
        with torch.no_grad():
            decoder.fc.bias[end] += bias
        changed = network._replace(decoder=decoder)
        convert(save(changed, tmp_path / name), wordmap, tmp_path / f"{name}.safetensors")
        model = load_captioner(tmp_path / f"{name}.safetensors")
        same(model, changed, blots[:1])
        (trace,) = attnviz.explain(model, blots[0], beam=3)
        assert len(trace) == length
        told = " ".join(trace.summary()["notes"])
        assert ("no steps" if length == 0 else "was cut") in told


def test_a_grey_photo_and_words_outside_the_map(converted: Path, blots: list[Path]) -> None:
    model = load_captioner(converted)
    (trace,) = attnviz.explain(model, blots[-1], text="a zebra <end> on Grass")
    assert trace.settings["unknown"] == ["zebra", "<end>"]
    assert trace.tokens == ("a", "zebra", "<end>", "on", "Grass")
    assert any("averages them to 14x14" in note for note in trace.summary()["notes"])


def test_converting_needs_no_torch(saved: dict[str, Path], wordmap: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom attnviz.cli import run\n"
        f"status = run(['convert', {str(saved['zip'])!r}, '--wordmap', {str(wordmap)!r}, '-o', 'm.safetensors'])\n"
        "assert not {'torch', 'torchvision', 'PIL', 'matplotlib'} & {name.split('.')[0] for name in sys.modules}\n"
        "raise SystemExit(status)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    card = read_meta(tmp_path / "m.safetensors")["card"]
    assert card == {"converted from": "BEST_checkpoint_zip.pth.tar", "epoch": 7, "BLEU-4 by the tutorial": 0.2412}


def other_decoder(network: Tutorial, **parts: nn.Module) -> DecoderWithAttention:
    decoder = copy.deepcopy(network.decoder)
    for name, part in parts.items():
        *inside, last = name.split("_in_")
        setattr(decoder if not inside else getattr(decoder, last), inside[0] if inside else last, part)
    return decoder


def test_networks_that_only_look_like_the_tutorials_are_refused(
    network: Tutorial, wordmap: Path, tmp_path: Path
) -> None:
    dilated, pooled, eps = (copy.deepcopy(network.encoder) for _ in range(3))
    parts: list[Any] = [dilated, pooled, eps]
    parts[0].resnet[6][0].conv2.stride = (1, 1)
    parts[1].adaptive_pool = nn.AdaptiveMaxPool2d(14)
    parts[2].resnet[1].eps = 1e-3
    lost = copy.deepcopy(network.decoder)
    with torch.no_grad():
        lost.fc.weight[3, 3] = torch.nan
    wrong: list[tuple[dict[str, Any], str]] = [
        (
            {"decoder": other_decoder(network, relu_in_attention=nn.Tanh())},
            "decoder.attention is another.*relu is Tanh",
        ),
        (
            {"decoder": other_decoder(network, tanh=nn.Tanh())},
            "decoder is another than.*tanh is Tanh; the tutorial has no",
        ),
        ({"decoder": other_decoder(network, fc=nn.Linear(32, 20))}, r"fc.bias is 20, not 21"),
        ({"decoder": other_decoder(network, decode_step=nn.GRUCell(2064, 32))}, "decode_step is GRUCell"),
        ({"decoder": lost}, "fc.weight in it holds infinities or NaN"),
        ({"encoder": dilated}, r"layer3.0.conv2 has stride \(1, 1\), not \(2, 2\)"),
        ({"encoder": eps}, "bn1 has eps 0.001"),
        ({"encoder": pooled}, "adaptive_pool is AdaptiveMaxPool2d"),
        ({"encoder": network.decoder}, "its encoder is another than the tutorial's"),
        ({"encoder": None}, "has no 'encoder' but epoch, "),
        ({"encoder": {"resnet.0.weight": torch.zeros(2, 2)}}, "its encoder is no ResNet"),
    ]
    for changes, said in wrong:
        path = save(network, tmp_path / "c.pth", **changes)
        with pytest.raises(attnviz.AttnvizError, match=said) as caught:
            convert(path, wordmap, tmp_path / "m.safetensors")
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "m.safetensors").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak")
def test_a_resnet_101_in_little_memory_and_its_optimisers_unread(tmp_path: Path) -> None:
    """Peak memory of the whole process, Python included, against the tensors that are kept."""
    from torchvision.models import resnet101
    from tutorial import Encoder

    torch.manual_seed(0)
    encoder, words = Encoder(resnet101()), {f"w{i}": i for i in range(1, 5001)}
    words |= {"<pad>": 0, "<start>": 5001, "<end>": 5002, "<unk>": 5003}
    decoder = DecoderWithAttention(5004, 2048, 512, 512, 512)
    optimiser = torch.optim.Adam(decoder.parameters())
    for parameter in decoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    network = Tutorial(encoder, decoder, words, (optimiser, optimiser))
    kept = sum(value.numel() * 4 for part in (encoder, decoder) for value in part.state_dict().values())
    (tmp_path / "w.json").write_text(json.dumps(words))
    path = save(network, tmp_path / "c.pth.tar", legacy=True)
    assert path.stat().st_size > kept + 1.9 * 4 * sum(p.numel() for p in decoder.parameters())
    code = (
        "import io, pathlib, re\nread = [0]\n"
        "class Raw(io.FileIO):\n"
        "    def readinto(self, buffer):\n        count = super().readinto(buffer); read[0] += count; return count\n"
        "    def readall(self): raise AssertionError\n"
        "plain = pathlib.Path.open\n"
        "def opened(path, *args, **named):\n"
        "    counted = path.name == 'c.pth.tar'\n"
        "    return io.BufferedReader(Raw(str(path), 'rb')) if counted else plain(path, *args, **named)\n"
        "pathlib.Path.open = opened\n"
        "from attnviz.adapters.show_attend_tell import convert\nconvert('c.pth.tar', 'w.json', 'm.safetensors')\n"
        "peak = re.search('VmHWM: *([0-9]+) kB', open('/proc/self/status').read().replace(chr(9), ' '))\n"
        "print(read[0], int(peak[1]) * 1024)"  # getrusage tells of the process that started this one, too
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    count, peak = map(int, ran.stdout.split())
    assert count < 1.02 * kept
    assert peak < 1.3 * kept
    assert read_meta(tmp_path / "m.safetensors")["config"]["backbone"] == "resnet101"


def test_word_maps(network: Tutorial, saved: dict[str, Path], blots: list[Path], tmp_path: Path) -> None:
    """With gaps, without padding, with capitals and signs; and those that are none."""
    words = dict(network.words)
    gap = {word: number for word, number in words.items() if word != "rocket"}
    no_pad = {word: number for word, number in words.items() if word != "<pad>"}
    odd = {("Grass" if word == "grass" else "," if word == "the" else word): number for word, number in words.items()}
    for name, table in (("gap", gap), ("no_pad", no_pad), ("odd", odd)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(table), encoding="utf-8-sig")
        convert(saved["zip"], path, tmp_path / f"{name}.safetensors")
        model = load_captioner(tmp_path / f"{name}.safetensors")
        named = {**table, "<pad>": 0}
        if name == "gap":
            named[f"<{words['rocket']}>"] = words["rocket"]
        same(model, network._replace(words=named), blots[2:3])
    (trace,) = attnviz.explain(model, blots[0], text="a Grass , dog.")
    assert trace.settings["unknown"] == []

    wrong: list[tuple[object, str]] = [
        ({**words, "zebra": 21}, "numbers go up to 21, and the decoder has 21 words, 0 to 20"),
        ({word: number for word, number in words.items() if number < 20}, "has no <end>|numbers go up to 19"),
        ({**words, "zebra": 5}, "gives both .* and 'zebra' the number 5"),
        ({word: number for word, number in words.items() if word != "<start>"}, "has no <start>"),
        ({**words, "a": "3"}, "'a' has '3' where a number"),
        ({**words, "a": True}, "'a' has True where a number"),
        ({**words, "a": -1}, "'a' has -1 where a number"),
        ({**words, "a": 1.0}, "'a' has 1.0 where a number"),
        ({**words, "\ud800": words["a"], "a": words["a"]}, "it holds a character that no text has|gives both"),
        ([1, 2], "is no word map"),
        ("text", "is no word map"),
        ({}, "is no word map"),
    ]
    for value, said in wrong:
        (tmp_path / "w.json").write_text(json.dumps(value))
        with pytest.raises(attnviz.AttnvizError, match=said) as caught:
            convert(saved["zip"], tmp_path / "w.json", tmp_path / "m.safetensors")
        assert str(caught.value).startswith(str(tmp_path / "w.json"))
    texts = {
        '{"a": 1, "a": 2}': "gives 'a' two numbers",
        "{": "is no JSON",
        "\x00": "is no JSON",
        "[" * 10**5: "is no JSON",
    }
    for text, said in texts.items():
        (tmp_path / "w.json").write_text(text)
        with pytest.raises(attnviz.AttnvizError, match=said):
            convert(saved["zip"], tmp_path / "w.json", tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_decoder_without_padding_and_unknown_word(network: Tutorial, blots: list[Path], tmp_path: Path) -> None:
    """Their rows are made up, and never written."""
    words = {word: number for word, number in network.words.items() if word not in ("<pad>", "<unk>")}
    order = sorted(words, key=words.__getitem__)
    decoder = copy.deepcopy(network.decoder)
    rows = [words[word] for word in order]
    with torch.no_grad():
        decoder.embedding = nn.Embedding(len(rows), 16, _weight=network.decoder.embedding.weight[rows])
        decoder.fc.weight, decoder.fc.bias = (nn.Parameter(one[rows]) for one in (decoder.fc.weight, decoder.fc.bias))
    changed = network._replace(decoder=decoder, words={word: number for number, word in enumerate(order)})
    (tmp_path / "w.json").write_text(json.dumps(changed.words))
    convert(save(changed, tmp_path / "c.pth"), tmp_path / "w.json", tmp_path / "m.safetensors")
    model = load_captioner(tmp_path / "m.safetensors")
    assert len(model.vocabulary) == len(order) + 2
    same(model, changed, blots[:3])
    assert re.match("<pad>", model.vocabulary.words[0])
