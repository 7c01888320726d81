"""Build the book: run its chapters, write its pages and its notebooks, print the path of the first page.

python book/build.py --out _build
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # of this Python, whatever stands first on the PATH


def build(
    out: Path,
    root: Path = ROOT,
    parameters: dict[str, str] | None = None,
    quiet: bool = True,
) -> Path:
    """Build the book of the repository ``root``; executed chapters are kept beside the pages, for the next time.

    Args:
        out: folder of the build; called ``_build``, or else one of that name is made in it, as Jupyter Book wants.
        root: holds ``_config.yml`` and ``_toc.yml``.
        parameters: replace those of the chapters, such as ``{"PRESET": "gpu", "FACES": "/data/CelebAMask-HQ"}``.
        quiet: show warnings and errors alone.

    Returns:
        path of the first page.

    Raises:
        SystemExit: a chapter failed, or the build warned of something.
    """
    out = out.resolve()
    place = out.parent if out.name == "_build" else out
    made = place / "_build"
    made.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(root), "--path-output", str(place)]
    command += ["-W", "-n", "--keep-going"] + (["-q"] if quiet else [])
    environment = os.environ | {"CHAPTER_PARAMETERS": json.dumps(parameters or {})}
    with open(made / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds in one folder take turns
        # Pages are written afresh: a page read earlier would not warn again, and one taken out would stay.
        for old in ("html", ".doctrees"):
            shutil.rmtree(made / old, ignore_errors=True)
        if subprocess.run(command, env=environment).returncode:
            raise SystemExit("the book was not built: see above")
    return made / "html" / "index.html"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "_build",
        help="folder of the build (default: _build)",
    )
    parser.add_argument("--preset", help="run the chapters at another preset, such as gpu")
    parser.add_argument(
        "--faces",
        help="run the chapters on these faces: a folder with CelebAMask-HQ",
    )
    parser.add_argument("--verbose", action="store_true", help="show what Sphinx does")
    given = parser.parse_args()
    parameters = {
        "PRESET": given.preset,
        "FACES": given.faces and str(Path(given.faces).resolve()),
    }
    page = build(
        given.out,
        ROOT,
        {name: v for name, v in parameters.items() if v},
        not given.verbose,
    )
    print(page)


if __name__ == "__main__":
    main()
