"""Books for tests: the real one, built once for a whole run of the tests, tiny ones, and a browser to read them."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from build import build

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
"""Every page of the book, in its order."""


def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder ``_build`` of the real book; processes of one run of the tests share it.

    Chapters that ``make book`` or earlier tests have run, and that have not changed since, are not run again, nor are
    networks exported again.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "book"
    shared.mkdir(exist_ok=True)
    out, kept = shared / "_build", ("notebooks", "repair", "repair-weights")
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            for name in kept:
                if (ROOT / "_build" / name).exists():
                    shutil.copytree(ROOT / "_build" / name, out / name)
            try:
                build(out)
            except SystemExit as error:
                (shared / "done").write_text(str(error))
            else:
                (shared / "done").touch()
            for name in kept:
                if (out / name).exists():
                    shutil.copytree(out / name, ROOT / "_build" / name, dirs_exist_ok=True)
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


# --- a browser: Debian's Chromium, driven by playwright ---------------------------------------------------------------

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site:
    """A folder behind a plain file server, and a browser that notes what goes wrong."""

    def __init__(self, browser, folder: Path) -> None:
        self.browser, self.folder, self.complaints = browser, folder, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/"

    def open(self, page: str, viewport=DESKTOP, scheme="light"):
        """The page, loaded, with every formula set."""
        self.complaints.clear()
        context = self.browser.new_context(viewport=viewport, color_scheme=scheme)
        tab = context.new_page()
        tab.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        tab.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        tab.on("request", self._request)
        tab.on("response", lambda r: self.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        tab.goto(self.address + page, wait_until="load")
        if not page:  # the first page sends the reader on
            tab.wait_for_url("**/intro.html")
        tab.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => true) : true")
        return tab

    def _request(self, request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:", "about:")):
            self.complaints.append(f"asks another host: {request.url}")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def chromium() -> Iterator:
    """Chromium, until the fixture that yields from this is done with it; a test without one skips."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()
