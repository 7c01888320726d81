"""What every soak run leaves behind: a JSON record under ``data/results/soak/``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch

from faceinpaint.provenance import commit, device_name, versions

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results" / "soak"


def stamp(seed: int, began: float) -> dict[str, Any]:
    """Seed, time taken since ``began`` (of the monotonic clock), date, device, versions and commit."""
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - began, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": device_name(torch.device("cpu")),
        "versions": versions(),
        "commit": commit(),
    }


def leave(name: str, about: dict[str, Any], seed: int, began: float) -> None:
    """Write ``name.json``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"kind": name} | about | stamp(seed, began), indent=2, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
