"""From a photo and a prompt to what `generate` takes, through the model's own processor."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

import torch

from attnviz.adapters.hf.quiet import quiet
from attnviz.errors import AttnvizError, ModelError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from attnviz.adapters.hf.families import Family


LONG = 200
"""Characters of another library's message that are handed on."""


class Processor:
    """A model's processor, whatever its parts are.

    Args:
        family: the model's row.
        model: for the names of what its `generate` takes.
        processor: a processor of transformers with a tokenizer and an image processor, or these two in a pair.

    Raises:
        ModelError: one of the parts is missing.
    """

    def __init__(self, family: Family, model: Any, processor: Any) -> None:
        parts = list(processor) if isinstance(processor, list | tuple) else [processor]
        self.tokenizer = _part(parts, "tokenizer", lambda part: callable(getattr(part, "convert_tokens_to_ids", None)))
        self.images = _part(parts, "image_processor", lambda part: "pixel_values" in _names(part) or _is_patches(part))
        self._whole = processor if len(parts) == 1 else None
        self._family = family
        self._lock = threading.Lock()  # tokenizers cannot be used by two threads at once
        self._known = {
            *inspect.signature(model.forward).parameters,
            *inspect.signature(model.generate).parameters,
        } - {"labels"}
        if getattr(self.images, "is_vqa", False):
            raise ModelError(
                f"this {family.name} draws the question into the picture, with a font that it downloads, so the photo "
                "lies elsewhere; use one that captions"
            )

    def __call__(self, picture: Image.Image, prompt: str | None) -> dict[str, Tensor]:
        """What `generate` takes, a batch of one.

        Raises:
            ModelError: the processor fails, in its own words.
        """
        try:
            with self._lock, quiet():
                found = self._call(picture, self._family.prompt if prompt is None else prompt)
        except AttnvizError:
            raise
        except Exception as error:
            raise ModelError(f"the model's processor fails: {first_line(error)}") from error
        return {name: value for name, value in found.items() if name in self._known and isinstance(value, torch.Tensor)}

    def ids(self, text: str) -> list[int]:
        """The pieces of given words."""
        with self._lock:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text of pieces, as they are."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def silent(self) -> set[int]:
        """Ids that begin, end and fill sentences, and are no words."""
        names = ("bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id")
        return {number for name in names if (number := getattr(self.tokenizer, name, None)) is not None}

    def _call(self, picture: Image.Image, prompt: str | None) -> Any:
        if self._family.prompts == "begin" or self._family.source == "front":
            found = dict(self.images(picture, return_tensors="pt"))
            if prompt is None:
                return found
            ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
            if self._family.prompts == "begin":
                return {**found, "decoder_input_ids": torch.tensor([ids])}
            return {**found, "input_ids": torch.tensor([[self.tokenizer.cls_token_id, *ids]])}
        if self._whole is None:
            raise ModelError(
                f"{self._family.name} needs its whole processor, not its parts; load it with AutoProcessor"
            )
        if prompt is None:
            return self._whole(images=picture, return_tensors="pt")
        more: dict[str, Any] = {}
        text = prompt
        if self._family.prompts == "chat":
            text = self._turn(prompt)
            begin = getattr(self.tokenizer, "bos_token", None)
            if begin and text.startswith(begin):  # the template has put it there
                more["add_special_tokens"] = False
        return self._whole(images=picture, text=text, return_tensors="pt", **more)

    def _turn(self, prompt: str) -> str:
        """The prompt as a user's turn of a talk, by the model's own template where it has one."""
        template = getattr(self._whole, "chat_template", None) or getattr(self.tokenizer, "chat_template", None)
        if not template:
            return f"{self._family.image}\n{prompt}"
        talk = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
        more = {"enable_thinking": False} if "enable_thinking" in str(template) else {}
        speaker: Any = self._whole if getattr(self._whole, "chat_template", None) else self.tokenizer
        turn: str = speaker.apply_chat_template(talk, add_generation_prompt=True, tokenize=False, **more)
        return turn


def first_line(error: BaseException) -> str:
    """What an exception of another library says, as one line."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    said = lines[0] if lines else "no reason given"
    return f"{said if len(said) <= LONG else said[:LONG] + ' ...'} ({type(error).__name__})"


def _part(parts: list[Any], name: str, is_one: Any) -> Any:
    for part in parts:
        if (inner := getattr(part, name, None)) is not None:
            return inner
        if is_one(part):
            return part
    raise ModelError(
        f"there is no {name.replace('_', ' ')} among what was given as the processor; give the model's processor, or "
        "(image processor, tokenizer)"
    )


def _names(part: Any) -> list[str]:
    return list(getattr(part, "model_input_names", None) or ())


def _is_patches(part: Any) -> bool:
    return "flattened_patches" in _names(part)
