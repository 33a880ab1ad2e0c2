"""A server of tiny seeded networks, asked without a socket."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

MODES = ("concat", "general", "dot")


@dataclass
class Service:
    """A server: its parts, a client, the errors it told of that nobody foresaw, and the photos that backbones saw."""

    app: Any
    client: Any
    told: list[BaseException]
    loaded: list[tuple[str, str | None]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)

    def post(self, path: str = "explain", data: bytes | None = None, headers: Any = None, **params: Any) -> Any:
        """An answer to a photo as the body."""
        return self.client.post(f"/api/{path}", content=data, params=params, headers=headers)

    def close(self) -> None:
        """Waits for the worker: tiny networks are drawn from torch's one generator."""
        self.app.line.close()
        self.app.line.join()


def serve(settings: Any = None, load: Any = None) -> Service:
    """A server of two tiny networks, or of those that `load` opens; skips where attnviz[serve] is not installed."""
    starlette = pytest.importorskip("starlette.testclient", reason="attnviz[serve] is not installed")
    from attnviz.captioner import Captioner
    from attnviz.serve import App, Networks, Offer, Settings, make_app

    loaded: list[tuple[str, str | None]] = []
    seen: list[int] = []

    def tiny(model: str, mode: str | None) -> Any:
        loaded.append((model, mode))
        return watched(Captioner.tiny(mode or "concat", seed=1 if model == "second" else 0), seen)

    told: list[BaseException] = []
    networks = Networks([Offer("tiny", "first", MODES), Offer("other", "second")], load or tiny)
    app = App(networks, settings or Settings(), told.append)
    app.line.start()
    client = starlette.TestClient(make_app(app), base_url="http://localhost")
    return Service(app, client, told, loaded, seen)


def jpeg(seed: int, size: tuple[int, int] = (48, 64)) -> bytes:
    """Another photo for each seed."""
    low = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(low).resize(size[::-1]).save(out, "JPEG", quality=90)
    return out.getvalue()


def watched(network: Any, seen: list[int]) -> Any:
    """The network; a 1 is added to `seen` for each photo that its backbone looks at."""
    network.backbone.register_forward_hook(lambda *_: seen.append(1))
    return network


class Listening:
    """A server in a thread, of tiny networks; counts the photos that their backbones look at."""

    def __init__(self, port: int = 0, load: Any = None, **settings: Any) -> None:
        pytest.importorskip("uvicorn", reason="attnviz[serve] is not installed")
        from attnviz.serve import Address, Networks, Offer, Server, Settings

        self.seen: list[int] = []
        self.told: list[BaseException] = []
        networks = Networks([Offer("tiny", "first", MODES), Offer("other", "second")], self._load)
        networks = Networks([Offer("tiny", "first")], load) if load else networks
        self.server = Server(networks, Settings(**settings), Address("127.0.0.1", port), self.told.append)
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        self.url = self.server.address.url()

    def _load(self, model: str, mode: str | None) -> Any:
        from attnviz.captioner import Captioner

        return watched(Captioner.tiny(mode or "concat", seed=1 if model == "second" else 0), self.seen)

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.told == []


class Echo:
    """A tiny network that is asked a question, and answers with its words."""

    device, concurrent, mode, name, prompt = "cpu", True, None, "echo", "a dog"

    def __init__(self) -> None:
        from attnviz.captioner import Captioner

        self._own = Captioner.tiny()

    def fingerprint(self) -> str:
        return "echo"

    def check(self, asked: Any) -> None:
        """Takes everything."""

    def prepare(self, photo: Any, asked: Any = None) -> Any:
        return self._own.prepare(photo)

    def describe(self, prepared: Any, asked: Any) -> Any:
        text = asked.text or asked.prompt or self.prompt
        traces = self._own.describe(prepared, replace(asked, text=text, prompt=None))
        return [replace(trace, mode=None, prompt=asked.prompt or self.prompt) for trace in traces]


@pytest.fixture
def service() -> Iterator[Service]:
    found = serve()
    yield found
    found.close()
    assert found.told == []


@pytest.fixture
def upload(photo: Path) -> bytes:
    """A photo's file, 60x40 pixels."""
    return photo.read_bytes()
