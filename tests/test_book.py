"""The book: it builds without a warning, stands alone, runs again with the same outputs, and keeps its form."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urldefrag

import chapters
import nbformat
import numpy as np
import pytest
import yaml
from books import BOOK, PAGES, ROOT, built_book, tiny_book
from build import beside, build, protect
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from PIL import Image

from faceinpaint import equations
from faceinpaint.comparison import findings
from faceinpaint.data.toy import toy_faces

EXECUTED = [page for page in PAGES if chapters.is_chapter(ROOT / f"{page}.md")]
TEXTS = {page: (ROOT / f"{page}.md").read_text(encoding="utf-8") for page in PAGES if (ROOT / f"{page}.md").exists()}

BOOK_IS_COMPLETE = True
"""Whether every equation has its chapter; set when the last one is written."""


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    return built_book(tmp_path_factory)


# --- form -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_contents_is_there(page):
    assert (ROOT / f"{page}.md").exists()


def tags() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for page, text in TEXTS.items():
        for number in re.findall(r"\\tag\{(\d+)\}", text):
            found.setdefault(int(number), []).append(page)
    return found


def test_no_equation_stands_in_two_chapters():
    assert {n: pages for n, pages in tags().items() if len(pages) > 1} == {}
    assert set(tags()) <= set(range(1, equations.COUNT + 1))


@pytest.mark.skipif(not BOOK_IS_COMPLETE, reason="the book has chapters still to come")
def test_every_equation_has_its_chapter():
    assert sorted(tags()) == list(range(1, equations.COUNT + 1))


def test_every_equation_has_a_label():
    for number, (page, *_) in tags().items():
        assert f"(eq-{number})=\n" in TEXTS[page], f"{page}: ({number}) has no label (eq-{number})="


@pytest.mark.parametrize("page", sorted({page for pages in tags().values() for page in pages}))
def test_a_chapter_with_an_equation_has_the_form_of_a_chapter(page):
    text = TEXTS[page]
    opening = text.split("\n# ", 1)[1].split("```", 1)[0]
    assert "?" in opening, "it begins with a question"
    assert ":tags: [parameters, hide-input]" in text
    assert "show.source(" in text
    assert re.search(r"show\.(explore|frames|compare)\(", text), "something to move"
    check = text.split("\n## Check", 1)[1].split("\n## ", 1)[0]
    assert "assert" in check
    exercises = text.split("\n## Exercises", 1)[1]
    assert 2 <= exercises.count(":class: dropdown") <= 4
    assert text.index("\n## Check") < text.index("\n## Exercises")


FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}

VISIBLE_LINES = 1_600
"""Lines of code that a reader of the whole book has before the eyes; the rest is folded."""


def visible_code(page: str) -> list[str]:
    """Cells whose code is not folded on the page."""
    cells = chapters.as_notebook(ROOT / f"{page}.md").cells
    return [c.source for c in cells if c.cell_type == "code" and not FOLDED & set(c.metadata.get("tags", []))]


@pytest.mark.parametrize("page", EXECUTED)
def test_code_of_a_chapter_fits_the_page(page):
    assert [line for source in visible_code(page) for line in source.splitlines() if len(line) > 84] == []


def test_the_book_shows_little_code():
    lines = {page: sum(len(source.splitlines()) for source in visible_code(page)) for page in EXECUTED}
    assert 300 < sum(lines.values()) <= VISIBLE_LINES, lines


@pytest.mark.parametrize("page", EXECUTED)
def test_parameters_and_listings_of_the_library_are_folded_and_verdicts_are_seen(page):
    section = ""
    for cell in chapters.as_notebook(ROOT / f"{page}.md").cells:
        tagged = set(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            section = (re.findall(r"^## (.+)$", cell.source, re.M) or [section])[-1]
            continue
        if "parameters" in tagged or re.match(r"show\.source\(.*\)$", cell.source):
            assert tagged & FOLDED, cell.source
        if section == "Check" and "print(" in cell.source:
            assert tagged & FOLDED == {"hide-input"}, "its code is folded, its verdict is not"


@pytest.mark.parametrize("number", range(1, equations.COUNT + 1))
def test_under_every_equation_stands_a_plain_version_that_is_compared_with_the_library(number):
    ((page, *_),) = [tags()[number]]
    text = TEXTS[page]
    below = text[text.index(f"(eq-{number})=\n") :]
    plain = [source for source in visible_code(page) if re.match(rf"#[^\n]*\({number}\)", source) and source in below]
    (source,) = plain
    assert "assert " in source
    assert len([line for line in source.splitlines() if line.strip()]) <= 11, "one line says which equation it is"


@pytest.mark.parametrize("page", EXECUTED)
def test_every_parameter_of_a_chapter_is_used(page):
    cells = [cell for cell in chapters.as_notebook(ROOT / f"{page}.md").cells if cell.cell_type == "code"]
    for given in [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]:
        rest = "\n".join(cell.source for cell in cells if cell is not given)
        for name in re.findall(r"^(\w+) *=", given.source, re.M):
            assert re.search(rf"\b{name}\b", rest), f"{page}: {name} changes nothing"


@pytest.mark.parametrize("page", EXECUTED)
def test_a_chapter_removes_its_temporary_folder(page):
    assert "mkdtemp" not in TEXTS[page], "a tempfile.TemporaryDirectory() goes with the kernel"


# --- the chain: jupytext, papermill, nbval --------------------------------------------------------------------------


@pytest.mark.slow
def test_chapters_run_with_other_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEINPAINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "left"))
    (tmp_path / "left").mkdir()
    faces = toy_faces(68, 64)
    for folder, arrays in (("images", faces.images), ("labels", faces.labels)):
        (tmp_path / "faces" / "test" / folder).mkdir(parents=True)
        for name, array in zip(faces.ids, arrays, strict=True):
            Image.fromarray(np.asarray(array)).save(tmp_path / "faces" / "test" / folder / f"{name}.png")
    parameters = {"PRESET": "smoke", "FACES": str(tmp_path / "faces")}
    assert chapters.run(BOOK / "masks.md", tmp_path / "masks.ipynb", "a key", parameters, 1)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["faces-test-64"]
    assert list((tmp_path / "left").iterdir()) == []
    out = tmp_path / "regions.ipynb"
    assert chapters.run(BOOK / "regions.md", out, "a key", parameters, 1)
    assert not chapters.run(BOOK / "regions.md", out, "a key", parameters, 1)
    cells = nbformat.read(out, as_version=4).cells
    (injected,) = [cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert str(tmp_path / "faces") in injected.source
    assert "All damage found" in json.dumps(cells)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """One folder for all that chapters prepare."""
    return tmp_path_factory.mktemp("kept")


@pytest.mark.realdata
@pytest.mark.parametrize("page", ["style_matrix", "adaptive_fusion", "metrics", "reliability", "repair"])
def test_chapters_hold_on_real_faces_and_leave_nothing_but_one_cache(page, kept, realdata, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEINPAINT_CACHE", str(kept))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "left"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "of-torch"))
    (tmp_path / "left").mkdir()
    parameters = {"PRESET": "smoke", "FACES": str(realdata / "celebamask-hq-256")}
    assert chapters.run(BOOK / f"{page}.md", tmp_path / "folder.ipynb", "a key", parameters, 1)
    made = sorted(path.name for path in kept.iterdir())
    assert made
    parameters["FACES"] = str(kept)  # what is prepared may be named in the folder's place
    assert chapters.run(BOOK / f"{page}.md", tmp_path / "cache.ipynb", "a key", parameters, 1)
    assert sorted(path.name for path in kept.iterdir()) == made
    assert list((tmp_path / "left").iterdir()) == []


@pytest.mark.slow
def test_a_failing_cell_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```{code-cell}\nassert 1 + 1 == 3, 'no'\n```\n", encoding="utf-8")
    with pytest.raises(chapters.ChapterError, match=r"page\.md[\s\S]*no"):
        chapters.run(page, tmp_path / "out" / "page.ipynb", "key", {}, 1)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```{code-cell}\nimport time\ntime.sleep(60)\n```\n", encoding="utf-8")
    with pytest.raises(chapters.ChapterError, match=r"page\.md[\s\S]*time\.sleep\(60\)"):
        chapters.run(page, tmp_path / "page.ipynb", "key", {}, 1, timeout=2)


def test_the_book_limits_the_time_of_a_cell():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["execute"]["timeout"] == chapters.TIMEOUT


def test_the_build_says_how_long_a_chapter_took_and_that_it_was_too_long(tmp_path):
    assert chapters.told("book/masks", 12.4) == "book/masks took 12 s"
    assert "more than 60 s" in chapters.told("book/masks", 61)
    assert chapters.last_times(tmp_path) == {}


LIVE_CELL = """```{{code-cell}}
import ipywidgets
from IPython.display import HTML, display
ipywidgets.interactive(lambda value: display(HTML("x" * 20_000 * value)), value=ipywidgets.IntSlider({}))
```
"""


@pytest.mark.slow
def test_live_widgets_do_not_keep_a_chapter_waiting(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n" + "\n".join(LIVE_CELL.format(i % 3 + 1) for i in range(100)), encoding="utf-8")
    began = time.monotonic()
    chapters.run(page, tmp_path / "page.ipynb", "key", {}, 1, timeout=90)  # papermill alone waits that long for some
    assert time.monotonic() - began < 90
    widgets = nbformat.read(tmp_path / "page.ipynb", as_version=4).metadata.widgets
    states = widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    assert sum(bool(state["state"].get("outputs")) for state in states) == 100


@pytest.mark.slow
def test_a_second_run_gives_the_same_outputs(book, tmp_path):
    # The place of a chapter: its neighbours and the data are where it looks for them.
    for path in ROOT.iterdir():
        if path.name != "book" and not path.name.startswith((".", "_build")):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "book").mkdir()
    for path in BOOK.iterdir():
        (tmp_path / "book" / path.name).symlink_to(path)
    names = []
    for page in EXECUTED:
        notebook = nbformat.read(book / "notebooks" / f"{page}.ipynb", as_version=4)
        for cell in notebook.cells:
            if "remove-stderr" in cell.metadata.get("tags", []):
                cell.source = "# NBVAL_IGNORE_OUTPUT\n" + cell.source
        names.append(f"{page}.ipynb")
        nbformat.write(notebook, tmp_path / names[-1])
    jobs = min(len(names), 4, os.cpu_count() or 1)  # as many as when the book is built: a kernel waits a good deal
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300", "-q"]
    command += [f"--nbval-sanitize-with={BOOK / 'nbval.cfg'}", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command += ["-n", str(jobs), "--dist", "loadfile", "--tb=short", *names]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]


PAGE = """# Page {0}

