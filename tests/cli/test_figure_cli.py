"""`attnviz figure`: which networks it compares, what it writes, and what it says of wrong input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from attnviz.cli.boxes import boxes_of
from attnviz.cli.config import presets
from attnviz.cli.sources import Source, sources
from attnviz.errors import DataError, ModelError, OutputError
from attnviz.photo.image import Photo, load

Run = Callable[..., Any]

MODES = ("concat", "dot", "general")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny network for each of MODES."""
    from attnviz.captioner import Captioner, save_checkpoint

    folder = tmp_path_factory.mktemp("models")
    for mode in MODES:
        save_checkpoint(Captioner.tiny(mode=mode, seed=1), folder / f"tiny-{mode}.safetensors")
    return folder


@pytest.fixture
def figure(cli: Run, checkpoint: Path, photo: Path) -> Run:
    """`attnviz figure --model TINY` and what is given."""
    return lambda *args: cli("figure", "--model", checkpoint, *args)


def words(svg: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


def test_a_photo_becomes_a_pdf(figure: Run, tmp_path: Path) -> None:
    status, out, err = figure("photo.png", "-o", "new/fig.pdf", "--text", "a dog", "--width", "85mm")
    assert (status, out) == (0, "photo.png: a dog\n")
    assert err.startswith("attnviz: new/fig.pdf: 3.35 x ")
    assert (tmp_path / "new" / "fig.pdf").read_bytes().startswith(b"%PDF")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fig.pdf"]


def test_the_suffix_or_format_says_what_is_written(figure: Run, process: Run, checkpoint: Path, tmp_path: Path) -> None:
    asked = ("photo.png", "--text", "dog", "--width", "2in", "--dpi", "50", "-q")
    assert figure(*asked, "-o", "f.png").err == ""
    with Image.open(tmp_path / "f.png") as page:
        assert page.width == 100
    assert figure(*asked, "-o", "f.dat", "-f", "svg").status == 0
    assert "dog" in words(tmp_path / "f.dat")
    status, out, err = process("figure", *asked, "-o", "-", "--model", checkpoint)
    assert (status, out[:4], err) == (0, "%PDF", "photo.png: dog\n")


def test_modes_are_compared_with_the_words_of_the_first(
    cli: Run, checkpoints: Path, photo: Path, tmp_path: Path
) -> None:
    asked = ("--modes", "dot,concat", "--difference", "--json", "--height", "40in")
    status, out, _ = cli("figure", "photo.png", "-o", "f.svg", "--model", checkpoints, *asked)
    assert status == 0
    (result,) = json.loads(out)["results"]
    assert [row["mode"] for row in result["rows"]] == ["dot", "concat"]
    assert len({row["caption"] for row in result["rows"]}) == 1
    assert result["rows"][0]["settings"]["given"] is False
    assert result["rows"][1]["settings"]["given"] is True
    shown = words(tmp_path / "f.svg")
    assert {"dot", "concat", "− dot", "difference from dot, times uniform"} <= set(shown)


def test_one_mode_is_chosen_as_in_render(cli: Run, checkpoints: Path, photo: Path) -> None:
    asked = ("figure", "photo.png", "-o", "f.svg", "--model", checkpoints, "--text", "a dog", "--json")
    (result,) = json.loads(cli(*asked, "-m", "general").out)["results"]
    assert [row["mode"] for row in result["rows"]] == ["general"]
    status, _, err = cli(*asked, "-m", "general", "--modes", "dot")
    assert (status, "give one of the two" in err) == (2, True)


def test_each_photo_may_have_a_text_and_a_title_of_its_own(figure: Run, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "photo.png", tmp_path / "other.png")
    asked = ("photo.png", "other.png", "-o", "f.svg", "-q")
    assert figure(*asked, "--text", "a dog", "--text", "the cat", "--title", "first", "--title", "").out == (
        "photo.png: a dog\nother.png: the cat\n"
    )
    shown = [word.strip("?") for word in words(tmp_path / "f.svg")]
    assert {"first", "dog", "the", "cat"} <= set(shown)
    assert "(b)" not in shown
    for wrong, said in (
        (("--text", "a", "--text", "b", "--text", "c"), "3 --text for 2 photos; give one for all, or one for each"),
        (("--text", "a", "--text", " "), "the text is empty"),
        (("--title", "a"), "titles: 1 for 2 photos"),
    ):
        status, _, err = figure(*asked, *wrong)
        assert status != 0
        assert said in err
    (tmp_path / "texts.toml").write_text('text = ["a bird", "a fish"]\ntitle = ["x", "y"]\n')
    assert figure(*asked, "--config", "texts.toml").out == "photo.png: a bird\nother.png: a fish\n"


def test_more_than_a_page_goes_on_numbered_files(figure: Run, tmp_path: Path) -> None:
    for name in ("b.png", "c.png"):
        shutil.copy(tmp_path / "photo.png", tmp_path / name)
    asked = ("photo.png", "b.png", "c.png", "--text", "a dog runs", "--width", "2in", "--dpi", "60")
    status, out, err = figure(*asked, "-o", "f.png", "--height", "3.4in", "--json")
    assert status == 0
    files = json.loads(out)["files"]
    assert len(files) > 1
    assert files == [f"f-{number}.png" for number in range(1, len(files) + 1)]
    assert sorted(path.name for path in tmp_path.glob("f*.png")) == files
    for name in files:
        with Image.open(tmp_path / name) as page:
            assert page.height <= 3.4 * 60
    assert err.count(" inches, ") == len(files)
    status, _, err = figure(*asked, "-o", "g.png", "--height", "1in")
    assert status == 1
    assert re.search(r"would be \d\.\d inches high, more than 1; draw fewer words .* or allow it \(height: ", err)
    allowed = re.search(r"height: ([\d.]+in)", err)
    assert allowed is not None
    assert figure(*asked, "-o", "g.png", "--height", allowed[1]).status == 0


def test_latex_to_include_the_figure(figure: Run, tmp_path: Path) -> None:
    asked = ("photo.png", "--text", "a {dog} 50%_#1", "--width", "85mm")
    status, out, _ = figure(*asked, "-o", "figs/f_1.pdf", "--latex", "-q")
    assert status == 0
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "\\begin{figure}[t]"
    assert lines[2] == "\\includegraphics[width=3.34646in]{figs/f_1.pdf}"
    assert "``a \\{dog\\} 50\\%\\_\\#1''" in lines[3]
    assert lines[3].count("{") == lines[3].count("}")
    assert lines[4:] == ["\\label{fig:f-1}", "\\end{figure}"]
    for wrong, said in (
        (("-o", "f.svg"), "LaTeX includes pdf and png, not svg"),
        (("-o", "f.pdf", "--json"), "both print"),
        (("-o", "-"), "leave out --latex"),
    ):
        status, out, err = figure(*asked, "--latex", *wrong)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert said in err


def test_what_model_and_modes_mean_together(checkpoints: Path) -> None:
    files = {mode: str(checkpoints / f"tiny-{mode}.safetensors") for mode in MODES}
    assert sources(["flickr8k"], None) == [Source("flickr8k", None)]
    assert sources(["flickr8k"], ["dot", "general"]) == [Source("flickr8k", "dot"), Source("flickr8k", "general")]
    assert sources([str(checkpoints)], None) == [Source(files[mode], mode) for mode in MODES]
    assert sources([str(checkpoints)], ["general", "dot"]) == [Source(files[m], m) for m in ("general", "dot")]
    pair = [files["dot"], files["concat"]]
    assert sources(pair, None) == [Source(files["dot"], "dot"), Source(files["concat"], "concat")]
    assert sources(pair, ["concat"]) == [Source(files["concat"], "concat")]
    with pytest.raises(ModelError, match="has the mode flat-concat; there are dot, concat"):
        sources(pair, ["flat-concat"])
    with pytest.raises(ModelError, match="holds no checkpoint"):
        sources([str(checkpoints.parent / "..")], None)


def test_several_photos_stand_in_one_figure_and_one_that_fails_stops_it(figure: Run, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "photo.png", tmp_path / "other.png")
    asked = ("-o", "f.svg", "--text", "dog", "-q")
    assert figure("photo.png", "other.png", *asked).out == "photo.png: dog\nother.png: dog\n"
    assert words(tmp_path / "f.svg").count("dog") == 4  # above its panel and in the sentence, of each photo
    before = (tmp_path / "f.svg").read_bytes()
    status, out, err = figure("missing.png", "photo.png", *asked)
    assert (status, out) == (1, "")
    assert err == "attnviz: error: missing.png: no such file; check the name and the folder\n"
    assert (tmp_path / "f.svg").read_bytes() == before


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["-o", "f.pdf", "--modes", "nope"], 2, "no mode is called 'nope'"),
        (["-o", "f.pdf", "--modes", "dot"], 1, "holds the mode concat, not dot"),
        (["-o", "f.pdf", "--modes", "dot, concat ,dot"], 2, "the mode dot is named twice"),
        (["-o", "f.pdf", "--columns", "0"], 2, "columns"),
        (["-o", "f.pdf", "--width", "3parsecs"], 2, "'3parsecs' is no width"),
        (["-o", "f.pdf", "--width", "85"], 2, "'85' has no unit; write in or mm"),
        (["-o", "f.pdf", "--height", "9miles"], 2, "'9miles' is no height"),
        (["-o", "f.pdf", "--fit", "--columns", "3"], 2, "give columns or fit, not both"),
        (["-o", "f.pdf", "--words", "zebra"], 1, "'zebra' is not in the caption"),
        (["-o", "f.pdf", "--steps", "99"], 1, "no step 99"),
        (["-o", "f.pdf", "--boxes", "nowhere.json"], 1, "nowhere.json: no such file"),
        (["-o", "f.pdf", "--boxes", "photo.png"], 1, "photo.png: is no text"),
        (["-o", "f.pdf", "--font", "No Such Font"], 2, "no font is called 'No Such Font'"),
        (["-o", "f.pdf", "--config", "slides"], 2, "did you mean slide?"),
        (["-o", "f.gif"], 2, "no figure has the suffix .gif"),
        (["-o", "f"], 2, "no figure has the suffix (none)"),
        (["-o", "photo.png/f.pdf"], 1, "photo.png is a file"),
        (["-o", "."], 1, ".: is a folder"),
        ([], 2, "Missing option"),
    ],
)
def test_wrong_input_gets_one_line_and_leaves_nothing(
    figure: Run, tmp_path: Path, args: list[str], status: int, said: str
) -> None:
    found = figure("photo.png", *args)
    assert found.status == status
    assert said in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_presets_for_common_targets(figure: Run, tmp_path: Path) -> None:
    assert set(presets("figure")) == {"single-column", "double-column", "slide"}
    for name in presets("figure"):
        assert figure("photo.png", "-o", f"{name}.pdf", "--text", "a dog", "--config", name, "-q").status == 0
    for text in ("dog", "a dog and a cat on the grass in front of a red house"):
        slide = figure("photo.png", "-o", "s.png", "--text", text, "--config", "slide", "-q")
        with Image.open(tmp_path / "s.png") as page:
            assert (slide.status, page.size) == (0, (1920, 1080))
    found = figure("photo.png", "-o", "f.pdf", "--text", "a dog", "--config", "single-column", "--width", "3in")
    assert "f.pdf: 3.00 x" in found.err


