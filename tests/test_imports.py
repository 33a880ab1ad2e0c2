"""Who may import whom, read out of the code, and what an import may not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import attnviz

ROOT = Path(attnviz.__file__).parent

# Small modules that import nothing of attnviz but each other, and that everything may import.
LEAVES = frozenset({"_version", "errors", "files", "limits", "stats"})
# Each module or package of attnviz, and what else of attnviz it may import; itself and the leaves always.
ALLOWED: dict[str, frozenset[str]] = {
    "photo": frozenset(),
    "trace": frozenset({"photo"}),
    "network": frozenset({"photo", "trace"}),
    "data": frozenset({"photo"}),
    "captioner": frozenset({"photo", "trace", "network", "data"}),  # of data, the words
    # Of photo and trace, what a network of another package has to take and give.
    "zoo": frozenset({"captioner", "adapters", "network", "photo", "trace"}),
    "explain": frozenset({"photo", "network", "trace"}),
    "adapters": frozenset({"photo", "trace", "network", "captioner"}),  # of captioner, the file format
    "render": frozenset({"photo", "trace"}),
    "evidence": frozenset({"photo", "trace", "network", "explain", "render"}),
    "batch": frozenset({"explain", "render", "photo", "trace", "network"}),
    # The page tests maps on demand: evidence needs no network's code, and no torch.
    "serve": frozenset({"evidence", "explain", "render", "photo", "trace", "network"}),
    "evaluate": frozenset({"data", "explain", "trace", "photo", "network", "evidence"}),
    "train": frozenset({"data", "photo", "captioner", "zoo"}),  # of zoo, bundled models to start from
}
ANYTHING = frozenset({"__init__", "cli"})  # `__init__` does so on first use only: see the tests at the end
FORBIDDEN = {"__main__": frozenset({"cli"})}  # nobody else imports the command line
WITHOUT_TORCH = (
    "photo",
    "trace",
    "network",
    "evidence",
    "data",
    "render",
    "serve",
    *sorted(LEAVES),
)


def files() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def unit(path: Path) -> str:
    """The module or package right below attnviz that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path, while_typing: bool = True) -> Iterator[tuple[str, int]]:
    """(full name, line) of whatever a file imports, at its top or in its functions.

    `from attnviz.a import b` gives attnviz.a.b: whether b is a module or a name in one, the beginning is the same.
    """
    package = ("attnviz", *path.relative_to(ROOT).parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    typing_only: set[ast.AST] = set()
    if not while_typing:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                typing_only.update(inner for statement in node.body for inner in ast.walk(statement))
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def own(name: str) -> str | None:
    """The unit of attnviz in a full name; None for other packages and for attnviz's own public names."""
    parts = name.split(".")
    if parts[0] != "attnviz" or len(parts) < 2:
        return None
    return parts[1] if (ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").is_file() else "__init__"


def breaches(path: Path) -> list[str]:
    here = unit(path)
    allowed = ALLOWED.get(here, frozenset()) | LEAVES | {here} | FORBIDDEN.get(here, frozenset())
    if here in LEAVES:
        allowed = LEAVES
    found = []
    for name, line in imported(path):
        there = own(name)
        if there is not None and there not in allowed and here not in ANYTHING:
            found.append(f"{path.relative_to(ROOT.parent)}:{line}: {here} may not import {there}")
    return found


def test_the_table_names_every_module() -> None:
    known = {*ALLOWED, *LEAVES, *ANYTHING, *FORBIDDEN}
    unknown = {unit(path) for path in files()} - known
    assert not unknown, f"say in ALLOWED what {', '.join(sorted(unknown))} may import"
    assert len(files()) > 10


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_import_what_the_table_allows(path: Path) -> None:
    assert not breaches(path)


def test_the_rule_is_read_out_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A breach is found wherever it hides: in a function, behind a relative name, in one name of many."""
    package = tmp_path / "attnviz"
    (package / "render").mkdir(parents=True)
    (package / "captioner").mkdir()
    (package / "cli").mkdir()
    for name in ("photo.py", "trace.py", "explain.py", "errors.py"):
        (package / name).touch()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", package)
    here = package / "render" / "draw.py"
    for code, expected in (
        ("from attnviz.trace import Trace\nimport attnviz.photo\nimport numpy\nfrom . import palette\n", []),
        ("def f():\n    import attnviz.captioner.search\n", ["captioner"]),
        ("from attnviz import errors, captioner\n", ["captioner"]),
        ("from ..captioner import x\n", ["captioner"]),
        ("from .. import explain\n", ["explain"]),
        ("if TYPE_CHECKING:\n    from attnviz.cli import main\n", ["cli"]),
        ("from attnviz import draw\n", ["__init__"]),
    ):
        here.write_text(code)
        assert [line.split()[-1] for line in breaches(here)] == expected, code
    (package / "errors.py").write_text("import attnviz.trace\n")
    assert breaches(package / "errors.py")
    (package / "explain.py").write_text("import attnviz.cli\n")
    assert breaches(package / "explain.py")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320


@pytest.mark.parametrize("room", ["cli", "batch", "serve"])
def test_the_map_of_a_room_names_its_modules(room: str) -> None:
    told = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
    if room == "cli":  # the commands are listed as such
        modules -= set(import_module("attnviz.cli").COMMANDS)
    assert not {name for name in modules if not re.search(rf"\b{name}\b", told)}


def test_no_import_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path in files():
        if unit(path) != "__init__":
            targets = {own(name) for name, _ in imported(path, while_typing=False)} - {None, unit(path), "__init__"}
            graph.setdefault(unit(path), set()).update(target for target in targets if target)
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' -> '.join((*above[above.index(name) :], name))}"
        if name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*above, name))
            done.add(name)

    for start in sorted(graph):
        visit(start, ())


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_modules_that_never_import_torch(name: str) -> None:
    for path in files():
        if unit(path) == name:
            roots = {module.split(".")[0] for module, _ in imported(path)}
            assert not roots & {"torch", "torchvision"}, path


def loaded_by(code: str) -> set[str]:
    """The top-level packages in memory after `code`, in a fresh interpreter."""
    lines = f"import sys\n{code}\nprint('loaded', *sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("attnviz", {"numpy", "PIL", "torch", "matplotlib", "click", "rich"}),
        ("attnviz.errors", {"numpy", "PIL", "torch", "matplotlib"}),
        ("attnviz.photo.image", {"PIL", "torch", "matplotlib"}),
        ("attnviz.photo.frame", {"PIL", "torch", "matplotlib"}),
        ("attnviz.trace", {"PIL", "torch", "matplotlib"}),
        ("attnviz.render", {"torch", "torchvision", "matplotlib"}),
        ("attnviz.adapters.show_attend_tell", {"PIL", "torch", "torchvision", "matplotlib", "safetensors"}),
        ("attnviz.serve.app", {"torch", "torchvision", "matplotlib", "rich"}),
        ("attnviz.batch.worker", {"torch", "torchvision", "matplotlib", "rich"}),
        ("attnviz.cli", {"numpy", "PIL", "torch", "matplotlib"}),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(module: str, absent: set[str]) -> None:
    loaded = loaded_by(f"import {module}")
    assert "attnviz" in loaded
    assert not loaded & absent


def test_public_names_are_resolved_on_first_use() -> None:
    code = "import attnviz\nattnviz.Trace, attnviz.Step, attnviz.Frame, attnviz.draw, attnviz.AttnvizError"
    assert not loaded_by(code) & {"torch", "torchvision", "matplotlib"}
    assert set(attnviz.__all__) <= set(dir(attnviz))
    assert attnviz.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        attnviz.nothing  # noqa: B018


def test_explain_is_the_function_whatever_is_imported_first() -> None:
    for first in ("import attnviz", "import attnviz.explain", "from attnviz.explain import explain"):
        loaded_by(f"{first}\nimport attnviz\nassert callable(attnviz.explain) and callable(attnviz.load_model)")


def test_all_is_sorted_and_every_name_is_there() -> None:
    # As ruff sorts (RUF022): constants, classes, the rest.
    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    modules = [attnviz, *(import_module(f"attnviz.{name}") for name in attnviz._MODULES)]
    for module in modules:
        names = list(getattr(module, "__all__", ()))
        assert names == sorted(names, key=rank), module
        for name in names:
            assert getattr(module, name) is not None


def test_public_modules_are_reachable_after_the_plain_import() -> None:
    loaded_by("import attnviz\nattnviz.batch.run, attnviz.trace.Trace, attnviz.errors.ImageError, attnviz.photo.image")
    loaded_by(f"import attnviz\nfor name in {attnviz._MODULES!r}: getattr(attnviz, name)")
    assert {name for name in attnviz._MODULES if name in ALLOWED or name in LEAVES} == set(attnviz._MODULES)


def test_public_names_can_be_imported_from_where_they_were_before_0_2() -> None:
    code = "from attnviz.geometry import Frame\nfrom attnviz.image import load\nimport attnviz.geometry"
    assert not loaded_by(f"{code}\nimport attnviz\nassert Frame is attnviz.Frame") & {"torch", "PIL"}
    loaded_by("from attnviz.model import load_model\nimport attnviz\nassert load_model is attnviz.load_model")
