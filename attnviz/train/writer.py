"""Sentences for photos of which only the things in them are known: a trained model writes them, and must name a thing.

The search is beam search with a constraint (Anderson et al. 2017, "Guided open vocabulary image captioning with
constrained beam search"): beside the sentences that have not named the thing yet it keeps as many that have. With what
comes out the next model is trained (Anderson et al. 2018, "Partially-supervised image captioning").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from attnviz.captioner.search import Links
from attnviz.captioner.vocabulary import END, PAD, START, UNKNOWN
from attnviz.data import Caption
from attnviz.data.things import PERSON, names, names_of
from attnviz.errors import DataError
from attnviz.files import write_atomically
from attnviz.train.features import FeatureStore

if TYPE_CHECKING:
    from attnviz.captioner import Captioner
    from attnviz.captioner.decoder import WordDecoder
    from attnviz.captioner.vocabulary import Vocabulary
    from attnviz.data import Split
    from attnviz.train.inputs import Inputs

LONGEST = 16
"""Words of a written sentence; more is rambling on the way to the thing."""

SHORTEST = 7
"""Words of it at least: a caption has eleven on average, listed names ("a cat and a chair") five."""

STILTED = ("person", "dining", "close")
"""Words that belong to listed names, not to speech; a writer that has learned from those would fall back on them. And
"a close up of": people begin 1 % of COCO's captions so, a search for a thing 18 %, and what learned from that 25 %."""

LENGTH_POWER = 0.7
"""As in the plain search, but a little more for length: the way to the thing may be long."""

BEAM = 4
"""Sentences kept without the thing, and with it."""

MARGIN = 0.35
"""How much less likely than a photo's best sentence another may be, in nats per word (as `LENGTH_POWER` counts them):
what the model finds hard to say of the photo is small or hidden in it."""

SEARCHES = 50
"""Searches in one batch."""

Say = Callable[[str], None]


def naming_words(thing: str, vocabulary: Vocabulary) -> list[int]:
    """The numbers of the last words of every form that names a thing, such as "phone" for a cell phone."""
    numbers = vocabulary.encode(sorted({form[-1] for form in names_of(thing)}))
    return sorted({number for number in numbers if number != UNKNOWN})


@torch.inference_mode()
def search_naming(
    decoder: WordDecoder,
    values: Tensor,
    must: Tensor,
    beam: int = BEAM,
    shortest: int = SHORTEST,
    longest: int = LONGEST,
    links: Links | None = None,
    never: Sequence[int] = (),
) -> tuple[list[list[int]], list[float]]:
    """The best sentence found for each image that holds one of the words it must.

    Args:
        values: E, (B, N, C).
        must: (B, V) bool, true at the words of which each sentence needs one.
        beam: K; there are 2 K sentences side by side.
        shortest, longest: the fewest and the most words of a sentence.
        links: as in the plain search.
        never: words that are not to be used.

    Returns:
        B lists of word numbers, without start and end, and their scores: log-probability / length ** `LENGTH_POWER`.
        An image for which no sentence ended in time has an empty list and -inf.
    """
    b, k, device = values.shape[0], beam, values.device
    features, state = decoder.prepare(values), decoder.start(values, 2 * k)
    words = torch.full((b, 2 * k, 1), START, device=device)
    total = torch.full((b, 2 * k), -torch.inf, device=device)
    total[:, 0] = 0  # the first K have not named the thing, the others have
    sentences = torch.full((b, 2 * k, longest), PAD, device=device)
    best = torch.full((b,), -torch.inf, device=device)
    found = torch.full((b, longest), PAD, device=device)
    rows = torch.arange(b, device=device).unsqueeze(1)
    for step in range(longest + 1):
        output, state = decoder(features, state, words)
        logprobs = output.logits.view(b, 2 * k, -1).log_softmax(-1)
        logprobs[..., [PAD, START, UNKNOWN, *never]] = -torch.inf
        if links is not None and step > 1:
            logprobs.scatter_(-1, links.said(sentences[:, :, :step]), -torch.inf)
        score = total.unsqueeze(-1) + logprobs
        if step >= shortest:
            top, which = (score[:, k:, END] / step**LENGTH_POWER).max(-1)
            found[top > best] = sentences[rows[:, 0], k + which][top > best]
            best = torch.maximum(best, top)
        if step == longest:
            break
        score[..., END] = -torch.inf
        named = score.clone()
        named[:, :k].masked_fill_(~must.unsqueeze(1), -torch.inf)
        score[:, :k].masked_fill_(must.unsqueeze(1), -torch.inf)
        sides = (score[:, :k].flatten(1).topk(k), named.flatten(1).topk(k))
        total = torch.cat([side.values for side in sides], 1)
        flat = torch.cat([side.indices for side in sides], 1)
        parent, word = flat // score.shape[-1], flat % score.shape[-1]
        sentences = sentences.gather(1, parent.unsqueeze(-1).expand_as(sentences))
        sentences[:, :, step] = word
        words = word.unsqueeze(-1)
        state = state.select((parent + rows * 2 * k).flatten())
    return [[n for n in row if n != PAD] for row in found.tolist()], best.tolist()


