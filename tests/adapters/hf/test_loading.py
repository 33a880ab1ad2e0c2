"""Opening models: what is refused gets one line that says what to do, and a model that is adapted stays as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers as hf
from tinyhf.models import build, save
from tinyhf.tokens import word_tokenizer

import attnviz
from attnviz.adapters.hf import loading
from attnviz.adapters.hf.quiet import quiet
from attnviz.errors import ModelError
from attnviz.photo.image import load

if TYPE_CHECKING:
    import numpy as np

OnDisk = Callable[[str], Path]


def configured(folder: Path, config: Any, processor: bool = False) -> str:
    """A folder with no more than a configuration."""
    config.save_pretrained(folder)
    return f"hf:{folder}"


def refused(name: str, match: str, **more: Any) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        attnviz.load_model(name, **more)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_places_that_hold_no_model(tmp_path: Path, no_network: None) -> None:
    refused(f"hf:{tmp_path / 'none'}", "no such folder; check the path")
    refused(f"hf:{tmp_path}", "holds no config.json")
    (tmp_path / "file.txt").write_text("x")
    refused(f"hf:{tmp_path / 'file.txt'}", "is a file; give the folder")
    refused("hf:", "no such folder")
    refused("hf:owner/model", r"not in the local cache.*hf download owner/model")
    (tmp_path / "config.json").write_text("{}")
    refused(f"hf:{tmp_path}", "cannot be opened")


def test_models_that_write_nothing_about_photos(tmp_path: Path) -> None:
    for name, config, match in (
        ("gpt2", hf.GPT2Config(), "reads text alone and sees no photo"),
        ("vit", hf.ViTConfig(), "by classes, and writes no words"),
        ("clip", hf.CLIPConfig(), "compares photos with texts and writes none"),
        ("bert", hf.BertConfig(), "reads text alone|does not write about photos"),
        ("idefics2", hf.Idefics2Config(), "latent tokens that lie nowhere on the photo"),
        ("kosmos", hf.Kosmos2Config(), "latent tokens that lie nowhere on the photo"),
        ("fuyu", hf.FuyuConfig(), "family that attnviz does not know yet"),
        ("git", hf.GitConfig(num_image_with_embedding=6), "looks at videos, and attnviz at single photos"),
        ("blip", hf.BlipConfig(architectures=["BlipForQuestionAnswering"]), "is a BlipForQuestionAnswering, and what"),
    ):
        refused(configured(tmp_path / name, config), match)


def test_a_model_with_code_of_its_own_is_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "configuration_own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    refused(f"hf:{tmp_path}", "comes with code of its own, which attnviz does not run.*attnviz.adapt")
    assert not ran.exists()


def test_a_model_without_its_processor_or_weights(tmp_path: Path, on_disk: OnDisk) -> None:
    model, _ = build("vit_gpt2")
    model.save_pretrained(tmp_path)
    refused(f"hf:{tmp_path}", "has no image processor.*save the processor beside the model")
    save("vit_gpt2", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    refused(f"hf:{tmp_path}", "cannot be opened")
    refused(f"hf:{on_disk('vit_gpt2')}", "has no mode to choose", mode="dot")


def test_versions_of_transformers(monkeypatch: pytest.MonkeyPatch, on_disk: OnDisk) -> None:
    name = f"hf:{on_disk('vit_gpt2')}"
    for version, match in (("4.40.1", "older than 4.57"), ("9.0", "newer than 5.24")):
        monkeypatch.setattr(loading, "version", lambda package, version=version: version)
        refused(name, rf"transformers {version} is {match}.*pip install 'attnviz\[hf\]'")

    def absent(package: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(loading, "version", absent)
    refused(name, r"need the package transformers; pip install 'attnviz\[hf\]'")


def test_an_adapted_model_is_as_it_was_even_after_an_error(noise: np.ndarray) -> None:
    model, processor = build("llava")
    model.train()
    model.model.vision_tower.eval()
    modes = [module.training for module in model.modules()]
    configs = [model.config, model.config.text_config, model.config.vision_config]
    kernels = [config._attn_implementation for config in configs]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = model.generation_config.to_dict()
    network = attnviz.adapt(model, processor)
    with quiet():  # transformers puts hooks of its own into a model at its first run
        model.generate(**network.prepare(load(noise)).inputs.inputs, max_new_tokens=1)
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    (trace,) = attnviz.explain(network, noise, text="a dog runs", prompt="what is this")
    assert trace.tokens == ("a", "dog", "runs")
    assert trace.prompt == "what is this"

    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the lid is\non")

    layer = model.model.language_model.layers[-1].mlp
    layer.forward = fails
    with pytest.raises(ModelError, match=r"the model fails: the lid is \(RuntimeError\)$"):
        attnviz.explain(network, noise, text="a dog")
    del layer.forward
    assert [module.training for module in model.modules()] == modes
    assert [config._attn_implementation for config in configs] == kernels
    assert model.generation_config.to_dict() == settings
    assert hooks == [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_cannot_be_adapted(noise: np.ndarray) -> None:
    model, processor = build("vit_gpt2")
    tokenizer, images = processor[1], processor[0]
    assert attnviz.adapt(model, (tokenizer, images), name="mine").name == "mine"
    for wrong, match in ((images, "there is no tokenizer"), (tokenizer, "there is no image processor")):
        with pytest.raises(ModelError, match=match):
            attnviz.adapt(model, wrong)
    with pytest.raises(ModelError, match=r"a Linear is no model of transformers that writes.*attnviz\.watch"):
        attnviz.adapt(torch.nn.Linear(2, 2), processor)
    with pytest.raises(ModelError, match="reads text alone"):
        attnviz.adapt(hf.GPT2LMHeadModel(hf.GPT2Config(n_layer=1, n_embd=8, n_head=2)), word_tokenizer())
    llava, whole = build("llava")
    llava.config.text_config._attn_implementation_internal = "flash_attention_2"
    with pytest.raises(ModelError, match="kernel flash_attention_2; load the model with attn_implementation='sdpa'"):
        attnviz.adapt(llava, whole)


def test_what_is_not_there_to_choose(opened: Callable[[str], Any], noise: np.ndarray) -> None:
    network = opened("vit_gpt2")
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"layers": "3"}, "there is no layer 3; 3 look at the photo, counted from 0 to 2"),
        ({"heads": "4"}, "there is no head 4; the model has 4, counted from 0"),
        ({"view": "tiles"}, "sees a photo but once"),
        ({"hard": "argmax"}, "no hard to choose"),
        ({"text": " "}, "has no word to look for"),
        ({"text": "dog " * 80}, "has 80 pieces, and this model takes 61"),
    )
    for asked, match in wrong:
        with pytest.raises(ModelError, match=match):
            attnviz.explain(network, noise, **asked)


def test_a_random_or_turning_processor_is_refused(noise: np.ndarray) -> None:
    model, (images, tokenizer) = build("vit_gpt2")
    whole, calls = images.preprocess, count(1)

    def shaken(picture: Any, **more: Any) -> Any:
        found = whole(picture, **more)
        found["pixel_values"] = found["pixel_values"].roll(next(calls), -1)
        return found

    def turned(picture: Any, **more: Any) -> Any:
        return whole(picture.transpose(0), **more)

    for preprocess, match in ((shaken, "another result each time"), (turned, "mirrors the photo")):
        images.preprocess = preprocess
        with pytest.raises(ModelError, match=match):
            attnviz.explain(attnviz.adapt(model, (images, tokenizer)), noise)


def test_transformers_says_nothing_and_is_as_loud_as_before_afterwards(on_disk: OnDisk) -> None:
    code = f"""
