"""faceinpaint: face inpainting with regional styles, its baselines, and the protocol that compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from faceinpaint.repair.photograph import inpaint as inpaint

__all__ = ["__version__", "inpaint"]


def __getattr__(name: str) -> Any:
    """``faceinpaint.inpaint``, imported when it is first asked for: it needs torch, which takes seconds."""
    if name == "inpaint":
        from faceinpaint.repair.photograph import inpaint

        return inpaint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
