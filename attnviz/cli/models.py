"""`attnviz models`."""

from __future__ import annotations

import click
