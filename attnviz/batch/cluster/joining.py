"""How a cluster is found, and one line on why it is not."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError, ConfigError, one_line

STORE_SHARE, STORE_MOST = 0.3, 8 * 2**30
"""Of this machine's memory, and in bytes: what a cluster on it alone takes for photos under way."""

CONNECTING = 5.0  # seconds
_ADDRESS = re.compile(r"ray://(?P<host>\[[0-9A-Fa-f:]+\]|[^/:\s]+):(?P<port>[0-9]{1,5})/?")


class ClusterError(AttnvizError):
    """A cluster that cannot be reached, or that cannot do what is asked."""


def ray() -> Any:
    """The package, once it is silent. Raises ConfigError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's, of settings that it makes itself
        try:
            import ray as found
            import ray.data
        except ImportError as error:
            raise ConfigError(f"--engine ray needs Ray ({error}): pip install 'attnviz[ray]'") from error
        context = ray.data.DataContext.get_current()
    _hush(found)
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return found


def _hush(found: Any) -> None:
    """What a cluster says of its nodes would go to standard output, among the results; `log_to_driver` is no setting
    for that, and there is none. A Ray that has no function of this name is left as it is.
    """
    worker: Any = getattr(getattr(found, "_private", None), "worker", None)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def join() -> tuple[str | None, bool]:
    """Joins the cluster that this machine is part of, or makes one on it alone.

    Which one that is, is told by RAY_ADDRESS, or by `ray start` on this machine. One that was joined already is kept.

    Returns:
        The URL of its dashboard, if it has one; and whether it was joined just now.

    Raises:
        ConfigError: Ray is not installed.
        ClusterError: the cluster cannot be reached, or has other versions.
    """
    found = ray()
    if found.is_initialized():
        return None, False
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    address = os.environ.get("RAY_ADDRESS", "auto")
    if address == "auto" and not _started_here():
        address = "local"
    if address == "local":
        from attnviz.batch.engines import cpus

        store = int(min(STORE_SHARE * _memory(), STORE_MOST))
        quiet |= {"num_cpus": cpus(), "object_store_memory": store, "include_dashboard": False}
        quiet |= {"_node_ip_address": "127.0.0.1"}  # nobody else shall reach it
    elif address != "auto":  # which Ray finds again, and shows it the token of this user, as for no other address
        _reach(address, address)
    told = {"local": "this machine", "auto": "the cluster of this machine"}.get(address, address)
    context = connected(lambda: found.init(address, **quiet), told)
    url = getattr(context, "dashboard_url", None)
    return f"http://{url}" if url else None, True


def connect(address: str) -> Any:
    """Connects to a cluster elsewhere, by ray://HOST:PORT. Returns the package. Raises as `join` does."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ConfigError(f"{address}: is no address of a cluster; write ray://HOST:PORT, the port is often 10001")
    if any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or _token().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # clusters ask for one, where this user has made one
    found = ray()
    _reach(match["host"] + ":" + match["port"], address)
    connected(lambda: found.init(address, log_to_driver=False, logging_level="CRITICAL"), address)
    return found


def _reach(place: str, address: str) -> None:
    """Raises ClusterError where nothing answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(
            f"{address}: cannot be reached ({reason}); check host and port, and that the cluster runs"
        ) from error


def connected(call: Any, address: str) -> Any:
    """What `call` gives; whatever goes wrong is a ClusterError of one line."""
    try:
        with hushed():
            return call()
    except Exception as error:
        text = one_line(" ".join(str(error).split()))
        if any("AuthToken" in str(one) for one in causes(error)):
            raise ClusterError(
                f"{address}: the cluster asks for its token; set RAY_AUTH_MODE=token, and have the token in "
                "~/.ray/auth_token or in RAY_AUTH_TOKEN"
            ) from error
        if "ersion" in text and ("mismatch" in text.lower() or "Python" in text):
            raise ClusterError(f"{address}: Ray or Python is of another version there; {_versions(text)}") from error
        raise ClusterError(f"{address}: the cluster cannot be joined: {text[:300]}") from error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def hushed() -> Iterator[None]:
    """Ray's own library writes to the descriptor of standard error while it starts, whatever it was told."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _versions(text: str) -> str:
    """Both versions, out of Ray's message."""
    rays = re.findall(r"[Rr]ay(?: version)?:? (\d+\.\d+\S*?)[,.;]?(?=\s|$)", text)
    pythons = re.findall(r"Python(?: version)?:? (\d+\.\d+\S*?)[,.;]?(?=\s|$)", text)
    if len(rays) >= 2 and len(pythons) >= 2:
        return f"the cluster has Ray {rays[0]} and Python {pythons[0]}, this machine {rays[1]} and {pythons[1]}"
    return text[:300]


def _token() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _started_here() -> bool:
    """Whether `ray start` made this machine part of a cluster, and that answers.

    Ray's own way to find one waits for minutes for a cluster that was killed.
    """
    try:
        address = (Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster").read_text().strip()
        _reach(address, address)
    except (OSError, ClusterError):
        return False
    return True


def _memory() -> int:
    """Of this machine, in bytes, or of the container."""
    try:
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (ValueError, OSError, AttributeError):
        return 8 * 2**30
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return min(limits)
