"""TIFF: the page that is the photo, by Pillow where it reads that kind truly, else by tifffile."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from attnviz.photo import deep, jpeg
from attnviz.photo.quiet import quiet
from attnviz.photo.tiff_pages import Layout, Page, choose

if TYPE_CHECKING:
    from PIL import Image

Check = Callable[[tuple[int, int], int], None]

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
ASSOCIATED, UNASSOCIATED = 1, 2  # alpha that colours are multiplied with, and that they are not
LEAST_PREVIEW = 256  # pixels of the longer side: less shows too little of what the camera saw
JPEGS = (6, 7)
LIBTIFFS = (1, 2, 3, 4, 5, *JPEGS, 8, 32773, 32946, 34925)  # the compressions that Pillow's libtiff unpacks

CAMERA = "The photo is a camera's raw file: the preview in it was read, of {} x {} pixels (width x height)."
_COLOURS = {BLACK_IS_ZERO: 1, WHITE_IS_ZERO: 1, RGB: 3, CMYK: 4, CIELAB: 3, ICCLAB: 3}
_NAMES = {
    WHITE_IS_ZERO: "grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    CIELAB: "Lab",
    ICCLAB: "Lab",
    10: "Lab (ITU)",
    32844: "LogL",
    32845: "LogLuv",
}


class UnsupportedError(Exception):
    """A sound file of a kind that is not read; its text says which, and what to do."""


@dataclass(frozen=True, eq=False)
class Read:
    """A page as it was read: pixels of 8 bits a channel as a PIL image, with the profile in its `info`.

    Attributes:
        orientation: EXIF's, still to be applied.
    """

    image: Image.Image
    orientation: int
    remarks: tuple[str, ...]


def size_of(data: bytes) -> tuple[int, int]:
    """(H, W) of the photo, as it is stored. Raises ValueError for what is no TIFF, and UnsupportedError."""
    return _photo(data)[1].size


def read(data: bytes, check: Check) -> Read:
    """The photo in a TIFF.

    Args:
        check: is told its (H, W) and how many bytes a pixel has before these are read, and raises where that is too
            much.

    Raises:
        UnsupportedError: see there.
        Exception: a damaged file makes the libraries raise nearly anything.
    """
    layout, page, camera = _photo(data)
    check(page.size, math.ceil(page.samples * max(page.bits) / 8))
    remarks = (CAMERA.format(*page.size[::-1]),) if camera else ()
    if camera and page.compression in JPEGS and data.startswith(b"\xff\xd8", page.stream[0]):
        return _preview(data[page.stream[0] : sum(page.stream)], page, remarks)
    # In which order the bytes of integers of, say, 24 bits stand, readers and writers do not agree.
    wide = page.format[0] != FLOAT and any(bits > 16 and bits not in (32, 64) for bits in page.bits)
    mixed = len(set(page.bits)) != 1 or len(set(page.format)) != 1 or page.format[0] not in (UNSIGNED, SIGNED, FLOAT)
    if wide or mixed or page.depth > 1 or page.photometric not in (*_COLOURS, PALETTE, YCBCR):
        raise UnsupportedError(_named(page))
    if _is_pillows(page, layout):
        image, orientation = _by_pillow(layout.beginning_with(page), page)
        image, remark = _of_bytes(image, page)
    else:
        values, info = _by_tifffile(layout.beginning_with(page), page)
        orientation = page.orientation
        image, remark = _composed(values, page)
        image.info.update(info)
    return Read(image, orientation, (*remarks, *([remark] if remark else [])))


def _photo(data: bytes) -> tuple[Layout, Page, bool]:
    """The layout, the page that is the photo, and whether it is a preview in a camera's raw file."""
    layout = Layout(data)
    pages = [_measured(page, data) for page in layout.pages()]
    page = choose(pages)
    camera = any(one.camera for one in pages) or data[8:10] == b"CR"
    if page is None or (camera and max(page.size) < LEAST_PREVIEW):
        if camera:
            raise UnsupportedError("is a camera's raw file without a preview to show; develop it and save it as JPEG")
        raise ValueError("no page with pixels")
    if camera and page.orientation == 1:  # said of the whole file, on its first page
        page = replace(page, orientation=pages[0].orientation)
    return layout, page, camera


