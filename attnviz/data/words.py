"""What counts as a word, for data, training and evaluation alike."""

from __future__ import annotations


def normalise(token: str) -> str:
    """The form in which a token is counted and looked up: lower case; empty if it holds no letter or digit."""
    return token.lower() if any(c.isalnum() for c in token) else ""
