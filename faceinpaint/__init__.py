"""faceinpaint: face inpainting with regional styles, its baselines, and the protocol that compares them.

The public names are imported when they are first asked for: torch takes seconds, and a name of them loads no more of
the library than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from faceinpaint.metrics import (
        FeatureStats,
        bootstrap_interval,
        fid_cleanfid,
        frechet_distance,
        frechet_features,
        kid,
        l1,
        lpips,
        psnr,
        ssim,
    )
    from faceinpaint.models.context_encoder import ContextEncoder
    from faceinpaint.models.contextual_attention import ContextualAttention
    from faceinpaint.models.facial_style import FacialStyle, RegionNorm, RegionRepair, style_matrix, style_pool
    from faceinpaint.models.gated_conv import GatedConv
    from faceinpaint.models.parser import FaceParser
    from faceinpaint.pixels import quantise
    from faceinpaint.repair.photograph import Repairer, inpaint

__all__ = [
    "ContextEncoder",
    "ContextualAttention",
    "FaceParser",
    "FacialStyle",
    "FeatureStats",
    "GatedConv",
    "RegionNorm",
    "RegionRepair",
    "Repairer",
    "__version__",
    "bootstrap_interval",
    "fid_cleanfid",
    "frechet_distance",
    "frechet_features",
    "inpaint",
    "kid",
    "l1",
    "lpips",
    "psnr",
    "quantise",
    "ssim",
    "style_matrix",
    "style_pool",
]

_HOMES = {
    "repair.photograph": ("Repairer", "inpaint"),
    "models.facial_style": ("FacialStyle", "RegionNorm", "RegionRepair", "style_matrix", "style_pool"),
    "models.context_encoder": ("ContextEncoder",),
    "models.contextual_attention": ("ContextualAttention",),
    "models.gated_conv": ("GatedConv",),
    "models.parser": ("FaceParser",),
    "pixels": ("quantise",),
    "metrics": (
        "FeatureStats", "bootstrap_interval", "fid_cleanfid", "frechet_distance", "frechet_features", "kid", "l1",
        "lpips", "psnr", "ssim",
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name, imported from its home."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"faceinpaint.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
