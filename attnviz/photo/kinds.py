"""Kinds of image files: told apart by their first bytes, and by their suffixes where only a name is at hand."""

from __future__ import annotations

import struct

READ = "JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF or HEIC"
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"),
    *(".avif", ".heic", ".heif", ".hif"),
)
LIKE_PHOTOS = (
    *(".jxl", ".jp2", ".j2k", ".jpx", ".jxr", ".psd", ".psb", ".exr", ".hdr", ".tga", ".ppm", ".pgm", ".pnm", ".bpg"),
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srw", ".orf", ".rw2", ".raf", ".pef", ".x3f"),
    *(".raw", ".3fr", ".iiq", ".dcm", ".avifs", ".heics"),
)
"""Suffixes of pictures that a folder is not searched for: few can be read, and raw files stand beside their JPEG."""

_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of each version of its header
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS = (
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (0, b"II\xbc\x01", "a JPEG XR file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (0, b"#?RADIANCE", "a Radiance HDR file"),
    (0, b"\0\0\x01\0", "an icon file"),
    (0, b"BPG\xfb", "a BPG file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (128, b"DICM", "a DICOM file"),
    (0, b"IIU\0", "a camera's raw file (Panasonic)"),
    (0, b"IIRO", "a camera's raw file (Olympus)"),
    (0, b"IIRS", "a camera's raw file (Olympus)"),
    (0, b"MMOR", "a camera's raw file (Olympus)"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file (Fujifilm)"),
    (0, b"FOVb", "a camera's raw file (Sigma)"),
    (4, b"ftypcrx ", "a camera's raw file (Canon)"),
    (4, b"ftyp", "a video"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML file, such as an SVG drawing"),
    (0, b"<!doctype html", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
)


def kind_of(data: bytes) -> str | None:
    """Which of the kinds that are read a file is, by its first bytes; None for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith(b"GIF8"):
        return "GIF"
    if data.startswith(_TIFF):
        return "TIFF"
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    # Two letters say little. The next four bytes are the file's length, and four zeros follow in every BMP.
    if data.startswith(b"BM") and not any(data[6:10]):
        return "BMP" if len(data) < 18 or struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS else None
    return None


def what_else(data: bytes) -> str | None:
    """What a file of another kind is, such as "a PDF"; None where that is not known."""
    if data.startswith(b"RIFF"):
        return "a sound or video (RIFF)"
    start = data[:16].lower()
    for at, magic, name in _OTHERS:
        if data[at : at + len(magic)] == magic or (magic[:1] == b"<" and start.lstrip().startswith(magic)):
            return name
    return None


def canvas(data: bytes) -> tuple[int, int] | None:
    """(H, W) of the canvas that a WebP or GIF asks for; None for other kinds, and where its header is cut off.

    Their decoders take memory for it as soon as they see the header, so it is looked at before them.
    """
    try:
        if data.startswith(b"GIF8"):
            width, height = struct.unpack_from("<HH", data, 6)
            return height, width
        if data[8:12] != b"WEBP":
            return None
        chunk = data[12:16]
        if chunk == b"VP8X":
            return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
        if chunk == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
        width, height = struct.unpack_from("<HH", data, 26)
    except struct.error:
        return None
    return height & 0x3FFF, width & 0x3FFF


def _by_brand(data: bytes) -> str | None:
    """AVIF or HEIC, whose files begin alike: the first brand that is known decides."""
    size = min(int.from_bytes(data[:4], "big"), 512)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))]
    for brand in brands:
        if brand in (b"avif", b"avis"):
            return "AVIF"
        if brand in _HEIC and brand not in (b"mif1", b"msf1"):
            return "HEIC"
    return "HEIC" if brands[0] in _HEIC else None
