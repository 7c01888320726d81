"""Damaged files to every reader: taken, or refused with an error of the library's own, soon and in little memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import leave

SECONDS = float(os.environ.get("FACEINPAINT_SOAK_FUZZ_SECONDS", "300"))
MEMORY = 2 * 2**30
"""Bytes of address space beyond what the imports take."""


@pytest.mark.soak
def test_readers_stand_damaged_files(tmp_path: Path) -> None:
    seed, began = int(os.environ.get("FACEINPAINT_SOAK_SEED", random.randrange(10**6))), time.monotonic()
    here = Path(__file__).parent
    arguments = (tmp_path, SECONDS, seed, here.parent, MEMORY)
    done = subprocess.run(
        [sys.executable, str(here / "fuzz_driver.py"), *map(str, arguments)],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False, timeout=SECONDS + 600,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}\n{done.stderr[-5000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(sum(counts.values()) for counts in found["readers"].values())
    badly = {name: counts.pop("refused badly") for name, counts in found["readers"].items()}
    assert not any(badly.values()), badly
    leave("fuzz", found | {"memory_limit_mib": MEMORY // 2**20}, seed, began)
