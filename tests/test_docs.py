"""What the documents say is true: commands parse, files exist, tables agree with the code."""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import attnviz
from attnviz.cli import COMMANDS, cli
from attnviz.cli.choices import FORMATS, MODES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = Path(attnviz.__file__).parent
GUIDE = {path.stem: path.read_text(encoding="utf-8") for path in (PACKAGE / "guide").glob("*.md")}
SAMPLES = ROOT / "sample_images"
CODE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def section(text: str, title: str) -> str:
    """What stands in a Markdown text under a heading of the second level."""
    return re.split(r"^## ", text, flags=re.MULTILINE)[[*re.findall(r"^## (.*)$", text, re.MULTILINE)].index(title) + 1]


def table(text: str) -> list[list[str]]:
    """The rows of the tables in `text`, without headings and rulers."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    rulers = [index for index, row in enumerate(cells) if all(set(cell) <= {"-"} for cell in row)]
    return [row for index, row in enumerate(cells) if index not in rulers and index + 1 not in rulers]


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every attnviz command in a Markdown text's code."""
    for _, code in CODE.findall(text):
        for line in code.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words[:1] == ["attnviz"]:
                    plain = words[1 : words.index(">")] if ">" in words else words[1:]
                    yield plain[: plain.index("<")] if "<" in plain else plain


ALL_COMMANDS = [*commands(README), *commands(GUIDE["commands"]), *commands(GUIDE["training"])]


def test_the_readme_begins_with_the_two_lines_that_a_newcomer_needs() -> None:
    first = CODE.search(README)
    assert first is not None
    install, test = first[2].splitlines()
    assert re.fullmatch(r"pip install \. && attnviz render sample_images/[\w.-]+ --mode concat", install)
    assert test == "pip install '.[test]' && pytest"
    assert README[: first.start()].count("\n") < 10


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= 150


def test_every_command_is_in_the_guide() -> None:
    assert {args[0] for args in ALL_COMMANDS} == set(COMMANDS)


def test_the_readme_leads_to_every_topic_of_the_guide() -> None:
    assert {f"attnviz/guide/{topic}.md" for topic in GUIDE} <= set(re.findall(r"\]\(([^)#]+)", README))


@pytest.mark.parametrize("args", ALL_COMMANDS, ids=" ".join)
def test_commands_parse(args: list[str]) -> None:
    name, *rest = args
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, list(rest)).close()
    for word in rest:
        if word.startswith(("sample_images/", "configs/")):
            assert (ROOT / word).is_file()


def headings(text: str) -> set[str]:
    """The anchors of a page, as code hosts make them of its headings."""
    titles = re.findall(r"^#+ (.*)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


LINKED = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "AGENTS.md")),
    SAMPLES / "README.md",
    *sorted(PACKAGE.glob("guide/*.md")),
    PACKAGE / "captioner" / "weights" / "README.md",
]


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.stem)
def test_files_and_headings_that_are_linked_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?:[^()\s]|\([^()]*\))+)\)", CODE.sub("", text)):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            linked = path.parent / name if name else path
            assert linked.exists(), target
            assert not anchor or anchor in headings(linked.read_text(encoding="utf-8")), target


def test_the_table_of_options_is_complete_and_right() -> None:
    def flags(command: click.Command) -> dict[frozenset[str], click.Option]:
        options = [option for option in command.params if isinstance(option, click.Option)]
        return {frozenset((*option.opts, *option.secondary_opts)): option for option in options}

    render, draw = (flags(import_module(f"attnviz.cli.{name}").command) for name in ("render", "draw"))
    rows = {
        frozenset(re.findall(r"`(--?[\w-]+)`", row[0])): row
        for row in table(section(GUIDE["commands"], "render and draw"))
    }
    assert set(rows) == set(render)
    assert {names for names, row in rows.items() if row[0].endswith("*")} == set(render) & set(draw) - {
        frozenset(["--layers"])
    }
    for names, (what, default, effect) in rows.items():
        option, written = render[names], default.strip("`")
        if option.secondary_opts:
            assert written == (option.opts if option.default else option.secondary_opts)[0].removeprefix("--")
        elif option.is_flag:
            assert option.default is not True
            assert written == "off"
        elif isinstance(option.default, str | int | float):
            assert written == str(option.default)
        elif "-o" not in names:
            told = re.search(r"\[default: (.*?)( there are)?(,.*)?\]", option.help or "")
            assert written == ("" if told is None else told[1] + (told[3] or "")), what
        if "-f" in names:
            assert set(FORMATS) <= set(re.findall(r"`([\w-]+)`", effect))