def _measured(page: Page, data: bytes) -> Page:
    """The page with its size; those of cameras may leave it to the JPEG that they hold."""
    if page.area or not data.startswith(b"\xff\xd8", page.stream[0]):
        return page
    import simplejpeg

    stream = data[page.stream[0] : sum(page.stream)]
    try:
        if jpeg.peculiar(stream):  # as the sensor's own data are, in some
            return page
        height, width, *_ = simplejpeg.decode_jpeg_header(stream, strict=False)
    except ValueError:
        return page
    return replace(page, size=(int(height), int(width)), compression=JPEGS[0], photometric=YCBCR)


def _preview(stream: bytes, page: Page, remarks: tuple[str, ...]) -> Read:
    from PIL import Image

    pixels, remark = jpeg.decode(stream, 3, lambda: np.asarray(Image.open(io.BytesIO(stream)).convert("RGB")))
    return Read(Image.fromarray(pixels), page.orientation, (*remarks, *([remark] if remark else [])))


def _is_pillows(page: Page, layout: Layout) -> bool:
    """Whether Pillow reads such a page truly: it takes some kinds for others, and says nothing."""
    if (layout.big and not layout.little) or page.compression not in LIBTIFFS:
        return False
    depth, number, photometric = page.bits[0], page.format[0], page.photometric
    if page.fill != 1 and (depth > 8 or page.extra):
        return False
    if page.samples == 1 and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        if number == FLOAT:
            return depth == 32 and page.predictor != 3
        wide = depth == 16 or (depth == 32 and layout.little and photometric == BLACK_IS_ZERO)
        return number == UNSIGNED and (depth in (1, 2, 4, 8) or (wide and (layout.little or photometric != 0)))
    if number != UNSIGNED or (page.planar == 2 and (depth != 8 or photometric != RGB or page.extra)):
        return False
    if photometric == PALETTE:
        return depth <= 8 and page.samples == 1
    if photometric == BLACK_IS_ZERO:
        return depth == 8 and page.extra == (UNASSOCIATED,)
    if photometric == YCBCR:
        return depth == 8 and (page.compression != 1 or page.subsampling == (1, 1))
    if photometric == RGB:
        return depth in (8, 16) and page.extra in ((), (0,), (ASSOCIATED,), (UNASSOCIATED,))
    return depth == 8 and photometric in (CMYK, CIELAB) and not page.extra


def _by_pillow(data: bytes, page: Page) -> tuple[Image.Image, int]:
    """The first page of a file, and how it is still to be turned."""
    from PIL import Image

    with quiet():
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
        turned = image.getexif().get(0x0112) is not None
        image.load()  # turns it upright by its own tag, if it has one
        return image, 1 if turned else page.orientation


