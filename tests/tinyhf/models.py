"""Tiny seeded models of the library's own classes, each with its processor, ready to be saved to disk.

A builder gives (model, processor). Weights are spread so that the attention is far from even, and every grid has more
rows than one and is seldom square, so that no map can be right by chance.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tinyhf.tokens import piece_tokenizer, word_tokenizer

NEW = int(hf.__version__.split(".")[0]) >= 5
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
VOCABULARY = 96
CHAT = (
    "{% for message in messages %}{{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}assistant{% endif %}"
)
BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {}
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
    **ENDS,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}


def builder(function: Callable[[], tuple[Any, Any]]) -> Callable[[], tuple[Any, Any]]:
    BUILDERS[function.__name__] = function
    return function


def spread(model: Any, seed: int = 0) -> Any:
    """Weights drawn anew, large enough that attention is far from even."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                reach = parameter.shape[1:].numel() ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.9 / reach)
    return model.eval()


SEEDS = {  # by which greedy and beam search write words of several kinds; from version 5 on, and before
    "vit_gpt2": (1, 1),
    "deit_roberta": (0, 4),
    "swin_bert": (4, 8),
    "trocr": (5, 5),
    "donut": (14, 14),
    "pix2struct": (12, 12),
    "blip": (12, 12),
    "florence2": (6, 6),
    "mllama": (11, 11),
    "git": (6, 3),
    "blip2": (0, 0),
    "llava": (7, 1),
    "llava_next": (2, 2),
    "llava_onevision": (13, 1),
    "paligemma": (1, 1),
    "gemma3": (1, 1),
    "qwen2_vl": (4, 1),
    "qwen2_5_vl": (13, 12),
    "qwen3_vl": (3, 1),
    "qwen3_5": (9, 0),
    "idefics3": (4, 15),
    "smolvlm": (4, 15),
    "internvl": (3, 12),
}


