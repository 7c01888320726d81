"""Every bad file to its reader and to its command, counted by kind, with a record."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from records import leave

TESTS = Path(__file__).resolve().parents[1]
FILES = {"readers": "test_bad_input.py", "commands": "test_bad_commands.py"}


@pytest.mark.soak
def test_bad_input_is_refused(tmp_path: Path) -> None:
    began, counts = time.monotonic(), {}
    for kind, file in FILES.items():
        report = tmp_path / f"{kind}.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(TESTS / file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-5000:]
        cases = [case.get("name", "").partition("[") for case in ElementTree.parse(report).iter("testcase")]
        # A test without parameters is no case of bad input, but a check of the cases themselves.
        counts[kind] = dict(Counter(name.removeprefix("test_") for name, bracket, _ in cases if bracket))
    totals = {kind: sum(found.values()) for kind, found in counts.items()}
    assert totals["readers"] >= 500
    assert totals["commands"] >= 350
    leave("refusals", {"cases": totals, "tests": counts}, 0, began)
