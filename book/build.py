"""Build the book: run its chapters, write its pages and its notebooks, print the path of the first page.

python book/build.py --out _build
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from html.parser import HTMLParser
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
        _lead_in(made / "html")
        _search_words(made / "html" / "_static" / "searchtools.js")
        # Where themes keep templates there are no pages. The search page reads the others, with their handlers.
        pages = [page for page in (made / "html").rglob("*.html") if "_static" not in page.parts]
        texts = {page: page.read_text(encoding="utf-8") for page in pages}
        handlers = {code for text in texts.values() for code in _Inside(text).handlers}
        for page, text in texts.items():
            page.write_text(protect(text, handlers if page.name == "search.html" else ()), encoding="utf-8")
    return made / "html" / "index.html"


def beside(fresh: Path, place: Path, held: Path = ROOT / "data" / "results") -> Path:
    """The repository's records and, in a folder of their own whose name begins with *fresh*, those of a new run.

    Args:
        fresh: folder of results records, such as ``out/smoke/records``.
        place: is made anew.
        held: the repository's records.

    Returns:
        ``place``.

    Raises:
        SystemExit: the folder of the new run is not there.
    """
    if not fresh.is_dir():
        raise SystemExit(f"{fresh}: no folder of results records. Run `faceinpaint reproduce`, or name another.")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(held, place)
    name = fresh.resolve().parent.name if fresh.name == "records" else fresh.resolve().name
    shutil.copytree(fresh, place / f"fresh-{name}")
    return place


def _lead_in(html: Path) -> None:
    """Name the icon in the page that leads to the first one: a browser would ask for ``favicon.ico`` otherwise."""
    first = html / "index.html"
    icon = '<meta charset="utf-8"><link rel="icon" href="_static/favicon.svg">\n'
    first.write_text(icon + first.read_text(encoding="utf-8"), encoding="utf-8")


def _search_words(script: Path) -> None:
    """Let the search show excerpts of the text: the pages that it reads hold LaTeX and folded code, too."""
    dropped = '".headerlink", "script", "style"'
    text = script.read_text(encoding="utf-8")
    if dropped not in text:
        raise SystemExit(f"{script}: Sphinx reads pages in another way now; see {__file__}")
    script.write_text(text.replace(dropped, dropped + ', ".math", ".cell_input", "summary"'), encoding="utf-8")


class _Inside(HTMLParser):
    """Scripts and event handlers that stand in a page itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.handlers += [code or "" for name, code in attributes if name.startswith("on")]
        self._open = tag == "script" and "src" not in given
        if self._open:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = False


def protect(page: str, handlers: Iterable[str] = ()) -> str:
    """A page with a content security policy: it loads nothing but the book's own files and runs only its own scripts.

    Scripts and event handlers that stand in the page itself are allowed by their sha256, so that no other will run.
    WebAssembly may be compiled, for networks that run in the page. Where Jupyter widgets stand in a page, which are in
    none of the book's own, scripts may be made of strings as well: the widgets' library needs it.

    Args:
        page: HTML.
        handlers: of other pages, which this one may read.
    """
    inside = _Inside(page)
    handlers = {*inside.handlers, *handlers}
    digests = {
        base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in (*inside.scripts, *handlers)
    }
    script = ["'self'", "'wasm-unsafe-eval'", *(["'unsafe-hashes'"] if handlers else [])]
    if "application/vnd.jupyter.widget-view+json" in page:
        script.append("'unsafe-eval'")
    script += [f"'sha256-{digest}'" for digest in sorted(digests)]
    rules = [
        "default-src 'self'",
        f"script-src {' '.join(script)}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    ]
    meta = f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(rules)}">'
    at = re.search(r"<meta charset[^>]*>", page) or re.search(r"<head[^>]*>", page)
    end = at.end() if at else 0
    return page[:end] + meta + page[end:]


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
    parser.add_argument(
        "--results",
        help="folder of results records, such as out/smoke/records, that the chapters show beside data/results",
    )
    parser.add_argument("--verbose", action="store_true", help="show what Sphinx does")
    given = parser.parse_args()
    parameters = {
        "PRESET": given.preset,
        "FACES": given.faces and str(Path(given.faces).resolve()),
        "RESULTS": given.results and str(beside(Path(given.results), given.out.resolve() / "results")),
    }
    page = build(
        given.out,
        ROOT,
        {name: v for name, v in parameters.items() if v},
        not given.verbose,
    )
    print(page)
    print(
        "The page that repairs faces needs a server: "
        f"python3 -m http.server --directory {page.parent} 8000, then open http://localhost:8000/book/repair.html",
    )


if __name__ == "__main__":
    main()
