"""Tokenizers made on the spot: whole words for the tiny models, trained pieces for the tests of words."""

from __future__ import annotations

from typing import Any

import transformers as hf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORDS = ("a", "dog", "runs", "over", "the", "grass", "user", "assistant", "what", "is", "this", "?", "describe")


def word_tokenizer(
    *extra: str, kind: str = "", words: int = 40, begin: bool = False, end: bool = False, **named: str
) -> Any:
    """A tokenizer of whole words: `WORDS`, and w0, w1, ... up to `words` of them.

    Args:
        extra: further special tokens.
        kind: the class that processors ask for before version 5, such as "Bert".
        words: how many there are besides.
        begin, end: whether "<s>" is put in front of a text, and "</s>" behind it.
        named: attributes that processors look for, such as image_token="<image>".
    """
    names = dict.fromkeys([*SPECIAL, *extra, *named.values(), *WORDS, *(f"w{number}" for number in range(words))])
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)  # the class of that name wants one
    if begin or end:
        frame = f"{'<s> ' if begin else ''}$A{' </s>' if end else ''}"
        tokenizer.post_processor = processors.TemplateProcessing(single=frame, special_tokens=[("<s>", 1), ("</s>", 2)])
    old = kind and int(hf.__version__.split(".")[0]) < 5
    return (getattr(hf, f"{kind}TokenizerFast") if old else hf.PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
        additional_special_tokens=[*extra, *named.values()],
        **({"extra_special_tokens": named} if named else {}),
        **({"extra_ids": 0} if old and kind == "T5" else {}),
    )


SENTENCES = (
    "a dog runs over the grass while children are watching it",
    "ein Hündchen läuft über die Wiese, ja",
    "一只狗在草地上奔跑",
    "emoji 🐶 test",
)


def piece_tokenizer(words: int = 90) -> Any:
    """A tokenizer of byte-level pieces, learned from `SENTENCES`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + len(SPECIAL) + words,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    named = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
