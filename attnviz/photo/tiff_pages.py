"""The pages of a TIFF: what each holds, and which of them is the photo.

Reference: TIFF 6.0 (Adobe, 1992), BigTIFF, TIFF/EP and DNG for what a page's type and its sub-pages mean.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MOST_PAGES = 64
MOST_VALUES = 4096  # of a tag that is looked at
RAW_KINDS = (32803, 34892)  # a camera's colour mosaic, and what its maker makes of it

# Tag: name
_TAGS = {
    254: "subfile",
    255: "old_subfile",
    256: "width",
    257: "height",
    258: "bits",
    259: "compression",
    262: "photometric",
    266: "fill",
    273: "strips",
    274: "orientation",
    277: "samples",
    279: "strip_bytes",
    284: "planar",
    317: "predictor",
    330: "children",
    338: "extra",
    339: "format",
    513: "jpeg",
    514: "jpeg_bytes",
    530: "subsampling",
    32997: "depth",
    50706: "dng",
}
_SIZES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # of the types that hold whole numbers


@dataclass(frozen=True)
class Page:
    """A page of a TIFF: the numbers of its tags, 0 or the standard's default where it has none.

    Attributes:
        offset: of its directory in the file.
        size: (H, W) as it is stored.
        reduced: whether it is a small copy or a mask of another page.
        camera: whether it holds what a camera's sensor saw.
        children: offsets of the directories below it.
        stream: (offset, length) of its data, where these are in one piece.
    """

    offset: int
    size: tuple[int, int]
    bits: tuple[int, ...]
    format: tuple[int, ...]
    photometric: int
    compression: int
    fill: int
    predictor: int
    subsampling: tuple[int, ...]
    samples: int
    planar: int
    extra: tuple[int, ...]
    orientation: int
    depth: int
    reduced: bool
    camera: bool
    children: tuple[int, ...]
    stream: tuple[int, int]

    @property
    def area(self) -> int:
        """Pixels."""
        return self.size[0] * self.size[1]


class Layout:
    """The directories of a TIFF file.

    Args:
        data: the file.

    Attributes:
        first: offset of the first one.
        little, big: whether its numbers begin with their low byte; whether it is a BigTIFF.

    Raises:
        ValueError: no TIFF, or a directory that lies outside the file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.little, self.big = data[:2] == b"II", data[2:4] in (b"+\0", b"\0+")
        self._order = "<" if self.little else ">"
        self.first = self._number(8, "Q") if self.big else self._number(4, "I")

    def pages(self) -> Iterator[Page]:
        """The pages of the file and those below each, in their order, no more than MOST_PAGES."""
        offset, seen = self.first, set[int]()
        while offset and offset not in seen and len(seen) < MOST_PAGES:
            seen.add(offset)
            page, following = self._page(offset)
            yield page
            for child in page.children:
                if child not in seen and len(seen) < MOST_PAGES:
                    seen.add(child)
                    yield self._page(child)[0]
            offset = following

    def beginning_with(self, page: Page) -> bytes:
        """The file, with that page as its first one."""
        if page.offset == self.first:
            return self._data
        data = bytearray(self._data)
        struct.pack_into(self._order + ("Q" if self.big else "I"), data, 8 if self.big else 4, page.offset)
        return bytes(data)

    def _number(self, at: int, kind: str) -> int:
        try:
            (number,) = struct.unpack_from(self._order + kind, self._data, at)
        except struct.error as error:
            raise ValueError("a directory lies outside the file") from error
        return int(number)

    def _page(self, offset: int) -> tuple[Page, int]:
        """A page, and the offset of the next one's directory."""
        count = self._number(offset, "Q" if self.big else "H")
        begin, size = (offset + 8, 20) if self.big else (offset + 2, 12)
        found: dict[str, tuple[int, ...]] = {}
        for entry in range(min(count, MOST_VALUES)):
            at = begin + entry * size
            name = _TAGS.get(self._number(at, "H"))
            if name is not None:
                found.setdefault(name, self._values(at))
        end = begin + count * size
        following = (
            self._number(end, "Q" if self.big else "I") if end + (8 if self.big else 4) <= len(self._data) else 0
        )
        return _described(offset, found), following

    def _values(self, at: int) -> tuple[int, ...]:
        """The whole numbers of a tag; none where it holds other things or lies outside the file."""
        kind = _SIZES.get(self._number(at + 2, "H"))
        count = self._number(at + 4, "Q" if self.big else "I")
        if kind is None or not count:
            return ()
        room, place = (8, at + 12) if self.big else (4, at + 8)
        size = struct.calcsize(kind)
        if count * size > room:
            place = self._number(place, "Q" if self.big else "I")
        count = min(count, MOST_VALUES)
        if place + count * size > len(self._data):
            return ()
        return struct.unpack_from(f"{self._order}{count}{kind}", self._data, place)


def _described(offset: int, found: dict[str, tuple[int, ...]]) -> Page:
    def one(name: str, default: int = 0) -> int:
        return (found.get(name) or (default,))[0]

    samples = one("samples", 1)
    bits = found.get("bits") or (1,)
    formats = found.get("format") or (1,)
    photometric = one("photometric", 1)
    strips = found.get("strips", ())
    stream = (one("jpeg"), one("jpeg_bytes")) if one("jpeg") else (one("strips"), one("strip_bytes"))
    return Page(
        offset=offset,
        size=(one("height"), one("width")),
        bits=bits * samples if len(bits) == 1 and samples <= 16 else bits,
        format=formats * samples if len(formats) == 1 and samples <= 16 else formats,
        photometric=photometric,
        compression=one("compression", 1),
        fill=one("fill", 1),
        predictor=one("predictor", 1),
        subsampling=found.get("subsampling") or (2, 2),
        samples=samples,
        planar=one("planar", 1),
        extra=found.get("extra", ()),
        orientation=one("orientation", 1),
        depth=one("depth", 1),
        reduced=bool(one("subfile") & 0b101) or one("old_subfile") == 2,
        camera=photometric in RAW_KINDS or "dng" in found,
        children=found.get("children", ()),
        stream=stream if one("jpeg") or len(strips) == 1 else (0, 0),
    )


def choose(pages: list[Page]) -> Page | None:
    """The page that is the photo: the first that is no small copy of another, else the largest; None without any.

    Of a camera's raw file, in which the sensor's own page cannot be shown, it is the largest of the others.
    """
    pages = [page for page in pages if page.area > 0]
    if any(page.camera for page in pages):
        pages = [page for page in pages if page.photometric not in RAW_KINDS]
        return max(pages, key=lambda page: page.area, default=None)
    return next((page for page in pages if not page.reduced), max(pages, key=lambda page: page.area, default=None))
