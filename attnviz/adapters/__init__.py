"""Other people's models: what brings their attention to a trace.

watch.py records the attention of any plain PyTorch loop: functions.py sees what functions are called, calls.py makes a
sentence's rows of their weights.
"""

from __future__ import annotations
