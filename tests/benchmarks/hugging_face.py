"""What recording costs: time and peak memory of a run beside a plain `generate` of the same model.

    PYTHONPATH=tests python tests/benchmarks/hugging_face.py

8 layers, 16 heads, about 2,300 positions of which 2,304 are image tokens, 60 words; each run in a process of its own,
in turn, the best of ROUNDS (other work on the machine only slows a run down). Memory is the peak of the run above what
model and inputs take, so the model's own size hides nothing. The product's bounds are 1.35 times the memory and 1.3
times the time.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROUNDS = 3
WORDS = 60
SIDE, PATCH = 768, 16
HIDDEN, LAYERS, HEADS = 512, 8, 16


def build() -> tuple[Any, Any]:
    """A LLaVA with the vision tower kept small: what is measured is the language model."""
    import torch
    import transformers as hf
    from tinyhf.tokens import word_tokenizer

    torch.manual_seed(0)
    tokenizer = word_tokenizer(begin=True, image_token="<image>", words=900)
    text = hf.LlamaConfig(
        vocab_size=1000,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    vision = hf.CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
    )
    config = hf.LlavaConfig(
        text_config=text, vision_config=vision, image_token_index=tokenizer.image_token_id, vision_feature_layer=-1
    )
    images = hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = hf.LlavaProcessor(
        images, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    model = hf.LlavaForConditionalGeneration(config).eval()
    model.generation_config.max_new_tokens = model.generation_config.min_new_tokens = WORDS
    return model, processor


def run(kind: str) -> dict[str, float]:
    """One run in this process: seconds, and MiB of peak memory above what the model and its inputs take."""
    import numpy as np
    import torch

    import attnviz
    from attnviz.adapters.hf.quiet import quiet
    from attnviz.network import Asked
    from attnviz.photo.image import load

    torch.set_num_threads(1)
    model, processor = build()
    network = attnviz.adapt(model, processor)
    prepared = network.prepare(load(np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)))
    inputs = prepared.inputs.inputs
    tokens = 0
    with torch.no_grad(), quiet():
        model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False)  # what is made once
        before = reset_peak()
        start = time.perf_counter()
        if kind == "record":
            tokens = len(network.describe([prepared], Asked(beam=1))[0])
        elif kind.startswith("gradient"):
            layers = "last" if kind == "gradient last" else "all"
            tokens = len(network.describe([prepared], Asked(beam=1, layers=layers, map="gradient"))[0])
        elif kind == "plain":
            tokens = model.generate(**inputs, do_sample=False).shape[1] - inputs["input_ids"].shape[1]
        else:
            model.set_attn_implementation("eager")
            found = model.generate(**inputs, do_sample=False, output_attentions=True, return_dict_in_generate=True)
            tokens = len(found.attentions)
        seconds = time.perf_counter() - start
    peak = status("VmHWM")
    return {"seconds": seconds, "words": tokens, "start_mib": before, "peak_mib": peak, "more_mib": peak - before}


def status(name: str) -> float:
    """A number of this process's memory, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def reset_peak() -> float:
    """Forgets the peak so far, such as the model's building; the memory in use, in MiB."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def main() -> None:
    """Runs all kinds in turn and prints the best of each, beside the plain one."""
    kinds = ("plain", "record", "gradient", "gradient last", "eager")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for kind in kinds:
            done = subprocess.run([sys.executable, __file__, kind], capture_output=True, text=True, check=True)
            found[kind].append(json.loads(done.stdout))
    best = {kind: {name: min(one[name] for one in runs) for name in runs[0]} for kind, runs in found.items()}
    assert len({one["words"] for runs in found.values() for one in runs}) == 1, "kinds must do the same work"
    for kind in kinds:
        time_ratio, memory_ratio = (best[kind][name] / best["plain"][name] for name in ("seconds", "more_mib"))
        numbers = ", ".join(f"{name} {value:.1f}" for name, value in best[kind].items())
        print(f"{kind:7} {numbers}: time x{time_ratio:.2f}, memory above the start x{memory_ratio:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(run(sys.argv[1])))
    else:
        main()
