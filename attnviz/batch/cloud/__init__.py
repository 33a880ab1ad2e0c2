"""Folders in object stores, named by URLs; what is needed of fsspec, and nothing else of attnviz knows it.

store: reads, writes and lists, again where the store was only busy, and says in one line what is wrong
lease: one run at a time on one output folder, without locks; parts: a manifest where nothing can be appended
place: where results go
"""

from __future__ import annotations
