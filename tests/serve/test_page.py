"""The page's text: the explorer that `render -f html` writes, and scripts that do not get into each other's way."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="attnviz[serve] is not installed")

import attnviz
from attnviz.render.writers.html import EXPLORER, FOLDER, digest
from attnviz.serve import page, samples
from attnviz.serve.page import SCRIPTS

ROOM = Path(attnviz.__file__).parent / "serve"


def test_the_explorer_is_the_one_of_the_page_of_render() -> None:
    text, _ = page.page()
    for name in (*EXPLORER, "page.css"):
        assert (FOLDER / name).read_text(encoding="utf-8") in text
    assert {path.name for path in (ROOM / "page").glob("*.js")} == set(SCRIPTS)


def test_no_name_is_given_twice_in_its_scripts() -> None:
    """They share one scope: a second function of a name takes the place of the first without a word."""
    files = [*(FOLDER / name for name in EXPLORER), *(ROOM / "page" / name for name in SCRIPTS)]
    declared = re.compile(
        r"^(?:async )?(?:function\*?|class|const|let) (?:(\w+)|\{([^}]*)\}|\[([^\]]*)\])", re.MULTILINE
    )
    names = [
        name
        for path in files
        for found in declared.findall(path.read_text(encoding="utf-8"))
        for name in re.findall(r"\w+", " ".join(found))
    ]
    assert len(names) > 40
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_element_has_the_name_of_another() -> None:
    text, _ = page.page()
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) > 40
    assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_its_policy_lets_its_own_style_and_script_run_and_nothing_else() -> None:
    text, policy = page.page()
    (style,), (script,) = (
        re.findall(r"<style>(.*?)</style>", text, re.S),
        re.findall(r"<script>(.*?)</script>", text, re.S),
    )
    assert f"style-src 'sha256-{digest(style)}'" in policy
    assert f"script-src 'sha256-{digest(script)}'" in policy
    assert not re.findall(r"""\s(?:style|on\w+)=["']""", text.replace(script, "").replace(style, ""))
    assert "https://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_samples_are_small_and_told_of() -> None:
    readme = (ROOM / "samples" / "README.md").read_text(encoding="utf-8")
    photos = {path.name for path in (ROOM / "samples").glob("*.jpg")}
    assert photos == {f"{name}.jpg" for name in samples.NAMES}
    for name in photos:
        (row,) = re.findall(rf"^\| \[{name}\]\({name}\) \|(.*)\|$", readme, re.MULTILINE)
        assert re.search(r"public domain|CC0", row)
        assert len(samples.read(name) or b"") < 60_000
    assert samples.read("README.md") is None
