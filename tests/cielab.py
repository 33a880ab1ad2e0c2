"""CIE 1976 L*a*b* of sRGB colours (IEC 61966-2-1, D65), written from the standards: a reference for the colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)  # of D65


def lab(rgb: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(..., 3): L*, a*, b* of (..., 3) colours from 0 to 255."""
    values = np.asarray(rgb, np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    ratio = linear @ TO_XYZ.T / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def difference(one: npt.ArrayLike, other: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(...): the colour difference CIE76 of (..., 3) colours; about 2.3 is just noticeable."""
    return np.asarray(np.linalg.norm(lab(one) - lab(other), axis=-1))
