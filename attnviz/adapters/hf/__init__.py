"""Models of Hugging Face's transformers: `--model hf:PATH_OR_ID`, and models that a program has loaded itself.

families.py has a row for each family that is known; loading.py opens models, inputs.py calls their processors,
frames.py measures where these put the photo, layouts.py and grids.py say where image tokens lie on it, replay.py has
the model write, recorder.py records its attention meanwhile, running.py puts this together for one photo, network.py
for all.

Nothing of transformers is imported before a model is opened.
"""

from __future__ import annotations

from attnviz.adapters.hf.loading import adapt, load_model

__all__ = ["adapt", "load_model"]
