"""Books for tests: the real one, built once for a whole run of the tests, and tiny ones."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
sys.path.insert(0, str(BOOK))

import chapters  # noqa: E402, F401
from build import build  # noqa: E402

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
"""Every page of the book, in its order."""


def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder ``_build`` of the real book; processes of one run of the tests share it.

    Chapters that ``make book`` or earlier tests have run, and that have not changed since, are not run again.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "book"
    shared.mkdir(exist_ok=True)
    out, kept = shared / "_build", ROOT / "_build" / "notebooks"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            if kept.exists():
                shutil.copytree(kept, out / "notebooks")
            try:
                build(out)
            except SystemExit as error:
                (shared / "done").write_text(str(error))
            else:
                (shared / "done").touch()
            if (out / "notebooks").exists():
                shutil.copytree(out / "notebooks", kept, dirs_exist_ok=True)
    problem = (shared / "done").read_text()
    if problem:
        pytest.fail(problem)
    return out


def tiny_book(root: Path, pages: dict[str, str]) -> Path:
    """A book of a few pages with the real one's configuration; pages are given without their head."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] = {"chapters": str(BOOK)}
    config["sphinx"]["config"]["html_static_path"] = [str(ROOT / p) for p in ("book/_vendor", "book/_assets")]
    config["sphinx"]["config"]["html_favicon"] = str(BOOK / "_assets" / "favicon.svg")
    config["sphinx"]["config"]["extensions"].remove("sphinxcontrib.bibtex")
    del config["bibtex_bibfiles"]
    for folder in ("book", "faceinpaint", "data/raw"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    names = list(pages)
    toc = {"format": "jb-book", "root": f"book/{names[0]}", "chapters": [{"file": f"book/{n}"} for n in names[1:]]}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    head = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3, language: python}\n---\n\n"
    for name, text in pages.items():
        (root / "book" / f"{name}.md").write_text(head + text, encoding="utf-8")
    return root
