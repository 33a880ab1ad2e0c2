"""The `meta` of a trace file: a JSON text that says how a trace came about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from attnviz.errors import TraceError
from attnviz.photo.frame import Frame

if TYPE_CHECKING:
    from attnviz.photo.image import Photo
    from attnviz.photo.sizes import Size

FORMAT = 2  # version of the file; the first, of attnviz 0.1, lacks some fields and is read as well
MAX_CHARACTERS = 2**22
TEXTS = ("model", "mode", "layers", "heads", "view", "prompt", "text")  # the fields that are text, or nothing


@dataclass(frozen=True)
class ImageInfo:
    """Which photo a trace is of.

    Attributes:
        name: the file's name without its folder.
        size: (H, W) of the upright photo, in pixels.
        sha256: of the file's bytes, in hexadecimal; None where there was no file.
        remarks: what should be known of the file, in plain sentences, such as that it is damaged.
    """

    name: str
    size: Size
    sha256: str | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, photo: Photo) -> Self:
        """What a trace keeps of a photo."""
        return cls(photo.name, photo.size, photo.sha256, photo.remarks)

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready; remarks only where there are any."""
        fields: dict[str, Any] = {"name": self.name, "size": list(self.size), "sha256": self.sha256}
        return fields | ({"remarks": list(self.remarks)} if self.remarks else {})


class Meta(NamedTuple):
    """The fields of a Trace that are no arrays. A file of another program may lack any of them."""

    frame: Frame | None = None
    image: ImageInfo | None = None
    model: str | None = None
    mode: str | None = None
    layers: str | None = None
    heads: str | None = None
    view: str | None = None
    prompt: str | None = None
    text: str | None = None
    verdicts: tuple[tuple[str, str], ...] | None = None
    settings: Mapping[str, Any] = {}
    version: str = ""

    def dumps(self) -> str:
        """The JSON text; the same fields give the same text."""
        fields = {
            "version": FORMAT,
            "frame": None if self.frame is None else self.frame.to_dict(),
            "image": None if self.image is None else self.image.to_dict(),
            **{name: getattr(self, name) for name in TEXTS},
            **({} if self.verdicts is None else {"verdicts": self.verdicts}),
            "settings": dict(self.settings),
            "attnviz": self.version,
        }
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def loads(cls, text: str) -> Meta:
        """The fields in a JSON text.

        Raises:
            TraceError: no JSON, fields of other kinds, or a version that is not known here.
            ConfigError: a frame that is none.
        """
        try:
            fields = json.loads(text) if len(text) <= MAX_CHARACTERS else None
        except (ValueError, RecursionError) as error:
            raise TraceError(f"meta is not valid JSON ({error}); save the trace again") from error
        if not isinstance(fields, dict):
            raise TraceError(f"meta must be a JSON object of at most {MAX_CHARACTERS:,} characters")
        version = fields.get("version", FORMAT)
        if type(version) is not int or version < 1:
            raise TraceError(f"meta: version must be a whole number from 1, not {version!r}")
        if version > FORMAT:
            raise TraceError(f"is of version {version}, and this attnviz reads up to {FORMAT}; update attnviz")
        for name in (*TEXTS, "attnviz"):
            if not isinstance(fields.get(name), str | None):
                raise TraceError(f"meta: {name} must be text, not {fields[name]!r:.40}")
        frame, image = fields.get("frame"), fields.get("image")
        return cls(
            frame=None if frame is None else Frame.from_dict(frame),
            image=None if image is None else _image(image),
            **{name: fields.get(name) for name in TEXTS},
            verdicts=fields.get("verdicts"),
            settings=json_object("settings", fields.get("settings") or {}),
            version=fields.get("attnviz") or "",
        )


def verdicts_of(value: Any, steps: int) -> tuple[tuple[str, str], ...]:
    """One pair of texts a step: the kind of a verdict and its reason. Raises TraceError for anything else."""
    pairs = list(value) if isinstance(value, list | tuple) else []
    sound = all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        for pair in pairs
    )
    if not sound or len(pairs) != steps:
        raise TraceError("verdicts must be a pair of texts for each step: a kind and a reason")
    return tuple((kind, reason) for kind, reason in pairs)


def json_object(name: str, value: Any) -> dict[str, Any]:
    """A copy of a mapping as a JSON file would give it back. Raises TraceError where it would not."""
    try:
        if not isinstance(value, Mapping):
            raise TypeError(f"{type(value).__name__} is no mapping")
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
        return copy
    except (TypeError, ValueError, RecursionError) as error:
        raise TraceError(f"{name} must be an object of plain JSON values ({error})") from error


def _image(fields: Any) -> ImageInfo:
    match fields:
        case {"name": str(name), "size": [height, width]} if all(type(n) is int and n > 0 for n in (height, width)):
            digest, remarks = fields.get("sha256"), fields.get("remarks", [])
            known = digest is None or isinstance(digest, str)
            if known and isinstance(remarks, list) and all(isinstance(remark, str) for remark in remarks):
                return ImageInfo(name, (height, width), digest, tuple(remarks))
    raise TraceError(
        "meta: image must have a name, a size [height, width] and, if known, a sha256 and remarks that are texts"
    )
