"""The command line as a whole: what it imports, how fast it starts, how it reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, get_args

import click
import pytest

import attnviz
from attnviz.cli import COMMANDS
from attnviz.cli.choices import DEVICES, FILES, FORMATS, HARD, MODES, RENAMED_SCALES, SCALES, STYLES
from attnviz.cli.options import drawing_options

Run = Callable[..., Any]
HEAVY = ("numpy", "torch", "PIL", "matplotlib", "rich", "importlib.metadata", "concurrent.futures", "asyncio")


def imported(args: list[str], folder: Path) -> set[str]:
    """Which of HEAVY a command imports, in a fresh interpreter."""
    report = f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    code = f"import sys; from attnviz.cli import run; run({args!r}); {report}"
    env = {**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1])}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True, env=env
    )
    return set(found.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["render", "--help"], ["modes"], ["draw", "-h"], ["rendr"]]
)
def test_nothing_heavy_is_imported_before_it_is_needed(args: list[str], tmp_path: Path) -> None:
    assert imported(args, tmp_path) == set()


def test_a_missing_photo_is_told_without_waiting_for_torch(tmp_path: Path) -> None:
    assert "torch" not in imported(["render", "missing.jpg"], tmp_path)


def test_help_and_version_take_at_most_twice_the_time_of_importing_click() -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1])}

    def seconds(*args: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *args], check=True, capture_output=True, env=env)
        return time.perf_counter() - start

    for _ in range(3):  # on a machine that is busy with something else, look again
        times = [
            (seconds("-c", "import click"), seconds("-m", "attnviz", "--help"), seconds("-m", "attnviz", "--version"))
            for _ in range(5)
        ]
        click_, help_, version = (median(column) for column in zip(*times, strict=True))
        if max(help_, version) <= 2 * click_:
            return
    pytest.fail(f"import click {click_:.3f} s, --help {help_:.3f} s, --version {version:.3f} s")


def test_version(cli: Run) -> None:
    assert cli("--version") == (0, f"attnviz {attnviz.__version__}\n", "")


def test_help_names_every_command_with_the_help_that_the_command_has(cli: Run) -> None:
    status, out, _ = cli("--help")
    assert status == 0
    assert cli().out == out
    for name, summary in COMMANDS.items():
        command = import_module(f"attnviz.cli.{name}").command
        assert command.help.split("\n")[0] == summary
        assert f"{name} " in out
        assert summary in out
        assert cli(name, "--help").status == 0


def test_choices_known_without_imports_are_the_real_ones() -> None:
    from attnviz.captioner.attention import SCORES
    from attnviz.captioner.hard import Hard
    from attnviz.render import WRITERS
    from attnviz.render.heatmap import RENAMED, SCALES as REAL_SCALES
    from attnviz.render.overlay import STYLES as REAL_STYLES

    assert set(MODES) == set(SCORES)
    assert tuple(WRITERS) == FORMATS
    assert tuple(REAL_SCALES) == SCALES
    assert RENAMED == RENAMED_SCALES
    assert {name for names in FILES.values() for name in names} <= {*FORMATS, "npz"}
    assert tuple(REAL_STYLES) == STYLES
    assert set(HARD) == set(get_args(Hard))
    assert set(DEVICES) == {"auto", "cpu", "cuda", "mps"}


def test_drawing_options_are_the_fields_of_draw_options_with_their_defaults() -> None:
    from attnviz.photo.image import MAX_PIXELS
    from attnviz.render import DrawOptions
    from attnviz.render.drawing import FORMATS as DEFAULT_FORMATS

    @click.command()
    @drawing_options
    def command(**values: Any) -> dict[str, Any]:
        return values

    values = command.main([], standalone_mode=False)
    assert values.pop("formats") == DEFAULT_FORMATS
    assert set(values) | {"threads"} == set(DrawOptions.__dataclass_fields__)
    given = {name: value for name, value in values.items() if value is not None}
    assert DrawOptions(**given) == DrawOptions()
    render = import_module("attnviz.cli.render").command
    assert {option.name: option.default for option in render.params}["max_pixels"] == MAX_PIXELS


@pytest.mark.parametrize("name", ["duration", "last", "fade"])
@pytest.mark.parametrize(("seconds", "fits"), [(0.01, False), (0.02, True), (600, True), (600.5, False)])
def test_the_library_takes_the_seconds_that_the_command_takes(name: str, seconds: float, fits: bool) -> None:
    from attnviz.errors import ConfigError
    from attnviz.render import DrawOptions

    @click.command()
    @drawing_options
    def command(**values: Any) -> float:
        return float(values[name])

    def taken() -> float:
        value = command.main([f"--{name}", str(seconds)], standalone_mode=False)
        return float(value)

    def drawn() -> float:
        options: dict[str, Any] = {"duration": 600, name: seconds}
        return float(getattr(DrawOptions(**options), name))

    for read, error in ((taken, click.BadParameter), (drawn, ConfigError)):
        if fits or (name == "fade" and seconds < 1):  # a fade may be as short as one likes
            assert read() == seconds
        else:
            with pytest.raises(error):
                read()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["rendr"], ["'rendr'", "did you mean render?"]),
        (["render"], ["IMAGE"]),
        (["render", "--mdoe", "dot", "a.jpg"], ["--mdoe", "--mode"]),
        (["render", "-m", "concta", "a.jpg"], ["'concta'", "did you mean concat?"]),
        (["render", "-m", "zzz", "a.jpg"], ["'zzz'", "there are concat, general, dot"]),
        (["render", "-f", "png,gfi", "a.jpg"], ["'gfi'", "did you mean gif?"]),
        (["render", "-f", "", "a.jpg"], ["''", "png"]),
        (["render", "-f", "html", "--modes", "dot,dot", "a.jpg"], ["--modes", "the mode dot is named twice"]),
        (["batch", "a", "-o", "b", "-f", "html", "--modes", "dot,dot"], ["--modes", "the mode dot is named twice"]),
        (["render", "--duration", "601", "a.jpg"], ["--duration", "600"]),
        (["render", "--steps", "3-1", "a.jpg"], ["3-1", "1-5,8"]),
        (["render", "--steps", "a", "a.jpg"], ["'a'", "1-5,8"]),
        (["render", "--steps", "0-99999999", "a.jpg"], ["0-99999999"]),
        (["render", "--size", "big", "a.jpg"], ["'big'", "original"]),
        (["render", "--size", "0", "a.jpg"], ["'0'", "original"]),
        (["render", "--beam", "0", "a.jpg"], ["--beam"]),
        (["render", "--text", "", "a.jpg"], ["--text", "empty"]),
        (["render", "--text", " \n", "a.jpg"], ["--text", "empty"]),
        (["render", "-", "-"], ["standard input"]),
        (["render", "a.jpg", "-o", "a.gif", "-f", "png"], ["suffix", "leave out -f"]),
        (["render", "a.jpg", "b.jpg", "-o", "a.gif"], ["2 photos", "folder"]),
        (["render", "a.jpg", "-o", "a.npz", "--modes", "concat,dot"], ["one mode", "folder"]),
        (["render", "a.jpg", "-o", "-", "-f", "png,gif"], ["one format"]),
        (["render", "a.jpg", "b.jpg", "-o", "-"], ["one photo"]),
        (["render", "a.jpg", "-o", "-", "--json"], ["--json"]),
        (["draw"], ["give a trace", "--weights"]),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(cli: Run, args: list[str], words: list[str]) -> None:
    status, out, err = cli(*args)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("attnviz: error: ")
    assert "--help')" in err
    for word in words:
        assert word in err


def test_modes_lists_all_with_formula_and_what_the_softmax_runs_over(cli: Run) -> None:
    status, out, err = cli("modes")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    for name, mode in MODES.items():
        line = next(line for line in lines if line.startswith(f"{name} "))
        assert mode.score in line
        assert f" {mode.over} " in line
    assert json.loads(cli("modes", "--json").out).keys() == MODES.keys()


def test_models_lists_what_is_bundled(cli: Run, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnviz.zoo import Bundled

    monkeypatch.setattr("attnviz.zoo.bundled", lambda: [Bundled("small", "concat", checkpoint)])
    status, out, _ = cli("models")
    assert status == 0
    assert out.splitlines()[1].split()[:2] == ["small", "concat"]
    (facts,) = json.loads(cli("models", "--json").out)
    assert facts["words"] > 6
    assert facts["config"]["mode"] == "concat"
    monkeypatch.setattr("attnviz.zoo.bundled", list)
    assert "no bundled models" in cli("models").out


def test_train_hands_the_file_to_fit_and_prints_the_checkpoint(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(config: Any, say: Callable[[str], None], after: object) -> Path:
        assert after is None
        say(f"learning for {config.train.epochs} epochs")
        return Path(config.out)

    monkeypatch.setattr("attnviz.train.fit", fit)
    (tmp_path / "run.toml").write_text('out = "m.safetensors"\n[data]\ntrain = "t"\ndev = "d"\n[train]\nepochs = 7\n')
    assert cli("train", "run.toml") == (0, "m.safetensors\n", "attnviz: learning for 7 epochs\n")
    assert cli("train", "-q", "run.toml").err == ""
    status, _, err = cli("train", "missing.toml")
    assert status == 1
    assert err.startswith("attnviz: error: missing.toml: ")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device", "x.png"), 1, "x.png: No space left on device"),
        (ValueError("first\nsecond"), 1, "ValueError: first; this is a bug"),
        (attnviz.AttnvizError("a.jpg:\n\x1b[31mno"), 1, "a.jpg:\\n\\x1b[31mno"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    cli: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("attnviz.cli.modes.print_table", fail)
    found = cli("modes")
    assert found.status == status
    assert found.err.splitlines()[-1].startswith(f"attnviz: error: {words}")
    assert "Traceback" not in found.err


def test_a_bug_shows_its_traceback_when_asked(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNVIZ_TRACEBACK", "1")
    monkeypatch.setattr("attnviz.cli.modes.print_table", lambda rows: rows.nothing)
    with pytest.raises(AttributeError):
        cli("modes")


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise on Windows")
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(attnviz.__file__).parents[1])}
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(
        [sys.executable, "-m", "attnviz", "modes"], stdout=write, stderr=subprocess.PIPE, env=env, check=False
    )
    os.close(write)
    assert (found.returncode, found.stderr) == (141, b"")
