"""The page: the explorer of one photo, as `render -f html` writes it, and around it what brings photos and words."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from attnviz._version import __version__
from attnviz.render.writers.html import EXPLORER, digest, filled, scripts, source
from attnviz.serve.samples import NAMES

SCRIPTS = ("asking.js", "intake.js", "controls.js", "results.js", "serve.js")
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # a pixel of nothing

POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'sha256-{style}'; "
    "script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser lets the page do: its own style and script, known by their hashes, and questions to its server."""


@lru_cache(maxsize=1)
def page() -> tuple[str, str]:
    """The page as text, and its policy."""
    style = source("page.css") + _own("serve.css")
    script = scripts(*EXPLORER, more="\n".join(_own(name) for name in SCRIPTS))
    parts = {
        "version": __version__,
        "style": style,
        "script": script,
        "samples": "".join(_sample(name) for name in NAMES),
        "explorer": filled(source("explorer.html"), {"photo": BLANK}),
    }
    return filled(_own("serve.html"), parts), POLICY.format(style=digest(style), script=digest(script))


def _sample(name: str) -> str:
    shown = f'<img src="/samples/{name}.jpg" alt="" height="64" loading="lazy">'
    return f'<button type="button" data-sample="{name}.jpg" aria-label="Sample photo: {name}">{shown}</button>'


def _own(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