def test_the_table_of_modes_agrees_with_the_command() -> None:
    for text in (README, GUIDE["models"]):
        rows = {row[0].strip("`"): row for row in table(section(text, "The modes"))}
        assert set(rows) == set(MODES)
        for name, mode in MODES.items():
            assert rows[name][2] == mode.over


def test_presets_are_named() -> None:
    from attnviz.cli.config import presets

    found = re.findall(r"`configs/(\w+)/`: (.*?)\.\n", GUIDE["commands"])
    assert {kind: re.findall(r"`([\w-]+)`", names) for kind, names in found} == {
        kind: sorted(presets(kind)) for kind in ("render", "figure")
    }


def test_the_table_of_the_trace_file_is_what_a_trace_saves(tmp_path: Path) -> None:
    weights = np.full((2, 3, 4), 1 / 12, np.float32)
    channels = np.full((2, 5), 0.2, np.float32)
    shares, words = np.ones(2, np.float32), np.arange(2, dtype=np.int32)
    trace = attnviz.Trace(weights, ("a", "b"), np.zeros(2, np.float32), weights, channels, on_image=shares, words=words)
    trace.save(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz", allow_pickle=False) as saved:
        told = table(section(GUIDE["trace-file"], "What is in it"))
        rows = {row[0].strip("`"): row[1] for row in told if len(row) == 3}
        assert set(rows) == set(saved)
        for name, shape in rows.items():
            axes = re.match(r"\((.*?),?\)", shape)
            assert saved[name].ndim == (len(axes[1].split(",")) if axes else 0)
            for kind in ("float32", "int32"):
                assert (kind in shape) == (saved[name].dtype == kind)


def test_the_example_record_is_a_record(tmp_path: Path, photo: Path) -> None:
    from attnviz.data import Split

    (code,) = (code for language, code in CODE.findall(GUIDE["training"]) if language == "json")
    (tmp_path / "dev.jsonl").write_text(json.dumps(json.loads(code)) + "\n")
    with zipfile.ZipFile(tmp_path / "dev.zip", "w") as archive:
        archive.write(photo, "park.jpg")
    (record,) = Split(tmp_path / "dev")
    (caption,) = record.captions
    assert caption.words == ("a", "brown", "dog", "runs")
    (phrase,) = caption.phrases
    assert caption.words[phrase.start : phrase.end] == ("a", "brown", "dog")
    assert phrase.chain in record.boxes


def test_extras_and_version_are_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [README, *GUIDE.values(), (ROOT / "Makefile").read_text(encoding="utf-8")]
    for extra in re.findall(r"'(?:\.|attnviz)\[(\w+)\]'", "".join(texts)):
        assert extra in project["optional-dependencies"]


def test_version_changelog_and_citation_are_held_together() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+)(?: \((unreleased|\d{4}-\d\d-\d\d)\))?$", changes, re.MULTILINE)
    assert len(versions) == changes.count("\n## ")
    numbers = [[int(part) for part in version.split(".")] for version, _ in versions]
    assert numbers == sorted(numbers, reverse=True)
    newest, when = versions[0]
    assert newest == attnviz.__version__
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {newest}\n" in cited
    assert when == "unreleased" or f"\ndate-released: {when}\n" in cited
    assert f"version = {{{newest}}}" in GUIDE["stability"]


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "AGENTS.md")]
    named = re.findall(r"^make ([a-z]+)", "\n".join(texts), re.MULTILINE)
    assert named
    assert set(named) <= targets


def test_sample_photos_are_all_listed_with_source_and_licence() -> None:
    rows = {row[0]: row for row in table((SAMPLES / "README.md").read_text(encoding="utf-8"))}
    assert {f"[{path.name}]({path.name})" for path in SAMPLES.iterdir() if path.name != "README.md"} == set(rows)
    for name, (_, shows, source, licence, changed) in rows.items():
        assert all((shows, source, changed)), name
        assert re.search(r"public domain|CC0|CC BY(-SA)? \d", licence), name


def test_sample_photos_are_small_and_of_every_kind() -> None:
    from attnviz.photo.image import load

    photos = [path for path in SAMPLES.iterdir() if path.suffix in (".jpg", ".png")]
    assert len(photos) >= 5
    assert all(path.stat().st_size <= 300_000 for path in photos)
    sizes = {path.name: load(path).size for path in photos}
    assert any(height > width for height, width in sizes.values())
    with Image.open(SAMPLES / "sheep-rotated.jpg") as rotated:
        assert rotated.getexif()[0x0112] == 6
        assert rotated.size == sizes["sheep-rotated.jpg"]  # (width, height) as stored is (height, width) when upright
    assert sizes["rocket.jpg"] == (427, 640)


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_ci_takes_its_commands_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    assert "--mode concat" not in script
