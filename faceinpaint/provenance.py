"""What a number was made with, for the records of trainings and of measurements: the code's commit, and versions."""

from __future__ import annotations

import datetime
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

import torch


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on.

    >>> sorted(versions())[:3]
    ['faceinpaint', 'lightning-fabric', 'numpy']
    """
    found = {"python": platform.python_version()}
    for name in ("faceinpaint", "torch", "numpy", "opencv-python-headless", "pillow", "lightning-fabric"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"torch": str(torch.__version__)}  # which names the build, as in 2.13.0+cpu; the package does not


def commit() -> str | None:
    """Git commit of the checkout, with ``+`` if anything but a record differs from it; None outside of one.

    A package that is installed somewhere inside another project's checkout has no commit.

    >>> there = commit()
    >>> there is None or len(there.rstrip("+")) == 40
    True
    """
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        changed = git("diff", "--name-only", "HEAD", "--", ":(top)", ":(top,exclude)data/results")
        added = git("ls-files", "--others", "--exclude-standard")  # a new module of the package
        return git("rev-parse", "HEAD") + "+" * bool(changed or added)
    except (OSError, subprocess.CalledProcessError):
        return None


def device_name(device: torch.device) -> str:
    """What a results record calls a device: the GPU's name, or the CPU with its threads.

    >>> device_name(torch.device("cpu")).startswith("CPU, ")
    True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def stamp(seconds: float | None = None, device: torch.device | str | None = None) -> dict[str, Any]:
    """What every record ends with: time taken, device, date, versions and commit.

    Args:
        seconds: how long it took; left out if not given.
        device: what it ran on; left out if not given.

    >>> list(stamp(seconds=1.26, device="cpu"))
    ['seconds', 'device', 'date', 'versions', 'commit']
    """
    made: dict[str, Any] = {} if seconds is None else {"seconds": round(seconds, 1)}
    if device is not None:
        made["device"] = device_name(torch.device(device))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return made | {"date": today, "versions": versions(), "commit": commit()}


def repository() -> str | None:
    """Address of the repository, as the package's metadata have it from ``pyproject.toml``; None where they do not.

    >>> address = repository()
    >>> address is None or address.startswith("https://")
    True
    """
    try:
        urls = metadata("faceinpaint").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = dict(url.split(", ", 1) for url in urls)
    return named.get("Repository")
