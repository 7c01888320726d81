"""Drawn faces, holes and test pairs are the same on every supported Python that is here, with a record of which."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import leave

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_determinism import DRAW, DRAWN, ROOT, STUBS, interpreters

ABOUT = """
import platform, numpy, PIL
found["python"] = {"python": platform.python_version(), "numpy": numpy.__version__, "pillow": PIL.__version__}
"""


@pytest.mark.soak
def test_every_python_draws_the_same() -> None:
    began, versions = time.monotonic(), []
    for python in (sys.executable, *interpreters()):
        done = subprocess.run(
            [python, "-c", f"{STUBS}{DRAW}{ABOUT}\nprint(json.dumps(found))"], cwd=ROOT, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        versions.append(found.pop("python"))
        assert found == DRAWN, python
    minors = {".".join(v["python"].split(".")[:2]) for v in versions}
    if not {"3.11", "3.12", "3.13"} <= minors:
        pytest.skip(f"only {sorted(minors)} here; name others with NumPy and Pillow in FACEINPAINT_PYTHONS")
    leave("pythons", {"pythons": versions, "hashes": DRAWN, "machine": platform.machine()}, 0, began)
