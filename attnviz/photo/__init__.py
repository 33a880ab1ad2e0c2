"""The photo: `image` reads files and bytes into upright RGB, `frame` says how one lies on a network's input and grid."""

from __future__ import annotations
