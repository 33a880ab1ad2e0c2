"""Other people's models: what brings their attention to a trace.

hf/ has the models of Hugging Face's transformers.

watch.py records the attention of any plain PyTorch loop: functions.py sees what functions are called, calls.py makes a
sentence's rows of their weights.

show_attend_tell.py turns a tutorial's checkpoints into ours: torchfile.py opens them, pickles.py and tensors.py read
what is in them and run nothing, modules.py, resnet.py and wordmap.py say what it must look like.
"""

from __future__ import annotations
