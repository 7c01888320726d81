"""The systems of the comparison table, one file each; every generator is called the same way."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """What every generator returns.

    Attributes:
        image: repaired photograph (B, 3, H, W) in [-1, 1], raw: known pixels are the network's too. (The parser's:
            scores of regions.)
        coarse: first-stage result of the same shape for two-stage methods, else None.
    """

    image: Tensor
    coarse: Tensor | None = None