def _of_bytes(image: Image.Image, page: Page) -> tuple[Image.Image, str | None]:
    """Pillow's image with 8 bits a channel."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image, None
    values = np.asarray(image)
    if page.format[0] == UNSIGNED and values.dtype == np.int32:
        values = values.view(np.uint32)
    pixels, remark = deep.eight_bits(values, page.bits[0], page.photometric == WHITE_IS_ZERO)
    shallow = Image.fromarray(pixels)
    shallow.info.update({key: image.info[key] for key in ("icc_profile",) if key in image.info})
    return shallow, remark


def _by_tifffile(data: bytes, page: Page) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """(H, W, samples) of the first page of a file, and what `info` is to hold."""
    if page.photometric not in _COLOURS:
        raise UnsupportedError(_named(page))
    try:
        import imagecodecs  # noqa: F401 - what tifffile unpacks with, and fails without in the middle of its work
        import tifffile
    except ImportError:
        raise UnsupportedError(
            f"{_named(page, '')}; pip install 'attnviz[tiff]' to read it, or save it as PNG"
        ) from None
    with quiet(), tifffile.TiffFile(io.BytesIO(data)) as file:
        first: Any = file.pages[0]
        try:
            values = np.asarray(first.asarray(maxworkers=1))
        except (NotImplementedError, KeyError, ValueError) as error:
            if isinstance(error, ValueError) and "support" not in str(error):
                raise
            raise UnsupportedError(_named(page)) from error  # of compressions that are not there, say
        profile = first.iccprofile
    planes = (page.samples, *page.size) if page.planar == 2 and page.samples > 1 else None
    values = np.moveaxis(values.reshape(planes), 0, -1) if planes else values.reshape(*page.size, page.samples)
    return values, {"icc_profile": profile} if profile else {}


def _composed(values: npt.NDArray[Any], page: Page) -> tuple[Image.Image, str | None]:
    """(H, W, samples) as a PIL image of 8 bits a channel."""
    from PIL import Image

    count = _COLOURS[page.photometric]
    alpha = next((kind for kind in page.extra if kind in (ASSOCIATED, UNASSOCIATED)), 0)
    extra = page.samples - count
    if values.dtype.kind not in "uifb" or extra < 0 or (extra > 1 and not alpha):
        raise UnsupportedError(_named(page))
    if page.photometric in (CIELAB, ICCLAB):
        return Image.frombytes("LAB", page.size[::-1], _lab(values[..., :3], page).tobytes()), None
    # One range for all colours, or they would no longer be those of the photo.
    bits = page.bits[0] if values.dtype.kind in "ui" else None
    colours, remark = deep.eight_bits(values[..., :count], bits, page.photometric == WHITE_IS_ZERO)
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[count]
    if alpha and count != 4:
        place = count + [kind in (ASSOCIATED, UNASSOCIATED) for kind in page.extra].index(True)
        share, _ = deep.eight_bits(values[..., place : place + 1], bits)
        colours = np.concatenate([colours, share], axis=-1)
        mode += "A" if alpha == UNASSOCIATED else "a"
    packed = np.ascontiguousarray(colours)
    return Image.frombuffer(mode, page.size[::-1], packed.tobytes(), "raw", mode, 0, 1), remark


def _lab(values: npt.NDArray[Any], page: Page) -> npt.NDArray[np.uint8]:
    """(H, W, 3) bytes of L and of a and b with their signs, as TIFF's CIELab of 8 bits has them.

    Of 16 bits, CIELab has a and b 256 times as large and L from 0 to 65535; ICCLab has a and b above 128.
    """
    depth = page.bits[0]
    if depth not in (8, 16) or values.dtype.kind not in "ui":
        raise UnsupportedError(_named(page))
    numbers = values.view(values.dtype.str.replace("i", "u"))
    high = (numbers >> (depth - 8)).astype(np.uint8)
    if page.photometric == ICCLAB:
        high[..., 1:] ^= 128
    return high


def _named(page: Page, advice: str = "; save it as PNG") -> str:
    """What kind of TIFF a page is."""
    depth = "/".join(str(bits) for bits in dict.fromkeys(page.bits))
    number = {UNSIGNED: "", SIGNED: "signed ", FLOAT: "floating-point "}.get(
        (*page.format, 4)[0], "complex or unknown "
    )
    kind = _NAMES.get(page.photometric, f"photometric {page.photometric}")
    parts = [f"{kind}, {page.samples} x {depth} {number}bits" if page.samples > 1 else f"{kind}, {depth} {number}bits"]
    parts += [f"{page.depth} layers deep"] if page.depth > 1 else []
    parts += ["in planes"] if page.planar == 2 and page.samples > 1 else []
    parts += [f"compression {page.compression}"] if page.compression != 1 else []
    told = "needs an extra" if not advice else "is not supported"
    return f"this kind of TIFF ({', '.join(parts)}) {told}{advice}"
