"""Limits and defaults that the library and the command line hold to alike; here, where reading them imports nothing."""

from __future__ import annotations

LEAST_SECONDS, MOST_SECONDS = 0.02, 600
"""How long an animation may show a frame: browsers slow down what is shorter, and a GIF holds up to 655.35 s."""

BEAM = 5
"""Sentences searched side by side: on Flickr8k's dev split, BLEU-4 was 0.3 higher than with 3, and with 8 no better."""

MOST_STEPS = 10_000
"""Of a trace: more words, or pieces, than any model writes about a photo."""

MOST_CELLS = 2048
"""Of a trace's grid on a side: a cell for every pixel of the largest inputs that models take."""

MOST_VALUES = 2**26
"""Of each of a trace's arrays: 1,000 steps of 256x256 cells. As float32 that is 256 MiB."""

MOST_CHARACTERS = 2**22
"""Of a trace's words together, each as long as the longest, which is how numpy keeps them."""

MOST_BEAMS = 100
"""The quality of captions falls from about ten on, and memory grows with each."""

EVIDENCE_PHOTOS = 200
"""Over which evidence is averaged where nothing is said: enough for intervals of some hundredths."""
