"""Makes every picture of the README and the guides again: `make pictures`, in a few minutes.

Each picture has the command that makes it, as a reader would give it; what is a page is taken with Chromium.
`python tests/documents/pictures.py NAME...` makes some of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]
README, GUIDE = ROOT / ".github" / "images", ROOT / "attnviz" / "guide"
SAMPLES = ROOT / "sample_images"
Make = Callable[[Path, Path], None]
"""Makes a picture (second) with the help of an empty folder (first)."""


def attnviz(*args: object) -> None:
    """Runs a command of attnviz in this process."""
    from attnviz.cli import run

    if status := run([*map(str, args), "-q"]):
        sys.exit(f"attnviz {' '.join(map(str, args))} ended with {status}")


def shrink(source: Path, target: Path, width: int) -> None:
    """Writes a picture at a width of at most `width` pixels, as a JPEG."""
    with Image.open(source) as image:
        photo = image.convert("RGB")
    photo.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
    photo.save(target, quality=85, optimize=True)


def shoot(
    page: Path | str, target: Path, height: int, shot: Path | None = None, act: Callable[[Any], None] | None = None
) -> None:
    """A screenshot of a page in a window 1100 pixels wide, brought to 900, once `act` has acted on it.

    Args:
        page: its file, or its address; then `shot` is a file to work with.
    """
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        window = chromium.new_page(viewport={"width": 1100, "height": height}, color_scheme="dark")
        window.goto(page if isinstance(page, str) else page.as_uri())
        if act is not None:
            act(window)
        window.wait_for_timeout(1500)  # until its pictures are painted
        shot = shot or Path(page).with_suffix(".png")
        window.screenshot(path=shot)
        chromium.close()
    shrink(shot, target, 900)


def overview(work: Path, target: Path) -> None:
    attnviz("render", SAMPLES / "polar-bear.jpg", "-o", work / "overview.png")
    shrink(work / "overview.png", target, 1200)


def animation(work: Path, target: Path) -> None:
    attnviz("render", SAMPLES / "dog.jpg", "-o", target, "--size", 520)


def figure(work: Path, target: Path) -> None:
    modes = ("--modes", "concat,general", "--difference", "--words", "content", "--width", "4.6in")
    attnviz("figure", SAMPLES / "polar-bear.jpg", "-o", work / "figure.png", "--dpi", 180, *modes)
    shrink(work / "figure.png", target, 830)


def gallery(work: Path, target: Path) -> None:
    attnviz("batch", SAMPLES, "-o", work / "results", "--report", "-f", "html")
    shoot(work / "results" / "index.html", target, 760)


def page(work: Path, target: Path) -> None:
    attnviz("render", SAMPLES / "dog.jpg", "-o", work / "dog.html")
    shoot(work / "dog.html", target, 820)


def server(work: Path, target: Path) -> None:
    """The local page, asked for words."""
    running = subprocess.Popen(
        [sys.executable, "-m", "attnviz", "serve", "--port", "0", "-q"], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None

    def asked(window: Any) -> None:
        window.set_default_timeout(120_000)
        window.click("[data-sample='horses.jpg']")
        window.wait_for_selector("html[data-answer='1']")
        window.fill("#words", "horses on the grass")
        window.press("#words", "Enter")
        window.wait_for_selector("html[data-answer='2']")
        window.click("#sentence button")

    try:
        shoot(running.stdout.readline().strip(), target, 860, work / "server.png", asked)
    finally:
        running.terminate()
        running.wait()


def contour(work: Path, target: Path) -> None:
    asked = ("-f", "png", "--steps", 2, "--style", "contour", "--labels")
    attnviz("render", SAMPLES / "two-dogs.jpg", "-o", work, *asked)
    (still,) = work.glob("step-*.png")
    shrink(still, target, 320)


def check(work: Path, target: Path) -> None:
    attnviz("check", SAMPLES / "dog.jpg", "-o", work, "-f", "html", "--text", "a dog on the grass")
    (report,) = work.glob("*.html")
    shoot(report, target, 600)


def layers(work: Path, target: Path) -> None:
    """Of a tiny LLaVA-NeXT with random weights."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tinyhf.models import save

    save("llava_next", work / "model")
    asked = ("--model", f"hf:{work / 'model'}", "--layers", "0,1,all", "--dpi", 110)
    attnviz("figure", SAMPLES / "dog.jpg", "-o", target, "--text", "a dog runs over the grass", *asked)


PICTURES: dict[Path, Make] = {
    README / "overview.jpg": overview,
    README / "dog.gif": animation,
    README / "figure.jpg": figure,
    README / "gallery.jpg": gallery,
    GUIDE / "page.jpg": page,
    GUIDE / "server.jpg": server,
    README / "contour.jpg": contour,
    README / "check.jpg": check,
    GUIDE / "layers.png": layers,
}


def main(names: list[str]) -> None:
    for target, make in PICTURES.items():
        if not names or target.name in names:
            with tempfile.TemporaryDirectory() as work:
                make(Path(work), target)
            print(f"{target.relative_to(ROOT)}: {target.stat().st_size // 1000} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
