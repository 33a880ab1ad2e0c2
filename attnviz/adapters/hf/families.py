"""The families of models that are known, each a row of data: where its attention is, and how its image tokens lie.

What is the same for all is code elsewhere: recorder.py, replay.py, layouts.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, Literal

ONE_SENTENCE = "Describe this image in one sentence."


@dataclass(frozen=True)
class Family:
    """What is known of a family.

    Attributes:
        name: as people know it.
        kinds: the `model_type`s of its configurations.
        classes: the classes in transformers that write.
        crossed: whether words look at the photo through cross-attention to an encoder; else image tokens stand in the
            sequence that a word looks back at.
        layout: how the image tokens lie on the photo; see layouts.py.
        cell: pixels of the model's input that a token stands for, along each side, from the configuration.
        prompts: what a prompt is: "chat" (a turn of the processor's chat template), "text" (given to the processor),
            "begin" (the first words of the answer).
        prompt: where none is given.
        image: what stands for the photo in a prompt, where there is no chat template.
        leads: how many tokens may stand in front of the cells, such as a class token.
        writer: the module inside the model that gives the logits; "" for the model itself.
        source: how image tokens are found: by their id, at the "front", or all "keys" of an encoder.
        latent: the module whose attention leads from latent tokens to the photo's cells; "" where there are none.
    """

    name: str
    kinds: tuple[str, ...]
    classes: tuple[str, ...]
    crossed: bool
    layout: Literal["plain", "tiles", "packed", "merged", "listed", "squares"]
    cell: Callable[[Any], int | tuple[int, int]] = lambda config: _side(config.vision_config.patch_size)
    prompts: Literal["chat", "text", "begin"] = "chat"
    prompt: str | None = None
    image: str = "<image>"
    leads: tuple[int, ...] = (0,)
    writer: str = ""
    source: Literal["id", "front", "keys"] = "id"
    latent: str = ""


def _side(patch: Any) -> int:
    return int(patch[0] if isinstance(patch, list | tuple) else patch)


def _encoder_cell(config: Any) -> int:
    """Of an encoder that halves its grid between stages (Swin), or does not (ViT)."""
    stages = len(getattr(config.encoder, "depths", (1,)))
    return _side(config.encoder.patch_size) * int(2 ** (stages - 1))


def _pooled_cell(config: Any) -> int:
    return int(config.vision_config.image_size) // isqrt(int(config.mm_tokens_per_image))


def _shuffled_cell(config: Any) -> int:
    return round(_side(config.vision_config.patch_size) / float(config.downsample_ratio))


FAMILIES = (
    Family(
        "VisionEncoderDecoder",
        ("vision-encoder-decoder",),
        ("VisionEncoderDecoderModel",),
        crossed=True,
        layout="plain",
        cell=_encoder_cell,
        prompts="begin",
        leads=(0, 1, 2),  # Swin, ViT, DeiT
        source="keys",
    ),
    Family(
        "Pix2Struct",
        ("pix2struct",),
        ("Pix2StructForConditionalGeneration",),
        crossed=True,
        layout="listed",
        prompts="begin",
        source="keys",
    ),
    Family(
        "BLIP",
        ("blip",),
        ("BlipForConditionalGeneration",),
        crossed=True,
        layout="plain",
        prompts="text",
        leads=(1,),
        writer="text_decoder",
        source="keys",
    ),
    Family(
        "BLIP-2",
        ("blip-2",),
        ("Blip2ForConditionalGeneration",),
        crossed=False,
        layout="plain",
        prompts="text",
        leads=(1,),
        writer="language_model",
        latent="qformer",
    ),
    Family(
        "GIT",
        ("git",),
        ("GitForCausalLM",),
        crossed=False,
        layout="plain",
        prompts="text",
        leads=(1,),
        source="front",
    ),
    Family(
        "Florence-2",
        ("florence2",),
        ("Florence2ForConditionalGeneration",),
        crossed=True,
        layout="plain",
        cell=lambda config: prod(config.vision_config.patch_stride),
        prompts="text",
        prompt="<CAPTION>",
        leads=(1,),  # the mean of all cells
    ),
    Family(
        "LLaVA",
        ("llava",),
        ("LlavaForConditionalGeneration",),
        crossed=False,
        layout="plain",
        prompt=ONE_SENTENCE,
        leads=(0, 1),  # the class token, by vision_feature_select_strategy
    ),
    Family(
        "LLaVA-NeXT",
        ("llava_next",),
        ("LlavaNextForConditionalGeneration",),
        crossed=False,
        layout="packed",
        prompt=ONE_SENTENCE,
    ),
    Family(
        "LLaVA-OneVision",
        ("llava_onevision",),
        ("LlavaOnevisionForConditionalGeneration",),
        crossed=False,
        layout="packed",
        prompt=ONE_SENTENCE,
    ),
    Family(
        "PaliGemma",
        ("paligemma",),
        ("PaliGemmaForConditionalGeneration",),
        crossed=False,
        layout="plain",
        prompts="text",
        prompt="caption en",
    ),
    Family(
        "Gemma 3",
        ("gemma3",),
        ("Gemma3ForConditionalGeneration",),
        crossed=False,
        layout="plain",
        cell=_pooled_cell,
        prompt=ONE_SENTENCE,
        image="<start_of_image>",
    ),
    *(
        Family(
            name,
            (kind,),
            (written,),
            crossed=False,
            layout="merged",
            prompt=ONE_SENTENCE,
            image="<|vision_start|><|image_pad|><|vision_end|>",
        )
        for name, kind, written in (
            ("Qwen2-VL", "qwen2_vl", "Qwen2VLForConditionalGeneration"),
            ("Qwen2.5-VL", "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
            ("Qwen3-VL", "qwen3_vl", "Qwen3VLForConditionalGeneration"),
            ("Qwen3.5", "qwen3_5", "Qwen3_5ForConditionalGeneration"),
        )
    ),
    *(
        Family(
            name,
            (kind,),
            (written,),
            crossed=False,
            layout="tiles",
            cell=lambda config: int(config.vision_config.patch_size) * int(config.scale_factor),
            prompt=ONE_SENTENCE,
        )
        for name, kind, written in (
            ("Idefics3", "idefics3", "Idefics3ForConditionalGeneration"),
            ("SmolVLM", "smolvlm", "SmolVLMForConditionalGeneration"),
        )
    ),
    Family(
        "InternVL",
        ("internvl",),
        ("InternVLForConditionalGeneration",),
        crossed=False,
        layout="tiles",
        cell=_shuffled_cell,
        prompt=ONE_SENTENCE,
        image="<IMG_CONTEXT>",
    ),
    Family(
        "Llama 3.2 Vision",
        ("mllama",),
        ("MllamaForConditionalGeneration",),
        crossed=True,
        layout="squares",
        prompt=ONE_SENTENCE,
        image="<|image|>",
        source="keys",
    ),
)

BY_KIND = {kind: family for family in FAMILIES for kind in family.kinds}

REFUSED = {
    "idefics2": "its words look at latent tokens that lie nowhere on the photo",
    "kosmos-2": "its words look at latent tokens that lie nowhere on the photo",
    "kosmos-2.5": "its words look at latent tokens that lie nowhere on the photo",
    "instructblip": "its latent tokens depend on the question too, which is not done yet; BLIP-2 is",
    "video_llava": "it looks at videos, and attnviz at single photos",
    "llava_next_video": "it looks at videos, and attnviz at single photos",
    "instructblipvideo": "it looks at videos, and attnviz at single photos",
}
"""Kinds of models that look at photos and are not done, and why."""


def family_names() -> str:
    """All families, for a message."""
    return ", ".join(family.name for family in FAMILIES)