def boxes(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "boxes.json"
    path.write_text(text)
    return boxes_of(str(path), [load(tmp_path / "photo.png")])[0]


def test_boxes_are_read_in_all_their_forms(photo: Path, tmp_path: Path) -> None:
    wanted = [[0.25 * 40, 0.5 * 60, 0.75 * 40, 1.0 * 60]]  # (y0, x0, y1, x1) in pixels
    box = [[0.5, 0.25, 1.0, 0.75]]
    assert boxes(tmp_path, json.dumps({"photo.png": box})) == {"": wanted}
    assert boxes(tmp_path, json.dumps({"photo.png": {"dog": box}, "x.jpg": []})) == {"dog": wanted}
    record = {
        "image": "photo.png",
        "captions": [{"tokens": ["A", "brown", "Dog", "runs"], "phrases": [[0, 3, "7", ["animals"]]]}],
        "boxes": {"7": box, "8": box},
    }
    lines = [json.dumps({"image": "x.jpg", "boxes": {}}), json.dumps(record)]
    assert boxes(tmp_path, "\n".join(lines)) == {"dog": wanted, "": wanted}
    assert boxes(tmp_path, lines[1]) == {"dog": wanted, "": wanted}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{", "line 1: holds no boxes"),
        ("[1, 2]", "line 1: holds no boxes"),
        ('{"other.jpg": []}', "has no boxes of photo.png; it names other.jpg"),
        ('{"photo.png": [[0, 0, 30, 40]]}', "divide pixels"),
        ('{"photo.png": [[0.5, 0, 0.1, 1]]}', "not \\[x0, y0, x1, y1\\]"),
        ('{"photo.png": {"dog": 3}}', "are no list"),
        ('{"photo.png": [["a", 0, 1, 1]]}', "not \\[x0"),
        ('{"photo.png": [[NaN, 0, 1, 1]]}', "not \\[x0"),
        ('{"photo.png": [[0, 0, 1' + "0" * 400 + ", 1]]}", "not \\[x0"),
        ('{"photo.png": [[0, 0, ' + "9" * 5000 + ", 1]]}", "line 1: holds no boxes"),
        ('{"photo.png": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 1: holds no boxes"),
        ('{"image": "photo.png", "boxes": {"7": [[0, 0, 1, 1]]}, "captions": 3}', "line 1: holds no boxes"),
        (json.dumps({"x" * 100_000: []}), "has no boxes of photo.png; it names xxx"),
    ],
)
def test_what_are_no_boxes(photo: Path, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        boxes(tmp_path, text)
    assert "\n" not in str(error.value)
    assert "boxes.json" in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(("file", "photo"), [("caf\u00e9.png", "cafe\u0301.png"), ("cafe\u0301.png", "caf\u00e9.png")])
def test_boxes_are_found_by_either_unicode_form_of_a_name(tmp_path: Path, file: str, photo: str) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({file: [[0.5, 0.25, 1.0, 0.75]]}))
    named = Photo(np.zeros((40, 60, 3), np.uint8), photo, None)
    assert boxes_of(str(tmp_path / "boxes.json"), [named]) == [{"": [[10.0, 30.0, 30.0, 60.0]]}]


@pytest.mark.parametrize("word", ["caf\u00e9", "cafe\u0301"])
def test_words_and_boxes_are_of_the_caption_in_either_unicode_form(figure: Run, tmp_path: Path, word: str) -> None:
    (tmp_path / "b.json").write_text(json.dumps({"photo.png": {word: [[0.1, 0.1, 0.5, 0.5]]}}))
    asked = ("photo.png", "--text", "a cafe\u0301", "--words", word, "-q")
    assert figure(*asked, "-o", "without.svg").status == 0
    status, _, err = figure(*asked[:-1], "-o", "with.svg", "--boxes", "b.json")
    assert status == 0
    assert "no word of the caption" not in err
    strokes = [(tmp_path / name).read_text().count("#ffffff; stroke-width") for name in ("without.svg", "with.svg")]
    assert strokes[1] == strokes[0] + 2  # on the photo and on the word's panel
    assert "caf\u00e9" in (tmp_path / "with.svg").read_text()


def test_boxes_end_up_in_the_figure(figure: Run, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps({"photo.png": {"dog": [[0.1, 0.1, 0.5, 0.5]]}}))
    asked = ("photo.png", "--text", "a dog", "-q")
    assert figure(*asked, "-o", "without.svg").status == 0
    assert figure(*asked, "-o", "with.svg", "--boxes", "b.json").status == 0
    strokes = [(tmp_path / name).read_text().count("#ffffff; stroke-width") for name in ("without.svg", "with.svg")]
    assert strokes[1] == strokes[0] + 2  # on the photo and on the dog's panel


def test_the_guide_names_every_option_of_its_own_with_its_default() -> None:
    import click

    from attnviz.cli.figure import command
    from attnviz.cli.guide import FOLDER
    from attnviz.cli.render import command as render

    guide = (FOLDER / "commands.md").read_text(encoding="utf-8")
    section = guide.split("## figure\n")[1].split("\n## ")[0]
    rows = {}
    for line in section.splitlines():
        if line.startswith("| `-"):
            name, default, _ = re.split(r"(?<!\\)\|", line)[1:-1]
            rows[frozenset(re.findall(r"`(--?[\w-]+)`", name))] = default.strip().strip("`")
    shared = {frozenset(option.opts) for option in render.params} - {frozenset(("-o", "--out")), frozenset(["--model"])}
    shared -= {frozenset(["--modes"]), frozenset(["--layers"]), frozenset(("-f", "--format"))}
    options = {frozenset(option.opts): option for option in command.params if isinstance(option, click.Option)}
    assert set(rows) == set(options) - shared
    for names, written in rows.items():
        default = options[names].default
        if isinstance(default, str | int | float) and not isinstance(default, bool):
            assert written == f"{default}"


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from attnviz.cli import run; run(['figure', '--help']); "
        "print('LOADED', *sorted({'numpy', 'torch', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "LOADED"


def test_standard_streams_that_are_closed_are_one_line(figure: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnviz.cli.paper import check_output

    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdout", None)
        with pytest.raises(OutputError, match="standard output is closed"):
            check_output(click.Context(click.Command("figure")), ["photo.png"], "-", None, False, False)
    monkeypatch.setattr(sys, "stdin", None)
    status, out, err = figure("-", "-o", "f.pdf")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "standard input is closed" in err


def test_what_will_not_be_seen_is_told(figure: Run, tmp_path: Path) -> None:
    box = [[0.1, 0.1, 0.5, 0.5]]
    (tmp_path / "boxes.json").write_text(json.dumps({"photo.png": {"Dog": box, "cat": box, "": box, "tree": box}}))
    asked = ("photo.png", "-o", "f.svg", "--text", "a dog", "--boxes", "boxes.json", "--difference")
    status, _, err = figure(*asked)
    assert status == 0
    one_row, left_out, _ = err.splitlines()
    assert one_row.startswith("attnviz: --difference: there is one row")
    assert "photo.png: no word of the caption has the boxes cat, tree;" in left_out
    assert figure(*asked, "-q").err == ""