import logging, sys, warnings
import numpy, attnviz
network = attnviz.load_model("hf:{on_disk("deit_roberta")}", device="cpu")
network.model.generation_config.max_new_tokens = 4
attnviz.explain(network, numpy.zeros((40, 60, 3), numpy.uint8), beam=2)
from transformers.utils import logging as own
assert own.is_progress_bar_enabled()
assert logging.getLogger("transformers").level < logging.CRITICAL
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_quiet_from_several_places_at_once() -> None:
    import logging

    level = logging.getLogger("transformers").level
    with quiet(), quiet():
        pass
    assert logging.getLogger("transformers").level == level


def test_the_range_of_versions_is_one() -> None:
    root = Path(__file__).parents[3]
    project = (root / "pyproject.toml").read_text()
    script = (root / ".ci" / "run").read_text()
    oldest, newest = ".".join(map(str, loading.OLDEST)), loading.NEWEST
    assert f'"transformers>={oldest}.1,<{newest[0]}.{newest[1] + 1}"' in project
    assert f"transformers=={oldest}.1" in script


def test_the_guide_has_a_row_for_each_family() -> None:
    from attnviz.adapters.hf.families import FAMILIES

    guide = (Path(attnviz.__file__).parent / "guide" / "any-model.md").read_text(encoding="utf-8")
    table = guide.split("## Families\n")[1].split("\n\n")[0].strip()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[0].split(" (")[0] for row in rows] == [family.name for family in FAMILIES]
    for row, family in zip(rows, FAMILIES, strict=True):
        assert ("encoder" in row[1]) == family.crossed
        assert row[3] == (f"`{family.prompt}`" if family.prompt else "the model writes from its start")
        assert ("tiles" in row[2]) == (family.layout in ("tiles", "packed", "squares"))