def build(name: str) -> tuple[Any, Any]:
    """(model, processor) of the name, seeded."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model, processor = pieces() if name == "pieces" else BUILDERS[name]()
    torch.set_rng_state(state)
    return spread(model, SEEDS.get(name, (0, 0))[0 if NEW else 1]), processor


def save(name: str, folder: Path) -> None:
    """Writes a model and its processor as people have them on disk."""
    model, processor = build(name)
    model.save_pretrained(folder)
    for part in processor if isinstance(processor, tuple) else (processor,):
        part.save_pretrained(folder)


def shorten(model: Any) -> None:
    """Has a model write no more than six pieces."""
    for part in (model, getattr(model, "text_decoder", model), getattr(model, "language_model", model)):
        if getattr(part, "generation_config", None) is not None:
            part.generation_config.max_new_tokens = 6


def known(name: str) -> bool:
    """Whether this version of transformers has the family."""
    return NEW or name != "qwen3_5"


def rope(**more: Any) -> dict[str, Any]:
    if not NEW:
        return {"rope_scaling": {"rope_type": "default", **more}}
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **more}}


def chat(image: str) -> str:
    return CHAT.replace("IMAGE", image)


def squeezed(height: int, width: int, kind: Any = None) -> Any:
    return (kind or hf.ViTImageProcessor)(size={"height": height, "width": width})


def cropped(kind: Any = None, side: int = 32) -> Any:
    return (kind or hf.CLIPImageProcessor)(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


# --- an encoder and a decoder that looks at it -----------------------------------------------------------------------


def pair(encoder: Any, decoder: Any) -> Any:
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    model = hf.VisionEncoderDecoderModel(config=config)
    model.generation_config.decoder_start_token_id = 1
    return model


def vit(kind: Any = None, **more: Any) -> Any:
    return (kind or hf.ViTConfig)(**{**VISION, "image_size": (32, 48), **more})


def bert(kind: Any) -> Any:
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
    }
    return kind(vocab_size=VOCABULARY, max_position_embeddings=80, **sizes, **ENDS)


@builder
def vit_gpt2() -> tuple[Any, Any]:
    decoder = hf.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=3, n_head=4, n_positions=64, add_cross_attention=True, **ENDS
    )
    return pair(vit(), decoder), (squeezed(32, 48), word_tokenizer())


def pieces() -> tuple[Any, Any]:
    """As `vit_gpt2`, with a tokenizer that cuts words, and characters, into pieces."""
    tokenizer = piece_tokenizer()
    decoder = hf.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64, add_cross_attention=True, **ENDS
    )
    return pair(vit(), decoder), (squeezed(32, 48), tokenizer)


@builder
def deit_roberta() -> tuple[Any, Any]:
    return pair(vit(hf.DeiTConfig), bert(hf.RobertaConfig)), (squeezed(32, 48), word_tokenizer())


@builder
def swin_bert() -> tuple[Any, Any]:
    encoder = hf.SwinConfig(
        image_size=(64, 96), patch_size=4, embed_dim=16, depths=[1, 1, 1], num_heads=[2, 2, 2], window_size=4
    )
    return pair(encoder, bert(hf.BertConfig)), (squeezed(64, 96), word_tokenizer())


@builder
def trocr() -> tuple[Any, Any]:
    decoder = hf.TrOCRConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        decoder_layers=3,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        cross_attention_hidden_size=32,
        max_position_embeddings=64,
        decoder_start_token_id=1,
        **ENDS,
    )
    model = pair(vit(hf.DeiTConfig), decoder)
    return model, hf.TrOCRProcessor(squeezed(32, 48), word_tokenizer())


@builder
def donut() -> tuple[Any, Any]:
    encoder = hf.DonutSwinConfig(
        image_size=(96, 64), patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    decoder = hf.MBartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        decoder_layers=3,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        add_cross_attention=True,
        is_decoder=True,
        forced_eos_token_id=None,
        **ENDS,
    )
    processor = hf.DonutProcessor(
        hf.DonutImageProcessor(size={"height": 96, "width": 64}), word_tokenizer("<s_menu>", "</s_menu>")
    )
    return pair(encoder, decoder), processor


@builder
def pix2struct() -> tuple[Any, Any]:
    text: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 3,
        "num_heads": 4,
    }
    vision: dict[str, Any] = {
        "hidden_size": 32,
        "patch_embed_hidden_size": 768,
        "d_ff": 48,
        "d_kv": 8,
        "num_hidden_layers": 2,
    }
    config = hf.Pix2StructConfig(
        text_config={**text, **ENDS, "decoder_start_token_id": 0},
        vision_config={**vision, "num_attention_heads": 4, "seq_len": 64},
    )
    images = hf.Pix2StructImageProcessor(patch_size={"height": 16, "width": 16}, max_patches=40)
    return hf.Pix2StructForConditionalGeneration(config), hf.Pix2StructProcessor(images, word_tokenizer(kind="T5"))


@builder
def blip() -> tuple[Any, Any]:
    text: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "encoder_hidden_size": 32,
        "intermediate_size": 48,
    }
    text |= {"num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 64, "projection_dim": 32}
    config = hf.BlipConfig(text_config={**text, **ENDS, "sep_token_id": 2}, vision_config=dict(VISION))
    images = hf.BlipImageProcessor(size={"height": 32, "width": 32})
    return hf.BlipForConditionalGeneration(config), hf.BlipProcessor(
        images, word_tokenizer(kind="Bert", begin=True, end=True)
    )


@builder
def florence2() -> tuple[Any, Any]:
    text: dict[str, Any] = {
        "model_type": "bart",
        "vocab_size": VOCABULARY,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 3,
    }
    text |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    text |= {"max_position_embeddings": 128, "decoder_start_token_id": 2, **ENDS}
    text |= {"forced_eos_token_id": None, "forced_bos_token_id": None}
    vision: dict[str, Any] = {
        "in_channels": 3,
        "depths": (1, 1, 1, 1),
        "patch_size": (7, 3, 3, 3),
        "patch_stride": (4, 2, 2, 2),
    }
    vision |= {"patch_padding": (3, 1, 1, 1), "patch_prenorm": (False, True, True, True), "window_size": 4}
    vision |= {"embed_dim": (16, 16, 32, 32), "num_heads": (2, 2, 2, 2), "num_groups": (2, 2, 2, 2)}
    tokenizer = word_tokenizer(kind="Bart", image_token="<image>")
    config = hf.Florence2Config(
        text_config=text, vision_config={**vision, "projection_dim": 32}, image_token_id=tokenizer.image_token_id
    )
    images = hf.CLIPImageProcessor(size={"height": 128, "width": 128}, do_center_crop=False)
    images.image_seq_length = 17
    processor = hf.Florence2Processor(images, tokenizer)
    return hf.Florence2ForConditionalGeneration(config), processor


@builder
def mllama() -> tuple[Any, Any]:
    text: dict[str, Any] = {**TEXT, "num_hidden_layers": 4, "cross_attention_layers": [1, 3], **rope()}
    vision: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_global_layers": 1, "attention_heads": 4}
    vision |= {"intermediate_size": 48, "image_size": 32, "patch_size": 8, "max_num_tiles": 4, "vision_output_dim": 64}
    vision |= {"intermediate_layers_indices": [0]}
    vision |= {"supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]}
    tokenizer = word_tokenizer(image_token="<|image|>")
    config = hf.MllamaConfig(text_config=text, vision_config=vision, image_token_index=tokenizer.image_token_id)
    images = hf.MllamaImageProcessor(size={"height": 32, "width": 32}, max_image_tiles=4)
    processor = hf.MllamaProcessor(images, tokenizer, chat_template=chat("<|image|>"))
    return hf.MllamaForConditionalGeneration(config), processor


# --- image tokens among the text's -----------------------------------------------------------------------------------


@builder
def git() -> tuple[Any, Any]:
    config = hf.GitConfig(
        vision_config=dict(VISION),
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        **ENDS,
    )
    return hf.GitForCausalLM(config), hf.GitProcessor(cropped(), word_tokenizer(begin=True, end=True))


@builder
def blip2() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(begin=True, image="<image>")
    former: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 48,
    }
    former |= {"encoder_hidden_size": 32, "cross_attention_frequency": 2, "vocab_size": 30}
    text: dict[str, Any] = {
        "model_type": "opt",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "ffn_dim": 48,
    }
    text |= {"num_attention_heads": 4, "max_position_embeddings": 128, "word_embed_proj_dim": 32, **ENDS}
    config = hf.Blip2Config(
        vision_config=dict(VISION),
        qformer_config=former,
        text_config=text,
        num_query_tokens=6,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    images = hf.BlipImageProcessor(size={"height": 32, "width": 32})
    return hf.Blip2ForConditionalGeneration(config), hf.Blip2Processor(images, tokenizer, num_query_tokens=6)


def llama() -> Any:
    return hf.LlamaConfig(**TEXT)


def clip() -> Any:
    return hf.CLIPVisionConfig(**VISION, projection_dim=32)


def siglip() -> Any:
    return hf.SiglipVisionConfig(**VISION, vision_use_head=False)


@builder
def llava() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(begin=True, image_token="<image>")
    config = hf.LlavaConfig(
        text_config=llama(), vision_config=clip(), image_token_index=tokenizer.image_token_id, image_seq_length=16
    )
    processor = hf.LlavaProcessor(
        cropped(),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat("<image>"),
    )
    return hf.LlavaForConditionalGeneration(config), processor


PINPOINTS = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]


@builder
def llava_next() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(begin=True, image_token="<image>")
    config = hf.LlavaNextConfig(
        text_config=llama(),
        vision_config=clip(),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=16,
    )
    images = hf.LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=PINPOINTS
    )
    processor = hf.LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat("<image>"),
    )
    return hf.LlavaNextForConditionalGeneration(config), processor


@builder
def llava_onevision() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(begin=True, image_token="<image>", video_token="<video>")
    pinpoints = [[32, 32], [32, 64], [64, 32], [64, 64], [96, 96], [128, 96]]
    config = hf.LlavaOnevisionConfig(
        text_config=hf.Qwen2Config(**TEXT),
        vision_config=siglip(),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_aspect_ratio="anyres_max_4",
    )
    images = hf.LlavaOnevisionImageProcessor(size={"height": 32, "width": 32}, image_grid_pinpoints=pinpoints)
    processor = hf.LlavaOnevisionProcessor(
        images,
        tokenizer,
        video_processor=hf.LlavaOnevisionVideoProcessor(size={"height": 32, "width": 32}),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=chat("<image>"),
        vision_aspect_ratio="anyres_max_4",
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


@builder
def paligemma() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(kind="Gemma", image_token="<image>", words=20)
    images = hf.SiglipImageProcessor(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, tokenizer)
    config = hf.PaliGemmaConfig(
        text_config=hf.GemmaConfig(**{**TEXT, "vocab_size": len(processor.tokenizer)}),
        vision_config=siglip(),
        image_token_index=tokenizer.image_token_id,
        projection_dim=32,
        hidden_size=32,
    )
    return hf.PaliGemmaForConditionalGeneration(config), processor


@builder
def gemma3() -> tuple[Any, Any]:
    tokenizer = word_tokenizer(begin=True, image_token="<image>", boi_token="<begin>", eoi_token="<end>")
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    text: dict[str, Any] = {**TEXT, "sliding_window": 8, "layer_types": kinds, "query_pre_attn_scalar": 8}
    config = hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(**text),
        vision_config=siglip(),
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        mm_tokens_per_image=4,
    )
    images = hf.Gemma3ImageProcessor(size={"height": 32, "width": 32})
    processor = hf.Gemma3Processor(images, tokenizer, image_seq_length=4, chat_template=chat("<begin>"))
    return hf.Gemma3ForConditionalGeneration(config), processor


def qwen(config: Any, model: Any, processor: Any, vision: dict[str, Any], text: dict[str, Any]) -> tuple[Any, Any]:
    tokenizer = word_tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", kind="Qwen2")
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad", "vision_start")}
    whole = config(
        text_config={**TEXT, **text},
        vision_config={"depth": 2, "num_heads": 4, "spatial_merge_size": 2, "temporal_patch_size": 2, **vision},
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_start"] + 1,
    )
    sizes: dict[str, Any] = {"patch_size": vision["patch_size"], "merge_size": 2, "temporal_patch_size": 2}
    sizes |= {"size": {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 24}}
    template = chat("<|vision_start|><|image_pad|><|vision_end|>")
    videos = {"Qwen3": "Qwen3VLVideoProcessor"}.get(processor.__name__[:5], "Qwen2VLVideoProcessor")
    made = processor(hf.Qwen2VLImageProcessor(**sizes), tokenizer, getattr(hf, videos)(**sizes), chat_template=template)
    return model(whole), made


MROPE = {"mrope_section": [1, 1, 2]}


@builder
def qwen2_vl() -> tuple[Any, Any]:
    vision: dict[str, Any] = {"embed_dim": 32, "hidden_size": 32, "patch_size": 14, "mlp_ratio": 2}
    return qwen(hf.Qwen2VLConfig, hf.Qwen2VLForConditionalGeneration, hf.Qwen2VLProcessor, vision, rope(**MROPE))


@builder
def qwen2_5_vl() -> tuple[Any, Any]:
    vision: dict[str, Any] = {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "patch_size": 14}
    vision |= {"window_size": 56, "fullatt_block_indexes": [1]}
    classes = (hf.Qwen2_5_VLConfig, hf.Qwen2_5_VLForConditionalGeneration, hf.Qwen2_5_VLProcessor)
    return qwen(*classes, vision, rope(**MROPE))


@builder
def qwen3_vl() -> tuple[Any, Any]:
    vision: dict[str, Any] = {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "patch_size": 16}
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    text = rope(**MROPE, mrope_interleaved=True)
    return qwen(hf.Qwen3VLConfig, hf.Qwen3VLForConditionalGeneration, hf.Qwen3VLProcessor, vision, text)


@builder
def qwen3_5() -> tuple[Any, Any]:
    vision: dict[str, Any] = {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "patch_size": 16}
    vision |= {"num_position_embeddings": 64}
    text: dict[str, Any] = {"num_hidden_layers": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
    text |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    text |= rope(**MROPE, mrope_interleaved=True, partial_rotary_factor=1.0)
    return qwen(hf.Qwen3_5Config, hf.Qwen3_5ForConditionalGeneration, hf.Qwen3VLProcessor, vision, text)


def tiled(kind: str) -> tuple[Any, Any]:
    cells = [f"<row_{row + 1}_col_{column + 1}>" for row, column in itertools.product(range(6), range(6))]
    tokenizer = word_tokenizer(
        "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *cells, words=24
    )
    config = getattr(hf, f"{kind}Config")(
        text_config={"model_type": "llama", **TEXT},
        vision_config={**VISION, "image_size": 32},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    images = getattr(hf, f"{kind}ImageProcessor")(size={"longest_edge": 96}, max_image_size={"longest_edge": 32})
    named: dict[str, Any] = {
        "image_processor": images,
        "tokenizer": tokenizer,
        "image_seq_len": 4,
        "chat_template": chat("<image>"),
    }
    if kind == "SmolVLM":
        named["video_processor"] = hf.SmolVLMVideoProcessor(
            size={"longest_edge": 96}, max_image_size={"longest_edge": 32}
        )
    return getattr(hf, f"{kind}ForConditionalGeneration")(config), getattr(hf, f"{kind}Processor")(**named)


@builder
def idefics3() -> tuple[Any, Any]:
    return tiled("Idefics3")


@builder
def smolvlm() -> tuple[Any, Any]:
    return tiled("SmolVLM")


@builder
def internvl() -> tuple[Any, Any]:
    named: dict[str, Any] = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
    }
    tokenizer = word_tokenizer(**named, video_token="<video>")
    config = hf.InternVLConfig(
        text_config=hf.Qwen2Config(**TEXT),
        vision_config=hf.InternVLVisionConfig(**{**VISION, "image_size": [32, 32], "patch_size": [8, 8]}),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    images = hf.GotOcr2ImageProcessor(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=6
    )
    videos = hf.InternVLVideoProcessor(size={"height": 32, "width": 32})
    processor = hf.InternVLProcessor(images, tokenizer, videos, image_seq_length=4, chat_template=chat("<IMG_CONTEXT>"))
    return hf.InternVLForConditionalGeneration(config), processor
