"""How far a photo is from those that a model was trained on, in what its encoder makes of them.

The training photos' pooled features are taken for a Gaussian of few free directions and a common rest: probabilistic
principal components (Tipping & Bishop 1999, "Probabilistic principal component analysis"). The distance is Mahalanobis'
under it, as Lee et al. 2018 (arXiv:1807.03888) use it to find what a network has never seen. It needs some ten
thousand numbers, whatever the backbone.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz.errors import ModelError

RANK = 64
"""Free directions: with 32, 64 and all 120 the same photos were found, but for one or two."""

FALSE_ALARMS = 0.01
"""The share of the dev split's photos that lie beyond the threshold: see the model card for what else does."""

FEWEST = 500
"""Training photos that it takes: the covariance of fewer says little, and what it has not seen at all."""

LEAST = 1e-6
"""Floor of a deviation, and of a variance relative to the mean one: a channel that is always 0 has none."""


@dataclass(frozen=True, eq=False)
class Familiar:
    """What the training photos look like to a model, C channels, k directions.

    Attributes:
        mean, scale: (C,), of the pooled features.
        axes: (k, C), orthonormal directions of the features less their mean, over their scale.
        variances: (k,), along these.
        rest: the mean variance along all others.
        threshold: the distance from which on a photo counts as unlike them all.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float
    threshold: float

    @classmethod
    def fit(cls, seen: np.ndarray, dev: np.ndarray) -> Familiar | None:
        """From pooled features (n, C) of training photos, and of others like them, (m, C), that set the threshold.

        All numbers are rounded to float16, as they are stored. None for fewer than `FEWEST` photos.
        """
        if len(seen) < FEWEST:
            return None
        seen = np.asarray(seen, np.float64)
        mean, scale = _stored(seen.mean(0)), _stored(np.maximum(seen.std(0), LEAST))
        values, axes = np.linalg.eigh(np.cov(((seen - mean) / np.maximum(scale, LEAST)).T, bias=True))
        values, axes = values[::-1], axes.T[::-1]
        floor = max(float(values.mean()) * LEAST, 1e-4)  # float16 has no smaller ones
        k = min(RANK, len(values))
        rest = float(values[k:].mean()) if k < len(values) else 1.0
        found = cls(
            mean,
            np.maximum(scale, LEAST),
            _stored(axes[:k]),
            _stored(np.maximum(values[:k], floor)),
            float(_stored(np.array(max(rest, floor)))),
            math.inf,
        )
        return found.with_threshold(dev)

    def with_threshold(self, dev: np.ndarray) -> Familiar:
        """The same, its threshold such that `FALSE_ALARMS` of the features (m, C) lie beyond."""
        far = max(float(np.quantile(self.distance(dev), 1 - FALSE_ALARMS)), LEAST)
        return Familiar(self.mean, self.scale, self.axes, self.variances, self.rest, float(f"{far:.4g}"))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """(n, C) -> (n,): the squared Mahalanobis distance, sum_j z_j^2 / variance_j over the directions, and what is
        left of |features|^2 over `rest`; about C for a training photo."""
        away = (np.asarray(features, np.float64) - self.mean) / self.scale
        along = away @ self.axes.T
        left = np.maximum((away**2).sum(1) - (along**2).sum(1), 0)
        return np.asarray((along**2 / self.variances).sum(1) + left / self.rest)

    def strangeness(self, features: np.ndarray) -> np.ndarray:
        """(n, C) -> (n,): the distance over the threshold; above 1, a photo is unlike all that the model knows."""
        return self.distance(features) / self.threshold

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the arrays one after the other, as float16 in base64."""
        parts = (self.mean, self.scale, self.axes.ravel(), self.variances, [self.rest])
        numbers = np.concatenate(parts).astype("<f2")
        text = base64.b64encode(numbers.tobytes()).decode()
        return {"channels": len(self.mean), "rank": len(self.axes), "threshold": self.threshold, "numbers": text}

    @classmethod
    def from_dict(cls, fields: Any, channels: int) -> Familiar:
        """Reads what `to_dict` wrote, for a backbone with that many channels. Raises ModelError for anything else."""
        try:
            if not isinstance(fields, Mapping):
                raise TypeError("no object")
            c, k, threshold = fields["channels"], fields["rank"], float(fields["threshold"])
            numbers = np.frombuffer(base64.b64decode(fields["numbers"], validate=True), "<f2").astype(np.float64)
            if (type(c), type(k)) != (int, int) or c != channels or not 0 < k <= c:
                raise ValueError(f"it is not of {channels} channels")
            mean, scale, axes, variances, rest = np.split(numbers, np.cumsum([c, c, k * c, k]))
            if len(rest) != 1 or not (
                np.isfinite(numbers).all() and (variances > 0).all() and rest[0] > 0 and 0 < threshold < math.inf
            ):
                raise ValueError("numbers that cannot be")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"what it says of its training photos cannot be read ({error}); fetch it anew") from error
        return cls(mean, np.maximum(scale, LEAST), axes.reshape(k, c), variances, float(rest[0]), threshold)


def _stored(values: np.ndarray) -> np.ndarray:
    """As a checkpoint keeps them."""
    return np.asarray(values, np.float16).astype(np.float64)
