"""How chapters are run and become pages and notebooks: an extension of the book's Sphinx build.

A chapter is a MyST Markdown file with code cells. jupytext turns it into a notebook, papermill runs it, and the
outputs are handed to MyST-NB through its cache, so every chapter runs once. It runs again when its code, its
parameters, the library or the data have changed. The executed notebooks are written beside the pages, each with a
first cell that installs the library where it is missing.

    jupyter-book build . -W -n --keep-going

The environment variable CHAPTER_PARAMETERS (JSON) replaces the parameters of every chapter that has them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent

DATA_IGNORED = ("raw", "cache")
"""Folders of ``data/`` that a chapter does not read: what a reader has downloaded or prepared."""

PARAMETERS = "CHAPTER_PARAMETERS"

TIMEOUT = 300
"""Seconds that a cell may take, where nothing else is said; the book's are in ``_config.yml``."""

SLOW = 60
"""Seconds that a chapter should take on two cores at most."""

TIMES = "seconds.json"
"""Beside the notebooks: how long each chapter took when it was last run, in seconds."""

INSTALL = """\
# Opened on its own (Colab, Binder)? Then this cell fetches the book with its records and trained networks, and installs
# the library from there, so that it finds them.
import importlib, os, subprocess, sys

if not os.path.exists("../data/results"):
    if not os.path.exists("faceinpaint-book"):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{url}", "faceinpaint-book"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", "./faceinpaint-book[book]"], check=True)
    sys.path.insert(0, os.path.abspath("faceinpaint-book"))  # a kernel that runs does not notice what is installed -e
    importlib.invalidate_caches()
    os.chdir("faceinpaint-book/book")
"""

BINDER_PYTHON = "3.12"

BINDER_INSTALL = """\
#!/bin/bash
# What pip reads by itself (requirements.txt) would bring PyTorch for CUDA, 3 GB that a Binder has no use for.
set -e
pip install --no-cache-dir uv
uv pip install --no-cache --python "$(command -v python)" --torch-backend cpu --requirement pins.txt
"""


# --- what there is, and what it depends on --------------------------------------------------------------------------


