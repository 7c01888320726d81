"""Coverage of the library by the tests of its modules, by lines and by branches, with a record.

    python tools/cover.py                          every module's tests; record data/results/soak/coverage.json
    python tools/cover.py tests/test_masks.py      what these reach, printed only

Processes that tests start are counted too. Tests that prove something about the whole (properties, numerics,
determinism, the book, its pages) are left out: what counts is reached by the tests written for it.
Exits with 1 if a test fails, or the whole is below 95% of lines or 90% of branches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "soak")]
LEFT_OUT = {"book", "browser", "determinism", "numerics", "properties", "readme"}
LIMITS = {"lines": 0.95, "branches": 0.90}


def counted(summary: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Covered and existing lines and branches of a file, or of all."""
    names = {"lines": ("covered_lines", "num_statements"), "branches": ("covered_branches", "num_branches")}
    found = {}
    for kind, (covered, there) in names.items():
        share = summary[covered] / summary[there] if summary[there] else 1.0
        found[kind] = {"covered": summary[covered], "of": summary[there], "share": round(share, 4)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", help="test files; default: those of all modules")
    parser.add_argument("--jobs", type=int, default=2, help="test processes at a time")
    arguments = parser.parse_args()
    stems = (path.stem.removeprefix("test_") for path in sorted((ROOT / "tests").glob("test_*.py")))
    tests = arguments.tests or [f"tests/test_{stem}.py" for stem in stems if stem not in LEFT_OUT]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faceinpaint-cover-") as folder:
        told = Path(folder) / "coverage.json"
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "COVERAGE_FILE": f"{folder}/data",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }  # fmt: skip
        how = ["-q", "-n", str(arguments.jobs), "--dist", "loadfile", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *how, "-m", "not soak and not browser", "--cov", "--cov-report",
             f"json:{told}", "--cov-report", "term:skip-covered", *tests],
            cwd=ROOT, env=environment, check=False,
        )  # fmt: skip
        found = json.loads(told.read_text(encoding="utf-8"))
    whole = counted(found["totals"])
    print(", ".join(f"{kind} {part['covered']} of {part['of']} ({part['share']:.1%})" for kind, part in whole.items()))
    if done.returncode:
        sys.exit("a test failed: no record")
    if arguments.tests:
        return
    from records import leave

    modules = {
        name.removeprefix("faceinpaint/").removesuffix(".py"): counted(file["summary"])
        for name, file in sorted(found["files"].items())
    }
    tests = [Path(test).stem for test in tests]
    leave("coverage", {**whole, "limits": LIMITS, "modules": modules, "tests": tests}, 0, began)
    low = [kind for kind, limit in LIMITS.items() if whole[kind]["share"] < limit]
    if low:
        sys.exit(f"too few {' and '.join(low)}")


if __name__ == "__main__":
    main()
