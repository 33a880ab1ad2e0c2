"""Opening a model of transformers by its folder or id, or taking one that a program has loaded itself."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.adapters.hf.families import BY_KIND, REFUSED, Family, family_names
from attnviz.errors import AttnvizError, ModelError

if TYPE_CHECKING:
    from attnviz.adapters.hf.network import HuggingFace

OLDEST, NEWEST = (4, 57), (5, 24)
"""The versions of transformers that are tested, first and last; the `hf` extra in pyproject.toml asks for them."""

INSTALL = "pip install 'attnviz[hf]'"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_HINT = "models of your own come in with attnviz.adapt(model, processor), attnviz.watch or a plug-in"


def load_model(name: str | os.PathLike[str], mode: str | None = None, device: Any = "cpu") -> HuggingFace:
    """Opens a model by the path of its folder, or by its id on the Hugging Face hub.

    A model that is not in the local cache is downloaded by its id, as transformers does. Code that comes with a model
    is never run, and weights are read without unpickling objects.

    Args:
        name: the folder, or the id, such as "Salesforce/blip-image-captioning-base".
        mode: there are none here; must be None.
        device: a torch device or its name, where the model shall run.

    Raises:
        ModelError: no such model, one that does not write about photos or is of a family that is not known, one that
            needs code of its own, or a `transformers` that is absent or untested.
    """
    name = os.fspath(name)
    if mode is not None:
        raise ModelError(f"{name}: this model has no mode to choose; leave out --mode")
    _check_version()
    from attnviz.adapters.hf.quiet import quiet

    where = _where(name)
    with quiet():
        try:
            return _load(name, where, device)
        except AttnvizError:
            raise
        except Exception as error:
            raise ModelError(f"{name}: {_reason(error, where)}") from error


def adapt(model: Any, processor: Any, name: str | None = None) -> HuggingFace:
    """A model that the caller has loaded, as a network for `attnviz.explain`.

    The model stays on its device and in its precision, and is as it was before whenever attnviz is not at work on it.

    Args:
        model: an image-to-text model of transformers, of a known family.
        processor: its processor, or the pair (image processor, tokenizer).
        name: what it is called in traces; by default where it was loaded from.

    Raises:
        ModelError: a model that is none, or of a family that is not known; a processor that lacks a part; an attention
            kernel that cannot be recorded beside.
    """
    _check_version()
    config = getattr(model, "config", None)
    if not hasattr(model, "generate") or not hasattr(type(config), "model_type"):
        raise ModelError(f"a {type(model).__name__} is no model of transformers that writes; {_HINT}")
    called = name or Path(str(getattr(config, "_name_or_path", "") or type(model).__name__)).name
    family = _family(called, config, [type(model).__name__])
    from attnviz.adapters.hf.network import HuggingFace
    from attnviz.adapters.hf.quiet import quiet

    with quiet():
        return HuggingFace(model, processor, family, called)


def _check_version() -> None:
    try:
        found = version("transformers")
    except PackageNotFoundError:
        raise ModelError(f"models of Hugging Face need the package transformers; {INSTALL}") from None
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if not OLDEST <= numbers <= NEWEST:
        which, name = ("older", OLDEST) if numbers < OLDEST else ("newer", NEWEST)
        raise ModelError(
            f"transformers {found} is {which} than {'.'.join(map(str, name))}, which attnviz is tested with; {INSTALL}"
        )


def _where(name: str) -> str:
    """The folder, or the id. Raises ModelError for what can be neither."""
    path = Path(name).expanduser()
    if name and path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{name}: holds no config.json, so it is no model of transformers; name its folder")
        return str(path)
    if name and path.exists():
        raise ModelError(f"{name}: is a file; give the folder of the model, with its config.json")
    if not _ID.fullmatch(name) or name.endswith("."):
        raise ModelError(f"hf:{name}: no such folder; check the path, or give an id such as hf:OWNER/MODEL")
    return name


def _load(name: str, where: str, device: Any) -> HuggingFace:
    import transformers

    from attnviz.adapters.hf.network import HuggingFace

    config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
    family = _family(name, config, list(getattr(config, "architectures", None) or []))
    processor = _processor(name, where)
    kind = getattr(transformers, family.classes[0], None)
    if kind is None:
        raise ModelError(
            f"{name}: transformers {transformers.__version__} does not know {family.name}; pip install -U transformers"
        )
    model = kind.from_pretrained(where, config=config, dtype="auto", trust_remote_code=False)
    return HuggingFace(model.to(device).eval(), processor, family, Path(where).name if Path(where).is_dir() else name)


def _family(name: str, config: Any, classes: list[str]) -> Family:
    """The row of a configuration's kind. Raises ModelError, and says what else the model is."""
    kind = str(type(config).model_type)  # the class's: some configurations look their parts' fields up
    if kind in REFUSED:
        raise ModelError(f"{name}: a {kind} model cannot be shown: {REFUSED[kind]}")
    family = BY_KIND.get(kind)
    if family is None:
        raise ModelError(f"{name}: a {kind} model {_what_else(kind)}; {_HINT}")
    other = [found for found in classes if found not in family.classes]
    if classes and len(other) == len(classes):
        raise ModelError(
            f"{name}: is a {other[0]}, and what writes of {family.name} is {family.classes[0]}; name a model of that"
        )
    if getattr(config, "num_image_with_embedding", None):
        raise ModelError(f"{name}: looks at videos, and attnviz at single photos; name a model for photos")
    return family