```{{code-cell}}
from pathlib import Path

with open("../runs", "a") as file:
    file.write("{0}")
print("{1}", Path("../faceinpaint/value.py").read_text(), Path("../data/value.txt").read_text())
```
"""


@pytest.mark.slow
def test_a_chapter_runs_again_when_its_code_the_library_or_the_data_changed(tmp_path):
    root = tiny_book(tmp_path / "root", {"one": PAGE.format("one", "apple"), "two": PAGE.format("two", "pear")})
    library, data, runs = root / "faceinpaint" / "value.py", root / "data" / "value.txt", root / "runs"
    library.write_text("library1")
    data.write_text("data1")

    def ran() -> set[str]:
        runs.write_text("")
        build(tmp_path / "_build", root)
        return {name for name in ("one", "two") if name in runs.read_text()}

    def page(name: str) -> str:
        return (tmp_path / "_build" / "html" / "book" / f"{name}.html").read_text(encoding="utf-8")

    assert ran() == {"one", "two"}
    assert "apple library1 data1" in page("one")
    first = chapters.last_times(tmp_path / "_build" / "notebooks")
    assert first.keys() == {"book/one", "book/two"}
    assert min(first.values()) > 0
    one = root / "book" / "one.md"
    one.write_text(one.read_text().replace("# Page", "# The page"))
    (root / "data" / "raw" / "photograph").write_text("downloaded")
    assert ran() == set(), "neither text nor downloads are code"
    assert "The page one" in page("one")
    one.write_text(one.read_text().replace('"apple"', '"plum"'))
    assert ran() == {"one"}
    assert chapters.last_times(tmp_path / "_build" / "notebooks")["book/two"] == first["book/two"], "it was not run"
    assert "plum library1 data1" in page("one")
    library.write_text("library2")
    assert ran() == {"one", "two"}
    assert "pear library2 data1" in page("two")
    data.write_text("data2")
    assert ran() == {"one", "two"}
    assert "pear library2 data2" in page("two")


def test_source_hash_sees_names_and_contents_and_no_caches(tmp_path):
    for name in ("faceinpaint/a.py", "data/cache/x", "faceinpaint/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    first = chapters.source_hash(tmp_path)
    (tmp_path / "data/cache/x").write_text("2")
    (tmp_path / "faceinpaint/__pycache__/a.pyc").write_text("2")
    assert chapters.source_hash(tmp_path) == first
    (tmp_path / "faceinpaint/a.py").rename(tmp_path / "faceinpaint/b.py")
    assert chapters.source_hash(tmp_path) != first


def test_a_page_that_reads_the_others_depends_on_them(tmp_path):
    page = tmp_path / "index.md"
    page.write_text("# I\n\n```{code-cell}\n:tags: [reads-book]\n1\n```\n")
    (tmp_path / "other.md").write_text("1")
    first = chapters.chapter_key(page, "", {})
    (tmp_path / "other.md").write_text("2")
    assert chapters.chapter_key(page, "", {}) != first


def test_a_chapter_gets_the_parameters_it_has(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('# P\n\n```{code-cell}\n:tags: [parameters]\nPRESET = "smoke"  # a word\nRESULTS = "x"\n```\n')
    given = {"PRESET": "gpu", "FACES": "/faces", "RESULTS": str(tmp_path)}
    assert chapters.own_parameters(page, given) == {"PRESET": "gpu", "RESULTS": str(tmp_path)}
    assert chapters.own_parameters(BOOK / "glossary.md", given) == {}


def test_a_page_that_reads_records_depends_on_what_they_hold(tmp_path):
    page, records = tmp_path / "page.md", tmp_path / "records"
    page.write_text('# P\n\n```{code-cell}\n:tags: [parameters]\nRESULTS = "x"\n```\n')
    records.mkdir()
    keys = [chapters.chapter_key(page, "", {}), chapters.chapter_key(page, "", {"RESULTS": str(records)})]
    (records / "ours.json").write_text("1")
    keys.append(chapters.chapter_key(page, "", {"RESULTS": str(records)}))
    (records / "ours.json").write_text("2")
    keys.append(chapters.chapter_key(page, "", {"RESULTS": str(records)}))
    assert len(set(keys)) == 4
    assert chapters.chapter_key(page, "", {"PRESET": "gpu"}) == keys[0], "it has no such parameter"


def test_fresh_records_stand_beside_those_of_the_repository(tmp_path):
    fresh = tmp_path / "out" / "smoke" / "records"
    fresh.mkdir(parents=True)
    for record in (ROOT / "data" / "results" / "smoke").glob("*.json"):
        (fresh / record.name).write_bytes(record.read_bytes())
    place = beside(fresh, tmp_path / "results")
    names = [group.name for group in findings.groups(place, None, ["facial-style"])]
    held = [group.name for group in findings.groups(ROOT / "data" / "results", None, ["facial-style"])]
    assert sorted(names) == sorted([*held, "fresh-smoke"])
    assert beside(fresh, place) == place, "and again"
    with pytest.raises(SystemExit, match="no folder of results records"):
        beside(tmp_path / "none", place)


@pytest.mark.slow
def test_the_first_page_tells_what_fresh_records_say(tmp_path):
    for record in (ROOT / "data" / "results" / "smoke").glob("*.json"):
        text = record.read_text(encoding="utf-8")
        (tmp_path / record.name).write_text(
            text.replace("drawn faces (toy)", "photographs").replace('"smoke"', '"cpu"')
        )
    first = tmp_path / "first.ipynb"
    chapters.run(BOOK / "intro.md", first, "key", {"RESULTS": str(tmp_path)}, 1)
    told = json.dumps(nbformat.read(first, as_version=4))
    for word in (
        "Photographs of 64 x 64 pixels",
        "ahead of CE from the membrane",
        "not the patent's order",
        "The map is an oracle",
    ):
        assert word in told
    assert "no result" not in told
    chapters.run(BOOK / "intro.md", first, "another key", {"RESULTS": str(tmp_path / "none")}, 1)
    assert "Nothing has been measured yet" in json.dumps(nbformat.read(first, as_version=4))


@pytest.mark.slow
def test_widgets_compute_anew_in_a_running_notebook(tmp_path):
    done = tmp_path / "masks.ipynb"
    chapters.run(BOOK / "masks.md", done, "key", {"LIVE": "True"}, 1)
    kinds = json.dumps(nbformat.read(done, as_version=4).metadata.get("widgets", {}))
    for kind in ("SelectionSliderModel", "ToggleButtonModel", "OutputModel"):
        assert kind in kinds


# --- notebooks that stand alone -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_notebooks_lie_beside_the_pages_with_outputs_and_an_install_cell(book):
    for page in EXECUTED:
        notebook = nbformat.read(book / "html" / "notebooks" / f"{Path(page).name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        first = notebook.cells[0]
        assert "pip" in first.source
        compile(first.source, page, "exec")
        assert any(cell.get("outputs") for cell in notebook.cells)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert not re.search(r"^(:{3,}|`{3,})\{(admonition|note|warning|tip)", text, re.M), page
        assert "{cite}" not in text


def test_notebooks_hold_no_folder_of_the_machine_that_built_them():
    cell = nbformat.v4.new_code_cell('# Parameters\nPRESET = "gpu"\nRESULTS = "/home/me/out"\nFACES = "/data"\n')
    cell.metadata["tags"] = ["injected-parameters"]
    made = chapters.standalone(nbformat.v4.new_notebook(cells=[cell]), "https://example.org/book")
    assert made.cells[1].source == '# Parameters\nPRESET = "gpu"\n'
    assert "https://example.org/book" in made.cells[0].source


@pytest.mark.slow
def test_the_install_cell_finds_weights_and_records_in_a_fresh_environment(tmp_path):
    # A clone of this checkout as it is, for the cell clones what is named, and a Python that knows no faceinpaint.
    clone = tmp_path / "repository"
    shutil.copytree(
        ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", "_build", "out", "tests")
    )
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", str(clone), *words], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (folder,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    known = [path for path in sys.path if path.endswith("site-packages")]
    (folder / "known.pth").write_text("\n".join(known) + "\n")  # all that the library needs, without asking the net
    cell = chapters.INSTALL.format(url=clone.as_uri())
    cell = cell.replace('"--quiet", "-e"', '"--quiet", "--no-deps", "--no-build-isolation", "-e"')
    assert "--no-deps" in cell
    after = (
        "\nimport faceinpaint\nfrom pathlib import Path\nfrom faceinpaint.repair import trained\n"
        "print(trained.find().generator)\nprint(len(list(Path('../data/results').iterdir())))\n"
    )
    (tmp_path / "work").mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FACEINPAINT_TRAINED")}
    finished = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "python"), "-c", cell + after],
        capture_output=True, text=True, cwd=tmp_path / "work", env=environment | {"XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    found, records = finished.stdout.split()
    assert Path(found).is_relative_to(tmp_path / "work" / "faceinpaint-book" / "data" / "weights")
    assert int(records) == len(list((ROOT / "data" / "results").iterdir()))


def test_binder_takes_a_python_and_pins_that_the_library_takes():
    files, about = chapters.binder_files(), chapters.project()
    assert SpecifierSet(about["requires-python"]).contains(files["runtime.txt"].strip().removeprefix("python-"))
    pins = files["pins.txt"].splitlines()
    held = {Requirement(pin).name: Requirement(pin) for pin in pins}
    for line in (*about["dependencies"], *about["optional-dependencies"]["book"]):
        wanted = Requirement(line)
        assert wanted.name in held, f"pins.txt pins no {wanted.name}"
        (pin,) = held[wanted.name].specifier
        assert wanted.specifier.contains(pin.version)


def test_binder_installs_the_pins_once_and_for_a_cpu(tmp_path):
    files = chapters.binder_files()
    assert not {"requirements.txt", "setup.py", "pyproject.toml", "environment.yml", "Pipfile"} & set(files)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    # The script itself, where pip and uv say what they are asked to do.
    for name in ("pip", "uv"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> asked\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "postBuild"], cwd=tmp_path, env=environment, check=True)
    *_, asked = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("uv pip install ")
    assert f"--python {tmp_path / 'python'} --torch-backend cpu --requirement pins.txt" in asked
    assert files["pins.txt"].startswith("torch==")


def test_the_image_serves_binder_too_and_holds_nothing_that_git_does_not_keep():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) <= 10
    (install,) = [line for line in lines if "uv pip install" in line]
    assert {"'.[lab]'", "notebook", "cpu"} <= set(install.split())
    assert any(line.startswith("RUN useradd") and "--uid 1000" in line for line in lines)
    assert lines.index("USER reader") > lines.index(install), "root installs, a reader reads"
    ignored = set((ROOT / ".dockerignore").read_text().splitlines())
    folders = [name for name in (ROOT / ".gitignore").read_text().split() if name.startswith("/")]
    assert "/data/raw/" in folders
    for name in folders:
        assert name.strip("/") in ignored, f"COPY would take {name} along"


def test_the_address_of_the_repository_is_the_same_everywhere():
    urls = chapters.project()["urls"]
    owner, name = urls["Repository"].removeprefix("https://github.com/").split("/")
    assert urls["Documentation"] == f"https://{owner}.github.io/{name}/"
    held = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout
    for file in held.splitlines():
        path = ROOT / file
        if path.suffix not in (".md", ".yml", ".cff", ".py", ".toml", "") or not path.is_file():
            continue
        for found in re.findall(rf"(?:github|githubusercontent)\.com/([\w-]+/{name})\b", path.read_text("utf-8")):
            assert found == f"{owner}/{name}", f"{file}: see CONTRIBUTING.md, A fork"


def test_markdown_of_notebooks_is_plain():
    text = (
        "(a-label)=\n## Title\n\nSee [(14)](#eq-14), [this](page.md#part), {cite}`sean` and {ref}`here <a-label>`.\n\n"
        "1. Why?\n\n   ```{admonition} Solution\n   :class: dropdown\n   Because.\n   ```\n\n"
        ":::{note}\nMind.\n:::\n\n```python\nx = 1\n```\n"
    )
    plain = chapters.plain_markdown(text)
    assert "a-label" not in plain
    assert "See (14), this, *sean* and *here*." in plain
    assert "<details><summary><b>Solution</b></summary>" in plain
    assert "   Because.\n\n   </details>" in plain, "it stays within its exercise"
    assert "**Note**\n\nMind." in plain
    assert "```python\nx = 1\n```" in plain


# --- pages ----------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """What a page loads, where it links to, and what can be linked to."""

    LOADING: ClassVar = {
        "script": "src",
        "link": "href",
        "img": "src",
        "iframe": "src",
        "source": "src",
        "object": "data",
    }

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.unnamed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if given.get("id"):
            self.ids.append(given["id"])
        place = given.get(self.LOADING.get(tag, ""))
        # A link of the head loads something unless it only says how pages belong together.
        if place and (tag != "link" or given.get("rel") not in ("next", "prev", "index", "search", "canonical")):
            self.loads.append(place)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img" and "alt" not in given:
            self.unnamed.append(place)


def pages(book: Path) -> dict[Path, _Page]:
    html = book / "html"
    files = [path for path in html.rglob("*.html") if "_static" not in path.parts]  # where themes keep templates
    return {path.relative_to(html): _Page(path.read_text(encoding="utf-8")) for path in files}


@pytest.mark.slow
def test_every_page_is_built_and_loads_only_its_own_files(book):
    found = pages(book)
    assert {Path(f"{page}.html") for page in PAGES} <= set(found)
    for name, page in found.items():
        for place in page.loads:
            if place.startswith("data:"):
                continue
            assert not re.match(r"(\w+:)?//", place), f"{name} loads {place}"
            file = (book / "html" / name).parent / unquote(place.split("?")[0].split("#")[0])
            assert file.exists(), f"{name} loads {place}, which is missing"


@pytest.mark.slow
def test_every_page_allows_its_own_scripts_alone(book):
    for name in (*(f"{page}.html" for page in PAGES), "index.html", "search.html"):
        text = (book / "html" / name).read_text(encoding="utf-8")
        (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["default-src"] == "'self'"
        assert not re.search(r"unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|https?:|\*", rules["script-src"]), name
        first = re.search(r"<(script|link|style|img)\b", text)
        assert first is None or text.index("Content-Security-Policy") < first.start(), name


def test_scripts_and_handlers_of_a_page_are_allowed_by_their_sha256():
    page = protect('<html><head><script>let a = "<b>"</script></head><p onclick="go(&quot;1&quot;)">x</p></html>')
    for code in ('let a = "<b>"', 'go("1")'):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page
    assert "'unsafe-hashes'" in page
    bare = protect("<html><head></head></html>")
    assert "unsafe-hashes" not in bare
    assert "'unsafe-eval'" not in bare
    assert "'unsafe-eval'" in protect(
        '<head></head><script type="application/vnd.jupyter.widget-view+json">{}</script>'
    )


@pytest.mark.slow
def test_links_hold(book):
    found = pages(book)
    for name, page in found.items():
        for link in page.links:
            if re.match(r"(\w+:|//)", link):
                continue
            place, anchor = urldefrag(link)
            target = Path(os.path.normpath(name.parent / unquote(place))) if place else name
            assert (book / "html" / target).exists(), f"{name} links to {link}"
            if anchor and target in found:
                assert unquote(anchor) in found[target].ids, f"{name} links to {link}"


@pytest.mark.slow
def test_pictures_are_described(book):
    for page in PAGES:
        assert pages(book)[Path(f"{page}.html")].unnamed == []


@pytest.mark.slow
def test_style_sheets_and_scripts_ask_no_other_host(book):
    outside = re.compile(
        r"""(?:@import\s+(?:url\()?|url\()["']?(?:https?:)?//"""
        r"""|(?:import|fetch|importScripts|open)\(\s*["'`](?:https?:)?//"""
        r"""|\.(?:src|href)\s*=\s*["'`](?:https?:)?//"""
    )
    for path in (book / "html").rglob("*"):
        if path.suffix in (".css", ".js", ".html", ".svg"):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.S)
            hit = outside.search(text)
            assert hit is None, f"{path.name}: ...{text[max(0, hit.start() - 60) : hit.end() + 60]}..."


def test_scripts_carried_along_have_their_licences():
    for folder in (BOOK / "_vendor").iterdir():
        if folder.is_dir():
            assert (folder / "LICENSE").exists()
            assert f"`{folder.name}/`" in (BOOK / "_vendor" / "README.md").read_text(encoding="utf-8")
    assert not (BOOK / "_static").exists(), "Jupyter Book would add its scripts to every page"