def source_hash(root: Path) -> str:
    """sha256 over the files of ``faceinpaint/`` and ``data/``, names and contents."""
    digest = hashlib.sha256()
    for folder in ("faceinpaint", "data"):
        for path in sorted((root / folder).rglob("*")):
            parts = path.relative_to(root).parts
            if not path.is_file() or "__pycache__" in parts or (folder == "data" and parts[1] in DATA_IGNORED):
                continue
            digest.update("/".join(parts).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_chapter(path: Path) -> bool:
    """Whether a page has code to run."""
    return path.suffix == ".md" and path.exists() and "{code-cell}" in path.read_text(encoding="utf-8")


def as_notebook(path: Path) -> nbformat.NotebookNode:
    """The chapter as a notebook, by jupytext."""
    return jupytext.read(path, fmt="md:myst")


def own_parameters(path: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Those of the parameters that the chapter has: names assigned to in its cell tagged ``parameters``."""
    cells = [cell for cell in as_notebook(path).cells if "parameters" in cell.metadata.get("tags", [])]
    known = {name for cell in cells for name in re.findall(r"^(\w+) *=", cell.source, flags=re.M)}
    return {name: value for name, value in parameters.items() if name in known}


def content_hash(folder: Path) -> str:
    """sha256 over the files below a folder, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def chapter_key(path: Path, sources: str, parameters: dict[str, Any]) -> str:
    """What an execution of the chapter depends on: its code, its parameters, library and data.

    A chapter that reads records from a folder named by the parameter ``RESULTS`` depends on what that folder holds.
    Where a cell has the tag ``reads-book``, it also depends on the other pages.
    """
    cells = [cell for cell in as_notebook(path).cells if cell.cell_type == "code"]
    parameters = own_parameters(path, parameters)
    if "RESULTS" in parameters:
        parameters["RESULTS"] = [parameters["RESULTS"], content_hash(Path(parameters["RESULTS"]))]
    pages = {}
    if any("reads-book" in cell.metadata.get("tags", []) for cell in cells):
        pages = {page.name: page.read_text(encoding="utf-8") for page in sorted(path.parent.glob("*.md"))}
    depends = [[cell.source for cell in cells], parameters, sources, pages]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


# --- running --------------------------------------------------------------------------------------------------------


class ChapterError(Exception):
    """A cell of a chapter failed."""


def run(
    path: Path, out: Path, key: str, parameters: dict[str, Any], threads: int, timeout: int = TIMEOUT
) -> bool:  # fmt: skip
    """Run a chapter into the notebook ``out``, unless it holds this very execution already.

    Args:
        timeout: seconds that a cell may take.

    Returns:
        whether it was run.

    Raises:
        ChapterError: a cell failed or took too long; the message ends with its traceback.
    """
    if out.exists() and json.loads(out.read_text(encoding="utf-8"))["metadata"].get("key") == key:
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    notebook = as_notebook(path)
    fresh, done = (out.with_suffix(f".{os.getpid()}.{name}.ipynb") for name in ("fresh", "done"))
    nbformat.write(notebook, fresh)
    command = [sys.executable, str(Path(__file__).with_name("execute.py")), str(fresh), str(done)]
    command += ["--cwd", str(path.parent), "-k", "python3", "--execution-timeout", str(timeout)]
    command += ["--no-progress-bar", "--log-level", "ERROR"]
    for name, value in own_parameters(path, parameters).items():
        command += ["-p", name, str(value)]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode:
        done.unlink(missing_ok=True)
        fresh.unlink()
        trace = finished.stderr[max(0, finished.stderr.rfind("Exception encountered at")) :]
        raise ChapterError(f"{path}: {trace[-3000:].strip()}")
    notebook = nbformat.read(done, as_version=4)
    _forget_the_run(notebook)
    notebook.metadata["key"] = key
    nbformat.write(notebook, done)
    done.replace(out)
    fresh.unlink()
    return True


def _forget_the_run(notebook: nbformat.NotebookNode) -> None:
    """Take out times and paths of this run, so that the same chapter gives the same file."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)


def hand_over(path: Path, executed: Path, cache: Path) -> None:
    """Put the outputs of an executed chapter into the cache where MyST-NB looks them up."""
    text = path.read_text(encoding="utf-8")
    notebook = read_myst_markdown_notebook(
        text,
        config=MdParserConfig(),
        code_directive="{code-cell}",
        raw_directive="{raw-cell}",
        path=path,
    )
    executed_notebook = nbformat.read(executed, as_version=4)
    ran = [
        cell
        for cell in executed_notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, (cell, source) in enumerate(zip(cells, ran, strict=True), 1):
        cell.outputs, cell.execution_count = source.outputs, number
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = number
    for name in ("widgets", "language_info"):
        if name in executed_notebook.metadata:
            notebook.metadata[name] = executed_notebook.metadata[name]
    get_cache(str(cache)).cache_notebook_bundle(
        CacheBundleIn(notebook, str(path)), check_validity=False, overwrite=True
    )


# --- notebooks that stand alone -------------------------------------------------------------------------------------


def plain_markdown(text: str) -> str:
    """MyST Markdown as any notebook shows it: no labels, no roles, folded admonitions as <details>."""
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.M)
    text = re.sub(r"\[([^\]]*)\]\((?:[\w./-]+\.md)?(?:#[\w-]+)?\)", r"\1", text)  # links within the book
    text = re.sub(r"\{[\w:+-]+\}`([^`<]*?)\s*(?:<[^`>]*>)?`", r"*\1*", text)

    def admonition(found: re.Match[str]) -> str:
        title = found["title"].strip() or found["kind"].capitalize()
        indent, body = found["indent"], found["body"].strip("\n")
        if "dropdown" in found["options"]:
            lines = f"<details><summary><b>{title}</b></summary>", body, f"{indent}</details>"
        else:
            lines = f"**{title}**", body
        return indent + "\n\n".join(lines)

    return re.sub(
        r"^(?P<indent> *)(?P<fence>:{3,}|`{3,})\{(?P<kind>[\w-]+)\}(?P<title>[^\n]*)\n"
        r"(?P<options>(?: *:[\w-]+:[^\n]*\n)*)(?P<body>.*?)^(?P=indent)(?P=fence) *$",
        admonition,
        text,
        flags=re.M | re.S,
    )


def standalone(notebook: nbformat.NotebookNode, url: str) -> nbformat.NotebookNode:
    """An executed chapter as a notebook of its own, with a first cell that installs the library."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source)
        if "injected-parameters" in cell.metadata.get("tags", []):  # folders of the machine that built the book
            cell.source = re.sub(r"^(RESULTS|FACES) = .*\n?", "", cell.source, flags=re.M)
    first = nbformat.v4.new_code_cell(INSTALL.format(url=url), id="install", metadata={"tags": ["install"]})
    notebook.cells.insert(0, first)
    notebook.metadata.pop("key", None)
    return notebook


def project(root: Path = ROOT) -> dict[str, Any]:
    """The table ``[project]`` of ``pyproject.toml``, where the repository's address stands."""
    content: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def binder_files(root: Path = ROOT) -> dict[str, str]:
    """What tells Binder which Python to take and what to install: the pins of the library and of its chapters, for a
    CPU. The first cell of a notebook installs the library itself."""
    about = project(root)
    wanted = [*about["dependencies"], *about["optional-dependencies"]["book"]]
    names = {re.split(r"[\[<>=!~ ;]", line, maxsplit=1)[0].lower() for line in wanted}
    pins = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    kept = [pin for pin in pins if pin.partition("==")[0].lower() in names]
    return {
        "runtime.txt": f"python-{BINDER_PYTHON}\n",
        "pins.txt": "\n".join(kept) + "\n",
        "postBuild": BINDER_INSTALL,
    }


# --- how long it takes ----------------------------------------------------------------------------------------------


def last_times(notebooks: Path) -> dict[str, float]:
    """Seconds that each chapter took, by its name; none where nothing was built yet."""
    file = notebooks / TIMES
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def told(name: str, seconds: float) -> str:
    """The line that the build prints of a chapter."""
    slow = f": too slow, a reader should not wait for more than {SLOW} s" if seconds > SLOW else ""
    return f"{name} took {seconds:.0f} s{slow}"


# --- the Sphinx extension -------------------------------------------------------------------------------------------


def run_chapters(app: Sphinx) -> None:
    """Before pages are read: run every chapter that is stale, several at once."""
    root, build = Path(app.srcdir), Path(app.outdir).parent
    parameters = json.loads(os.environ.get(PARAMETERS, "{}"))
    sources = source_hash(root)
    chapters = {name: root / f"{name}.md" for name in app.config.external_site_map if is_chapter(root / f"{name}.md")}
    took = last_times(build / "notebooks")
    longest_first = sorted(chapters, key=lambda name: -took.get(name, 0.0))  # else the others wait for the last one
    jobs = max(1, min(4, os.cpu_count() or 1, len(chapters)))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    timeout = int(app.config.nb_execution_timeout)  # of _config.yml

    def one(name: str) -> bool | ChapterError:
        key = chapter_key(chapters[name], sources, parameters)
        began = time.monotonic()
        try:
            fresh = run(chapters[name], build / "notebooks" / f"{name}.ipynb", key, parameters, threads, timeout)
        except ChapterError as error:
            return error
        if fresh:
            took[name] = round(time.monotonic() - began, 1)
            print(told(name, took[name]), file=sys.stderr, flush=True)
        return fresh

    with ThreadPoolExecutor(jobs) as pool:
        ran = dict(zip(longest_first, pool.map(one, longest_first), strict=True))
    if any(ran.values()):
        kept = {name: took[name] for name in chapters if name in took}
        (build / "notebooks" / TIMES).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    failed = [str(result) for result in ran.values() if isinstance(result, ChapterError)]
    if failed:
        raise SystemExit("\n\n".join([*failed, f"{len(failed)} of {len(chapters)} chapters failed"]))
    app.chapters_run = {name for name, fresh in ran.items() if fresh}
    for name, path in chapters.items():
        hand_over(
            path,
            build / "notebooks" / f"{name}.ipynb",
            Path(app.config.nb_execution_cache_path or build / ".jupyter_cache"),
        )
    app.chapters = chapters


def stale_pages(app: Sphinx, *_: Any) -> list[str]:
    """Pages to read again although their text has not changed."""
    return sorted(app.chapters_run)


def launch_buttons(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Beside the title: where the chapter can be run, and its notebook to take home."""
    if page not in app.chapters or "header_buttons" not in context:
        return
    name = Path(page).name
    owner = app.config.html_theme_options["repository_url"].removeprefix("https://github.com/")
    branch = app.config.pages_branch
    targets = [
        (
            "Colab",
            f"https://colab.research.google.com/github/{owner}/blob/{branch}/notebooks/{name}.ipynb",
        ),
        (
            "Binder",
            f"https://mybinder.org/v2/gh/{owner}/{branch}?urlpath=lab/tree/notebooks/{name}.ipynb",
        ),
        (
            "Notebook (.ipynb)",
            context["pathto"](f"notebooks/{name}.ipynb", resource=True),
        ),
    ]
    buttons = [
        {
            "type": "link",
            "text": text,
            "tooltip": f"{text}: run this chapter",
            "icon": "fas fa-rocket",
            "url": url,
        }
        for text, url in targets
    ]
    context["header_buttons"].insert(
        0,
        {
            "type": "group",
            "tooltip": "Run this chapter",
            "icon": "fas fa-rocket",
            "buttons": buttons,
            "label": "launch-buttons",
        },
    )


def write_notebooks(app: Sphinx, failure: Exception | None) -> None:
    """After the build: the notebooks, beside the pages."""
    if failure or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    for name in app.chapters:
        executed = nbformat.read(
            Path(app.outdir).parent / "notebooks" / f"{name}.ipynb",
            as_version=4,
        )
        url = app.config.html_theme_options["repository_url"]
        nbformat.write(standalone(executed, url), folder / f"{Path(name).name}.ipynb")
    for name, text in binder_files().items():
        (Path(app.outdir) / name).write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of the extension."""
    # Jupyter Book sets this one for an extension that is switched off, since it can call out to other hosts.
    app.add_config_value("comments_config", {}, "html")
    app.add_config_value("pages_branch", "gh-pages", "html")
    app.connect("builder-inited", run_chapters)
    app.connect("env-get-outdated", stale_pages)
    app.connect("html-page-context", launch_buttons, priority=501)
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