def _what_else(kind: str) -> str:
    """What a model of another kind does, as transformers' own lists have it."""
    from transformers.models.auto import modeling_auto as known

    if kind in known.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        return "compares photos with texts and writes none"
    if kind in known.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        return "tells what is in a photo by classes, and writes no words"
    if kind in known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return f"is of a family that attnviz does not know yet ({family_names()} it does)"
    if kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or kind in known.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "reads text alone and sees no photo"
    return "does not write about photos, as far as transformers knows"


def _processor(name: str, where: str) -> Any:
    """The model's processor, or its image processor and tokenizer. Raises ModelError."""
    import transformers

    try:
        processor = transformers.AutoProcessor.from_pretrained(where, trust_remote_code=False)
        if hasattr(processor, "tokenizer") and hasattr(processor, "image_processor"):
            return processor
    except ImportError:
        raise
    except Exception:  # older models have their parts alone
        pass
    parts = []
    for kind, what in (("AutoImageProcessor", "image processor"), ("AutoTokenizer", "tokenizer")):
        try:
            parts.append(getattr(transformers, kind).from_pretrained(where, trust_remote_code=False))
        except ImportError:
            raise
        except Exception as error:
            raise ModelError(
                f"{name}: has no {what} ({_first(error)}); save the processor beside the model, with "
                "processor.save_pretrained, or use attnviz.adapt(model, processor)"
            ) from error
    return tuple(parts)


def _reason(error: Exception, where: str) -> str:
    """What went wrong in transformers, in a line that says what to do."""
    text, local = str(error), Path(where).is_dir()
    if isinstance(error, ImportError):
        return f"needs a package that is not there: {_first(error)}"
    if "trust_remote_code" in text:
        return f"comes with code of its own, which attnviz does not run; load it yourself, for {_HINT}"
    if not local and ("connect" in text or "offline" in text.lower() or "cached" in text):
        return (
            "is not in the local cache, and the hub cannot be reached; download it where there is a network "
            f"(hf download {where}), or give a folder"
        )
    if not local and ("not a valid model identifier" in text or "404" in text):
        return "no such folder, and no such model on the hub; check the name (a private model needs hf auth login)"
    return f"cannot be opened: {_first(error)}"


def _first(error: Exception) -> str:
    from attnviz.adapters.hf.inputs import first_line

    return first_line(error)
