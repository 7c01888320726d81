"""What every soak run leaves behind: a JSON record under ``data/results/soak/``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from faceinpaint.provenance import stamp

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results" / "soak"


def stamped(seed: int, began: float) -> dict[str, Any]:
    """Seed, time taken since ``began`` (of the monotonic clock), date, device, versions and commit."""
    return {"seed": seed} | stamp(time.monotonic() - began, "cpu")


def leave(name: str, about: dict[str, Any], seed: int, began: float) -> None:
    """Write ``name.json``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"kind": name} | about | stamped(seed, began), indent=2, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
