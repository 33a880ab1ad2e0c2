"""Can this map be believed? Tests of a word's map that any network behind `attnviz.network.Network` can be put to.

run.py conducts them; several.py does at a lower price, for averages over many photos. removal.py takes cells out of the
photo, reading.py reads the words over what is left; curves.py is deletion and insertion, leaving.py leaves cells out
one by one, maps.py looks at the maps alone; verdict.py says in words what the numbers mean, table.py in rows, saving.py
keeps them beside the trace. Ranks and intervals are in attnviz/stats.py.
"""

from __future__ import annotations

from attnviz.evidence.run import Dissectable, Evidence, Settings, WordEvidence, check
from attnviz.evidence.saving import save
from attnviz.evidence.several import Protocol, Subject, examine
from attnviz.evidence.verdict import KINDS, Verdict

__all__ = [
    "KINDS",
    "Dissectable",
    "Evidence",
    "Protocol",
    "Settings",
    "Subject",
    "Verdict",
    "WordEvidence",
    "check",
    "examine",
    "save",
]
