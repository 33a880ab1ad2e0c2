"""`attnviz serve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attnviz.cli.choices import DEVICES, MODES
from attnviz.cli.config import model_names, modes_of
from attnviz.cli.lookups import Model
from attnviz.cli.options import server_options
from attnviz.cli.output import complain, note
from attnviz.cli.types import HostName, Name
from attnviz.errors import ConfigError

if TYPE_CHECKING:
    from attnviz.network import Network
    from attnviz.serve import Address, Offer

EVERYWHERE = "0.0.0.0"


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    type=Model(),
    metavar="NAME|PATH",
    help="Network to begin with; several times for more to choose from than the bundled ones.  [default: flickr8k]",
)
@click.option("-m", "--mode", type=Name("mode", MODES), metavar="MODE", help="Its score function.  [default: concat]")
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), default=8642, show_default=True, help="0: any free."
)
@click.option(
    "--host",
    metavar="ADDRESS",
    type=HostName(),
    default="127.0.0.1",
    show_default=True,
    help="Where to listen: this machine alone, or with 0.0.0.0 everybody who reaches it. There is no password.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    type=HostName(),
    help="A further name under which browsers may ask for it, as behind a proxy.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--device", type=Name("device", DEVICES), default="auto", show_default=True, help="Where the network runs."
)
@server_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    models: tuple[str, ...],
    mode: str | None,
    port: int,
    host: str,
    names: tuple[str, ...],
    open_page: bool,
    device: str,
    threads: int | None,
    max_pixels: int,
    quiet: bool,
) -> int:
    """Open a local page: drop a photo, see where the network looks.

    The page shows the explorer of 'render -f html' for any photo that is dropped, pasted, chosen or taken; it shows
    where the network looks at words that you type, compares modes, models and layers, tests the maps and saves
    pictures, pages and traces. Programs ask at /api/explain. Photos are kept in memory, for less than an hour.
    Ctrl-C ends it.
    """
    try:
        from attnviz.serve import Address, Networks, Server, Settings
        from attnviz.serve.guard import own_names
    except ImportError as error:
        raise ConfigError(f"serve needs {error.name}: pip install 'attnviz[serve]'") from None
    known, everywhere = own_names(host)
    settings = Settings(names=(*known, *names), everywhere=everywhere, most_pixels=max_pixels)
    networks = Networks(_offers(ctx, models, mode), _loader(device, threads))
    server = Server(networks, settings, Address(host, port), _unforeseen)
    return server.run(lambda: _told(server.address, open_page, quiet))


def _offers(ctx: click.Context, models: Sequence[str], mode: str | None) -> list[Offer]:
    """The models that were named, and the bundled ones. Raises click.UsageError for a mode that the first has not."""
    from attnviz.cli.sources import check_modes
    from attnviz.serve import Offer
    from attnviz.zoo import DEFAULT_MODE, DEFAULT_MODEL

    named = models or (DEFAULT_MODEL,)
    check_modes(named[0], (mode,) if mode else ())
    offers: dict[str, Offer] = {}
    for model in (*named, *model_names()):
        modes = modes_of(model)
        first = mode if model == named[0] and mode else DEFAULT_MODE
        ordered = tuple(sorted(modes, key=lambda one: one != first)) if modes else ()
        name = model if modes else _shown(model)
        if model not in [offer.model for offer in offers.values()]:
            name = name if name not in offers else f"{name} {len(offers) + 1}"
            offers[name] = Offer(name, model, ordered)
    return list(offers.values())


def _shown(model: str) -> str:
    """What a model is called on the page: of a path no more than is needed."""
    prefix, colon, rest = model.rpartition(":")
    return prefix + colon + Path(rest).name if Path(rest).exists() else model


def _loader(device: str, threads: int | None) -> Callable[[str, str | None], Network]:
    """What opens networks, in the thread that will use them."""

    def load(model: str, mode: str | None) -> Network:
        from attnviz.cli.network import set_threads
        from attnviz.zoo import load_model

        found = load_model(model, mode, device)
        set_threads(threads)
        return found

    return load


def _told(address: Address, open_page: bool, quiet: bool) -> None:
    """Says where the page is; `address` listens already."""
    local = address.url("127.0.0.1" if address.host == EVERYWHERE else None)
    click.echo(local)
    sys.stdout.flush()
    if not address.is_local:
        note(
            f"listening on {address.host}: everybody who reaches this machine can use its page and its processor, "
            f"without a password{_outside(address)}"
        )
    if not quiet:
        note("Ctrl-C ends it")
    if open_page:
        import threading
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(local,), daemon=True).start()


def _outside(address: Address) -> str:
    """Where others find it, as far as this machine knows its own address."""
    import socket

    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only the way there is looked up
        if address.host == EVERYWHERE:
            return f", at {address.url(probe.getsockname()[0])}"
    return ""


def _unforeseen(error: BaseException) -> None:
    from attnviz.cli.output import explain_error

    complain(explain_error(error)[0])