def write_captions(model: Captioner, inputs: Inputs, objects: Sequence[Sequence[str]], say: Say) -> list[list[str]]:
    """Sentences for each photo, best first: one for each thing in it that the model can name with some ease.

    Args:
        inputs: the maps of the model's own backbone.
        objects: per photo, the names of the things in it.
        say: told about progress.

    Returns:
        per photo, the sentences; none for photos with persons alone, or with what the vocabulary has no word for.
    """
    asked = [
        (row, thing, numbers)
        for row, things in enumerate(objects)
        for thing in things
        if thing != PERSON and (numbers := naming_words(thing, model.vocabulary))
    ]
    ranked: list[dict[str, float]] = [{} for _ in objects]
    for start in range(0, len(asked), SEARCHES):
        part = asked[start : start + SEARCHES]
        for (row, thing, _), (text, score) in zip(part, _search(model, inputs, part), strict=True):
            if names(text.split(), thing):  # "light" alone is no traffic light
                ranked[row][text] = score
        if start // SEARCHES % 50 == 49:
            say(f"sentences for {start + SEARCHES} of {len(asked)} things")
    kinds = {thing for things in objects for thing in things}
    return [
        [text for text in _near_best(sentences) if not _names_another(text, things, kinds)]
        for sentences, things in zip(ranked, objects, strict=True)
    ]


def _search(
    model: Captioner, inputs: Inputs, asked: Sequence[tuple[int, str, list[int]]]
) -> Iterator[tuple[str, float]]:
    rows, back = np.unique([row for row, _, _ in asked], return_inverse=True)
    must = torch.zeros(len(asked), len(model.vocabulary), dtype=torch.bool)
    for i, (_, _, numbers) in enumerate(asked):
        must[i, numbers] = True
    with torch.inference_mode():
        values = model.fuse(inputs.batch(rows))[torch.from_numpy(back)]
        words = model.vocabulary
        never = [number for number in words.encode(STILTED) if number != UNKNOWN]
        found, scores = search_naming(model.decoder, values, must, links=Links.of(words), never=never)
    for numbers, score in zip(found, scores, strict=True):
        yield " ".join(model.vocabulary.decode(numbers)), score


def _names_another(text: str, things: Sequence[str], kinds: set[str]) -> bool:
    """Whether a sentence names a thing of some kind that the photo does not show."""
    rest = f" {text} "
    for form in sorted({f" {' '.join(form)} " for thing in things for form in names_of(thing)}, key=len, reverse=True):
        rest = rest.replace(form, " , ")  # so that a hot dog is no dog
    return any(names(rest.split(), kind) for kind in kinds - {*things, PERSON})


def _near_best(sentences: dict[str, float]) -> list[str]:
    best = sorted(sentences, key=lambda text: -sentences[text])
    return [text for text in best if sentences[text] >= sentences[best[0]] - MARGIN]


def written(split: Split, writer: Captioner, cache: str | Path, say: Say) -> dict[str, tuple[Caption, ...]]:
    """What `writer` writes for the photos of a split that have objects only, kept in the folder `cache`.

    Returns:
        image name -> captions; a photo for which none was found is left out.

    Raises:
        DataError: when the folder cannot be written.
    """
    # Only of photos that nobody has described.
    things = [one.objects if all(c.listed for c in one.captions) else () for one in split]
    if not any(things):
        return {}
    key = hashlib.sha256(writer.fingerprint().encode())
    key.update(
        json.dumps(
            [BEAM, SHORTEST, LONGEST, LENGTH_POWER, MARGIN, STILTED, [one.image for one in split], things]
        ).encode()
    )
    path = Path(cache) / f"{split.name}-written-{key.hexdigest()[:16]}.json"
    if path.exists():
        texts: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    else:
        found = write_captions(writer, FeatureStore(writer, split, False, cache, say), things, say)
        texts = {record.image: sentences for record, sentences in zip(split, found, strict=True) if sentences}
        try:
            write_atomically(path, json.dumps(texts, indent=0).encode())
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
    return {image: tuple(Caption(tuple(text.split())) for text in sentences) for image, sentences in texts.items()}
