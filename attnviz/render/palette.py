"""Colour maps: 256 RGB entries from low to high.

The default is here as data, so that drawing does not import matplotlib; any other name is looked up there.
"""

from __future__ import annotations

import difflib

import numpy as np
import numpy.typing as npt

from attnviz.errors import ConfigError

Bytes = npt.NDArray[np.uint8]

DEFAULT = "plasma"

# matplotlib's "plasma" (CC0, by Nathaniel J. Smith and Stefan van der Walt), rounded to bytes. Perceptually uniform,
# and bright and saturated from end to end: over a photo its low end stays a colour where others become a shadow.
_PLASMA = (
    "0d088710078813078916078a19068c1b068d1d068e20068f2206902406912605912805922a05932c05942e05952f05963105973305973504"
    "9837049938049a3a049a3c049b3e049c3f049c41049d43039e44039e46039f48039f4903a04b03a14c02a14e02a25002a25102a35302a355"
    "02a45601a45801a45901a55b01a55c01a65e01a66001a66100a76300a76400a76600a76700a86900a86a00a86c00a86e00a86f00a87100a8"
    "7201a87401a87501a87701a87801a87a02a87b02a87d03a87e03a88004a88104a78305a78405a78606a68707a68808a68a09a58b0aa58d0b"
    "a58e0ca48f0da4910ea3920fa39410a29511a19613a19814a099159f9a169f9c179e9d189d9e199da01a9ca11b9ba21d9aa31e9aa51f99a6"
    "2098a72197a82296aa2395ab2494ac2694ad2793ae2892b02991b12a90b22b8fb32c8eb42e8db52f8cb6308bb7318ab83289ba3388bb3488"
    "bc3587bd3786be3885bf3984c03a83c13b82c23c81c33d80c43e7fc5407ec6417dc7427cc8437bc9447aca457acb4679cc4778cc4977cd4a"
    "76ce4b75cf4c74d04d73d14e72d24f71d35171d45270d5536fd5546ed6556dd7566cd8576bd9586ada5a6ada5b69db5c68dc5d67dd5e66de"
    "5f65de6164df6263e06363e16462e26561e26660e3685fe4695ee56a5de56b5de66c5ce76e5be76f5ae87059e97158e97257ea7457eb7556"
    "eb7655ec7754ed7953ed7a52ee7b51ef7c51ef7e50f07f4ff0804ef1814df1834cf2844bf3854bf3874af48849f48948f58b47f58c46f68d"
    "45f68f44f79044f79143f79342f89441f89540f9973ff9983ef99a3efa9b3dfa9c3cfa9e3bfb9f3afba139fba238fca338fca537fca636fc"
    "a835fca934fdab33fdac33fdae32fdaf31fdb130fdb22ffdb42ffdb52efeb72dfeb82cfeba2cfebb2bfebd2afebe2afec029fdc229fdc328"
    "fdc527fdc627fdc827fdca26fdcb26fccd25fcce25fcd025fcd225fbd324fbd524fbd724fad824fada24f9dc24f9dd25f8df25f8e125f7e2"
    "25f7e425f6e626f6e826f5e926f5eb27f4ed27f3ee27f3f027f2f227f1f426f1f525f0f724f0f921"
)


def names() -> list[str]:
    """The colour maps there are, the default first."""
    from matplotlib import colormaps

    return [DEFAULT, *sorted(set(colormaps) - {DEFAULT}, key=str.lower)]


def colours(name: str = DEFAULT) -> Bytes:
    """The colour map `name` as (256, 3) uint8, RGB.

    Raises:
        ConfigError: matplotlib knows no such colour map; the message names the closest ones.
    """
    if name == DEFAULT:
        return np.frombuffer(bytes.fromhex(_PLASMA), np.uint8).reshape(256, 3)
    from matplotlib import colormaps

    if str(name) not in colormaps:
        known = {known.lower(): known for known in colormaps}
        close = [known[match] for match in difflib.get_close_matches(str(name).lower(), known, n=3)]
        hint = f"did you mean {' or '.join(close)}?" if close else f"{DEFAULT}, viridis or cividis read well"
        raise ConfigError(f"no colour map is called {name!r}: {hint}")
    table: Bytes = np.rint(colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    return table
