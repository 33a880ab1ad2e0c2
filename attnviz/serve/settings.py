"""What a server allows, in one record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits of a server.

    Attributes:
        names: host names that may be asked for, beside those that the address stands for.
        everywhere: whether any of the machine's own addresses may be asked for, as where it listens on all of them.
        most_bytes: of a photo's file.
        most_pixels: of a photo.
        most_waiting: pieces of work that wait for the network.
        waiting_bytes: of the photos that are being sent or wait.
        kept_bytes, kept_seconds: of the photos, and how long one is kept: with the longest work, less than an hour.
        body_seconds: for a photo to arrive.
        answer_seconds: for an answer, waiting included.
        check_seconds: for the tests of a photo's maps.
    """

    names: tuple[str, ...] = ()
    everywhere: bool = False
    most_bytes: int = 32 * 2**20
    most_pixels: int = 100_000_000
    most_waiting: int = 16
    waiting_bytes: int = 256 * 2**20
    kept_bytes: int = 200_000_000
    kept_seconds: float = 45 * 60
    body_seconds: float = 60
    answer_seconds: float = 120
    check_seconds: float = 15 * 60
