"""A run on a Ray cluster: Ray Data does what the pipeline does on one machine.

engine: paths are read and described by a pool of actors, with a network each, and drawn and written by tasks
stages: what these do; joining: how the cluster is found, and what is said where it is not
afar: the run itself as an actor of a cluster elsewhere, ray://HOST:PORT
"""

from __future__ import annotations
