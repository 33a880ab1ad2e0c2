"""The photo: image.py reads files and bytes into upright RGB, frame.py says how it lies on a network's grid."""

from __future__ import annotations
