"""The local page: how soon it is there, what a word costs, what many at once do, and how soon it ends.

    python tests/benchmarks/serving.py

With the bundled network, a server in a process of its own. Fresh captions and questions about a kept photo take turns,
and their medians are compared, so a busy machine slows both alike. The product's bounds: the first page within a
second, a question under 0.15 of a fresh caption, no answer but 200 and 503, memory that does not grow, an end within a
second.
"""

from __future__ import annotations

import io
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROUNDS, CLIENTS, ASKS = 15, 40, 5
SAMPLE = Path(__file__).parents[2] / "sample_images" / "dog.jpg"
WORDS = ("a dog", "the grass", "a man on a bench", "two cats", "the head of the dog")


def photo(seed: int) -> bytes:
    """The sample with a corner of another colour: another photo to the server, as much work as any."""
    with Image.open(SAMPLE) as image:
        pixels = np.array(image.convert("RGB"))
    pixels[:32, :32] = np.random.default_rng(seed).integers(0, 256, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()


def ask(url: str, data: bytes | None, path: str = "explore", **params: str) -> tuple[int, dict[str, Any], float]:
    """Status, answer and seconds."""
    query = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in params.items())
    request = urllib.request.Request(f"{url}api/{path}?{query}", data or b"", {"content-type": "image/jpeg"})
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            found = answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        found = error.code, json.load(error)
    return *found, time.perf_counter() - began


def resident(process: int) -> float:
    """MiB of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def questions(url: str) -> None:
    """Fresh captions and questions in turn."""
    fresh, kept = [], []
    for number in range(ROUNDS):
        status, found, seconds = ask(url, photo(number))
        assert status == 200, found
        fresh.append(seconds)
        status, found, seconds = ask(url, None, photo=found["photo"], text=WORDS[number % len(WORDS)], picture="false")
        assert status == 200, found
        kept.append(seconds)
    caption, question = statistics.median(fresh), statistics.median(kept)
    print(
        f"a fresh caption {1000 * caption:.0f} ms, a question {1000 * question:.0f} ms: {question / caption:.3f} of it"
    )


def many(url: str, process: int) -> None:
    """Many clients at once, several times over."""
    photos = [photo(100 + number) for number in range(10)]
    for turn in range(4):
        statuses: list[int] = []
        captions: dict[tuple[int, str], set[str]] = {}

        def client(who: int, statuses: list[int], captions: dict[tuple[int, str], set[str]]) -> None:
            for step in range(ASKS):
                number, text = (who + step) % len(photos), ("", *WORDS)[(who + step) % 6]
                for _ in range(200):
                    more = {"text": text} if text else {}
                    status, found, _ = ask(url, photos[number], "explain", **more)
                    statuses.append(status)
                    if status != 503:
                        break
                    time.sleep(0.5)
                captions.setdefault((number, text), set()).add(json.dumps(found.get("weights")))

        began = time.perf_counter()
        threads = [threading.Thread(target=client, args=(who, statuses, captions)) for who in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = {status: statuses.count(status) for status in sorted(set(statuses))}
        alike = all(len(weights) == 1 for weights in captions.values())
        print(
            f"round {turn}: {CLIENTS} clients, {counts} in {time.perf_counter() - began:.1f} s, "
            f"answers {'alike' if alike else 'DIFFER'}, {resident(process):.0f} MiB"
        )


def main() -> None:
    """Runs all of it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "attnviz", "serve", "--port", "0", "-q"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    print(f"first page after {time.perf_counter() - began:.2f} s")
    ask(url, photo(0))
    print(f"first caption after {time.perf_counter() - began:.2f} s")
    questions(url)
    many(url, process.pid)
    began = time.perf_counter()
    process.send_signal(signal.SIGINT)
    process.wait()
    print(f"ended after {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
