"""The network's own sentences: the search that fits the decoder, several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.captioner.search import Links, beam_search
from attnviz.captioner.show_attend_tell import ShowAttendTell, search
from attnviz.captioner.threads import side_by_side

if TYPE_CHECKING:
    from attnviz.captioner.decoder import WordDecoder
    from attnviz.captioner.description import Words
    from attnviz.captioner.hard import Chooser
    from attnviz.captioner.vocabulary import Vocabulary

SEARCHES = 4
"""The most searches side by side: each has so much to do in Python that more would wait for each other."""


def write(
    decoder: WordDecoder,
    vocabulary: Vocabulary,
    values: Tensor,
    beam: int,
    longest: int,
    choose: Callable[[int], Chooser | None],
) -> list[Words]:
    """A sentence for each image of E (B, N, C), of at most `longest` words.

    Args:
        choose: step -> how hard attention chooses at that step; None for soft attention.
    """
    words, links = vocabulary.words, Links.of(vocabulary)

    @torch.inference_mode()
    def written(part: Tensor) -> list[Words]:
        if isinstance(decoder, ShowAttendTell):
            found = [search(decoder, image.clone(), beam, longest, choose) for image in part.tensor_split(len(part))]
            return [[(words[number], words[number]) for number in numbers] for numbers in found]
        found = beam_search(decoder, part, beam, longest, choose, links=links)
        return [[(word, word) for word in vocabulary.decode(numbers)] for numbers in found]

    parts = min(len(values), torch.get_num_threads(), SEARCHES)
    with side_by_side(decoder.device) as each:
        return [sentence for part in each(written, values.tensor_split(parts)) for sentence in part]
