"""Known weaknesses of the pinned dependencies, by pip-audit, with a record under data/results/soak/.

    python tools/audit.py

Asks the Python package index, then OSV, and takes the first that knows every package. Exits with 1 if a weakness is
known, with 2 if neither service answers for all packages: silence is not health.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "soak")]
SERVICES = ("pypi", "osv")


def ask(service: str) -> dict[str, Any]:
    """What a service says of requirements.txt: packages it knows, those it does not, and weaknesses."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.txt"), "--no-deps",
         "--disable-pip", "--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        problem = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return {"service": service, "known": 0, "unknown": None, "weaknesses": [], "problem": problem.partition(":")[0]}
    known = [package for package in packages if "skip_reason" not in package]
    weak = [f"{p['name']} {p['version']}: {w['id']}" for p in known for w in p["vulns"]]
    return {"service": service, "known": len(known), "unknown": len(packages) - len(known), "weaknesses": weak}


def main() -> None:
    from records import leave

    began, answers = time.monotonic(), []
    for service in SERVICES:
        answers.append(ask(service))
        if answers[-1]["unknown"] == 0:
            break
    whole = answers[-1]["unknown"] == 0
    leave("audit", {"complete": whole, "answers": answers}, 0, began)
    print(json.dumps(answers, indent=2))
    if any(answer["weaknesses"] for answer in answers):
        sys.exit(1)
    if not whole:
        print("No service knows every package: nothing is shown by this.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
