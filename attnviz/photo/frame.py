"""Where the model looked, in pixels of the photo: the map between a photo, the model's input and the score grid.

Coordinates are continuous and (y, x): pixel i covers [i, i + 1], so its centre is i + 0.5. Sizes are (height, width).
Everything is separable, so each axis is dealt with by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError
from attnviz.photo.interpolation import interpolation
from attnviz.photo.sizes import MAX_SIDE, Reals, Size, real_pair, whole, whole_pair

Floats = npt.NDArray[np.float64]

IMAGENET_MEAN = (124, 116, 104)  # the mean colour of ImageNet, near zero once the input is normalised
SMOOTH_FROM = 2.0  # drawn pixels a cell; smaller cells are averaged by area, since samples of a tent would alias


@dataclass(frozen=True)
class Frame:
    """How an upright photo became a model's input, and how that input falls into the cells of a grid.

    On each axis `input_px = photo_px * resized / photo + offset`. Where `resized` and `offset` are whole numbers, they
    are the ones that the resize really used, so the inverse is exact, rounding included. They have a fraction where a
    model cuts or pads the photo before it resizes it.

    Args:
        photo: size of the upright photo, (H, W) in pixels.
        input: size of the model's input, (H, W) in pixels.
        grid: cells of the score grid, (h, w). They share the input evenly.
        resized: size of the whole photo after the resize, (H, W) in input pixels; ints, or floats with a fraction.
        offset: input position of the resized photo's corner, (top, left): above 0 there is padding, below 0 the photo
            is cut off.

    Raises:
        ConfigError: sizes that are not positive, or not whole where they must be, or a photo that lies outside the
            input altogether.
    """

    photo: Size
    input: Size
    grid: Size
    resized: Reals
    offset: Reals

    def __post_init__(self) -> None:
        for field in ("photo", "input", "grid"):
            object.__setattr__(self, field, whole_pair(f"frame: {field}", getattr(self, field)))
        object.__setattr__(self, "resized", real_pair("frame: resized", self.resized))
        object.__setattr__(self, "offset", real_pair("frame: offset", self.offset, least=-MAX_SIDE))
        for start, stop in map(self._visible, (0, 1)):
            if start >= stop:
                raise ConfigError(
                    f"frame: a photo resized to {self.resized} at {self.offset} misses its {self.input} input"
                )

    @classmethod
    def stretch(cls, photo: Size, input: Size, grid: Size) -> Self:
        """The whole photo squeezed to the input, whatever its shape."""
        return cls(photo, input, grid, resized=input, offset=(0, 0))

    @classmethod
    def letterbox(cls, photo: Size, input: Size, grid: Size) -> Self:
        """The whole photo, in its own proportions, in the middle of the input, with padding beside it."""
        photo, input = whole_pair("photo size", photo), whole_pair("input size", input)
        scale = min(input[0] / photo[0], input[1] / photo[1])
        height, width = (min(max(round(p * scale), 1), i) for p, i in zip(photo, input, strict=True))
        return cls(photo, input, grid, (height, width), ((input[0] - height) // 2, (input[1] - width) // 2))

    @classmethod
    def crop(cls, photo: Size, input: Size, grid: Size, resize: int | None = None) -> Self:
        """The shorter side resized to `resize` pixels, then the middle of the photo cut out.

        The rounding is that of torchvision's `Resize(resize)` and `CenterCrop(input)`. Without `resize` the photo
        becomes as small as covers the input.

        Raises:
            ConfigError: the resized photo would be smaller than the input.
        """
        photo, input = whole_pair("photo size", photo), whole_pair("input size", input)
        if resize is not None:
            short = whole("resize", resize)
            height, width = (short if p == min(photo) else int(short * p / min(photo)) for p in photo)
            if height < input[0] or width < input[1]:
                raise ConfigError(
                    f"resize {short} makes a {height}x{width} picture, less than the {input[0]}x{input[1]} input; "
                    f"give at least {max(input)}"
                )
        elif input[0] * photo[1] >= input[1] * photo[0]:
            height, width = input[0], max(input[1], photo[1] * input[0] // photo[0])
        else:
            height, width = max(input[0], photo[0] * input[1] // photo[1]), input[1]
        # round() takes halves to the even number, as CenterCrop does.
        return cls(
            photo, input, grid, (height, width), (-round((height - input[0]) / 2), -round((width - input[1]) / 2))
        )

    @classmethod
    def of(cls, kind: str, photo: Size, input: Size, grid: Size) -> Self:
        """The frame of a model that takes its photos by `kind`: "stretch", "letterbox" or "crop".

        Raises:
            ConfigError: another kind.
        """
        makers = {"stretch": cls.stretch, "letterbox": cls.letterbox, "crop": cls.crop}
        if kind not in makers:
            raise ConfigError(f"frame: there is no kind {kind!r}; there are {', '.join(makers)}")
        return makers[kind](photo, input, grid)

    @classmethod
    def measure(cls, preprocess: Callable[[Any], Any], photo: Size, grid: Size) -> Self:
        """The frame of somebody's own preprocessing, measured by sending a few test pictures through it.

        Args:
            preprocess: takes a PIL image and gives the model's input, whatever it does with pixel values on the way:
                an array or tensor (H, W), (C, H, W), (H, W, C), or (1, C, H, W), a PIL image, or a mapping with
                "pixel_values".
            photo: size of the upright photo, (H, W) in pixels.
            grid: cells of the score grid, (h, w).

        Returns:
            `resized` and `offset` to a quarter of a pixel, whole numbers where they are so close to these that they
            must be meant.

        Raises:
            ConfigError: a preprocessing that fails, mirrors, turns or bends the photo, is random, or gives several
                tiles (see `attnviz.photo.measure.measure_tiles`).
        """
        from attnviz.photo.measure import measure_one

        found = measure_one(preprocess, whole_pair("photo size", photo))
        return cls(photo, found.input, grid, found.resized, found.offset)

    @property
    def kind(self) -> str:
        """What the model saw: part of the photo ("crop"), all with padding beside ("letterbox"), or all ("stretch")."""
        spans = tuple(zip(self.offset, self.resized, self.input, strict=True))
        if any(offset < 0 or offset + resized > size for offset, resized, size in spans):
            return "crop"
        return "stretch" if all(resized == size for _, resized, size in spans) else "letterbox"

    def apply(self, pixels: npt.NDArray[np.uint8], fill: tuple[int, int, int] = IMAGENET_MEAN) -> npt.NDArray[np.uint8]:
        """The model's input: the photo resized (bilinear, antialiased), then cut or padded with the colour `fill`.

        Args:
            pixels: (H, W, 3) uint8, the photo.

        Returns:
            (H, W, 3) uint8 of the size `input`.

        Raises:
            ConfigError: pixels of another size than `photo`, or that are not RGB bytes; or a frame that has fractions.
        """
        if not all(isinstance(edge, int) for edge in (*self.resized, *self.offset)):
            raise ConfigError(
                f"a frame of {self.resized} at {self.offset} was measured; only the model's own code makes its input"
            )
        if pixels.dtype != np.uint8 or pixels.shape != (*self.photo, 3):
            raise ConfigError(
                f"this frame takes uint8 pixels of {(*self.photo, 3)}, not {pixels.dtype} of {pixels.shape}"
            )
        from PIL import Image

        (top, bottom), (left, right) = spans = [tuple(map(int, self._visible(axis))) for axis in (0, 1)]
        # Only what the input shows is computed: the rest of a long strip could be huge. The filter still reaches over
        # the edge of the box, so this equals resizing the whole and cutting.
        (y0, y1), (x0, x1) = (
            [min((edge - self.offset[axis]) * self.photo[axis] / self.resized[axis], self.photo[axis]) for edge in span]
            for axis, span in enumerate(spans)
        )
        shown = Image.fromarray(pixels).resize(
            (right - left, bottom - top), Image.Resampling.BILINEAR, (x0, y0, x1, y1)
        )
        canvas = np.empty((*self.input, 3), np.uint8)
        canvas[:] = fill
        canvas[top:bottom, left:right] = np.asarray(shown)
        return canvas

    def to_input(self, points: npt.ArrayLike) -> Floats:
        """(..., 2) points (y, x) of the photo as points of the model's input, in pixels."""
        inside: Floats = np.asarray(points, np.float64) * self._scale + np.asarray(self.offset)
        return inside

    def to_photo(self, points: npt.ArrayLike) -> Floats:
        """(..., 2) points (y, x) of the model's input as points of the photo, in pixels: the inverse of `to_input`."""
        outside: Floats = (np.asarray(points, np.float64) - np.asarray(self.offset)) / self._scale
        return outside

    def centres(self) -> Floats:
        """(h, w, 2): each cell's centre (y, x) on the photo, in pixels; on padding it lies outside the photo."""
        ticks = [(np.arange(cells) + 0.5) * size / cells for cells, size in zip(self.grid, self.input, strict=True)]
        return self.to_photo(np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1))

    def boxes(self) -> Floats:
        """(h, w, 4): each cell's box (y0, x0, y1, x1) on the photo, in pixels, not clipped to the photo."""
        ticks = [np.arange(cells + 1) * size / cells for cells, size in zip(self.grid, self.input, strict=True)]
        corners = self.to_photo(np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1))
        return np.concatenate([corners[:-1, :-1], corners[1:, 1:]], axis=-1)

    def coverage(self) -> Floats:
        """(h, w): the fraction of each cell's area that shows the photo, from 1 inside it to 0 on padding."""
        fractions = []
        for axis in (0, 1):
            start, stop = map(float, self._visible(axis))
            edges = np.arange(self.grid[axis] + 1) * self.input[axis] / self.grid[axis]
            shown = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)
            fractions.append(np.clip(shown * self.grid[axis] / self.input[axis], 0, 1))
        return np.outer(*fractions)

    def to_cells(self, boxes: npt.ArrayLike) -> Floats:
        """Boxes (n, 4) of (y0, x0, y1, x1) as fractions of the photo -> the same in cells: (0, 0) is the grid's corner,
        and cell (i, j) is [i, i + 1) x [j, j + 1). Parts that the model did not see lie beyond the grid.
        """
        corners = np.asarray(boxes, float).reshape(-1, 2, 2) * self.photo
        return np.asarray(self.to_input(corners) * np.divide(self.grid, self.input)).reshape(-1, 4)

    def cell_size(self, size: Size | None = None) -> tuple[float, float]:
        """(height, width) of a cell in pixels of the photo, or of a picture of the whole photo of size `size`."""
        size = self._picture(size)
        height, width = (self.input[axis] * size[axis] / (self.grid[axis] * self.resized[axis]) for axis in (0, 1))
        return height, width

    def seen(self, size: Size | None = None) -> npt.NDArray[np.bool_]:
        """(H, W): the pixels that the model saw, of the photo or of a picture of the whole photo of size `size`.

        A pixel counts by its centre. Where the picture is so small that no centre lies in what the model saw, the
        pixel at the middle of that does.
        """
        height, width = self._picture(size)
        mask = np.zeros((height, width), np.bool_)
        mask[self._seen(0, height), self._seen(1, width)] = True
        return mask

    def upsample(self, grids: npt.ArrayLike, size: Size | None = None, cells: bool = False) -> npt.NDArray[np.float32]:
        """Values of the grid on the pixels of the photo, or of a picture of the whole photo of size `size`.

        Bilinear between the cells' centres; beyond the outermost centres the value stays. On an axis where a cell is
        smaller than 2 pixels, each pixel has the mean of the cells it covers, by area. With `cells`, each pixel has
        the value of the cell that its centre lies in (by area where cells are smaller than a pixel). Cells that lie
        on padding altogether take no part.

        Args:
            grids: (..., h, w), any number of grids.

        Returns:
            (..., H, W) float32; NaN where the model saw nothing.

        Raises:
            ConfigError: grids of another shape than `grid`, or a size that is not positive.
        """
        size = self._picture(size)
        values = np.asarray(grids, np.float32)
        if values.ndim < 2 or values.shape[-2:] != self.grid:
            raise ConfigError(f"grids of shape {values.shape} do not fit a frame of {self.grid} cells")
        rows, columns = (self._interpolation(axis, size[axis], cells) for axis in (0, 1))
        # One product for the rows of all grids, one for the columns.
        pixels: npt.NDArray[np.float32] = np.matmul(np.matmul(rows, values).reshape(-1, self.grid[1]), columns.T)
        pixels = pixels.reshape(*values.shape[:-2], *size)
        if self.kind == "crop":
            rows_seen, columns_seen = self._seen(0, size[0]), self._seen(1, size[1])
            pixels[..., : rows_seen.start, :] = np.nan
            pixels[..., rows_seen.stop :, :] = np.nan
            pixels[..., : columns_seen.start] = np.nan
            pixels[..., columns_seen.stop :] = np.nan
        return pixels

    def to_dict(self) -> dict[str, list[float]]:
        """The fields as JSON-ready lists, of ints where there is no fraction."""
        return {name: list(pair) for name, pair in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: Any) -> Self:
        """A frame from what `to_dict` gave. Raises ConfigError on anything else."""
        if not isinstance(fields, dict) or set(fields) != set(cls.__dataclass_fields__):
            raise ConfigError(f"a frame has the fields {', '.join(cls.__dataclass_fields__)}")
        return cls(**fields)

    @property
    def _scale(self) -> Floats:
        """Input pixels a photo pixel, (2,)."""
        return np.divide(self.resized, self.photo, dtype=np.float64)

    def _picture(self, size: Size | None) -> Size:
        return self.photo if size is None else whole_pair("picture size", size)

    def _exact(self, axis: int) -> tuple[Fraction, Fraction]:
        """Offset and resized size of an axis, to compute with without rounding."""
        return Fraction(self.offset[axis]), Fraction(self.resized[axis])

    def _visible(self, axis: int) -> tuple[Fraction, Fraction]:
        """The part of the input, in input pixels, that shows the photo."""
        offset, resized = self._exact(axis)
        return max(Fraction(0), offset), min(Fraction(self.input[axis]), offset + resized)

    def _seen(self, axis: int, size: int) -> slice:
        """The pixels, of `size` over the whole photo, whose centre the input shows, exactly."""
        offset, resized = self._exact(axis)
        start = max(0, -((2 * offset * size + resized) // (2 * resized)))
        stop = min(size, (2 * (self.input[axis] - offset) * size - resized) // (2 * resized) + 1)
        if start < stop:
            return slice(start, stop)
        middle = (sum(self._visible(axis)) - 2 * offset) * size // (2 * resized)
        return slice(min(middle, size - 1), min(middle, size - 1) + 1)

    def _interpolation(self, axis: int, size: int, cells: bool) -> npt.NDArray[np.float32]:
        """(size, n) matrix from the n cells of an axis to `size` pixels over the whole photo; each row sums to 1."""
        count = self.grid[axis]
        start, stop = (edge * count for edge in self._visible(axis))
        first, last = start // self.input[axis], -(-stop // self.input[axis]) - 1  # the cells that show some of it
        edges = (np.arange(size + 1) * (self.resized[axis] / size) + self.offset[axis]) * (count / self.input[axis])
        smooth = self.cell_size((size, size))[axis] >= (1.0 if cells else SMOOTH_FROM)
        return interpolation(edges, count, (first, last), "area" if not smooth else "nearest" if cells else "linear")
