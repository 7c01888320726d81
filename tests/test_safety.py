"""Nothing is unpickled or evaluated, nothing goes to the network unasked, temporary files are private."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceinpaint import cli
from faceinpaint.backbones import load_backbone
from faceinpaint.comparison import table
from faceinpaint.comparison.records import Record
from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.toy import draw
from faceinpaint.errors import WeightsError

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(p for folder in ("faceinpaint", "book", "tools") for p in (ROOT / folder).rglob("*.py"))

# ---------------------------------------------------------------------------------------------- what the source holds

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "telnetlib", "ftplib",
    "requests", "httpx", "aiohttp", "paramiko",
}  # fmt: skip
FORBIDDEN_CALLS = {
    "eval", "exec", "__import__", "os.system", "os.popen", "tempfile.mktemp", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "torch.save", "pickle.load", "pickle.loads", "np.fromfile", "torch.hub.load",
    "torch.hub.load_state_dict_from_url", "urllib.request.urlopen", "urlopen", "urlretrieve",
}  # fmt: skip
ALLOWED = {
    ("backbones.py", "pickle"),  # the exception that torch's restricted loader raises, nothing else
    ("download.py", "urlopen"),  # the one download, on request, checked by sha256
}


def complaints(source: str, name: str) -> list[str]:
    """What a source file does that it must not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for module in modules:
                top = module.partition(".")[0]
                only_an_exception = isinstance(node, ast.ImportFrom) and [a.name for a in node.names] == [
                    "UnpicklingError"
                ]
                if top in FORBIDDEN_MODULES and not ((name, top) in ALLOWED and only_an_exception):
                    found.append(f"imports {top}")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if called in FORBIDDEN_CALLS and (name, called) not in ALLOWED:
            found.append(f"calls {called}")
        if called == "torch.load" and options.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if called in ("np.load", "numpy.load") and options.get("allow_pickle") != "False":
            found.append("np.load without allow_pickle=False")
        if options.get("allow_pickle") == "True":
            found.append("allows pickles")
        if options.get("shell") == "True":
            found.append("runs a shell")
        if called == "torch.jit.load" and name != "metrics.py":
            found.append("runs TorchScript")
        if called == "Image.open" and name == "images.py" and "formats" not in options:
            found.append("opens any format")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_source_unpickles_and_evaluates_nothing(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8"), path.name) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "from pickle import UnpicklingError", "import dill as d",
        "import requests", "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)",
        "np.load(p, allow_pickle=True)", "numpy.load(p)", "eval('1')", "exec('1')", "yaml.load(f)",
        "subprocess.run('ls', shell=True)", "os.system('ls')", "tempfile.mktemp()", "torch.jit.load(p)",
        "torch.save(x, p)", "torch.hub.load('a', 'b')", "urllib.request.urlopen(u)",
    ],
)  # fmt: skip
def test_the_scan_notices(source: str) -> None:
    assert complaints(source, "x.py")


def test_photographs_are_opened_in_one_place() -> None:
    """Only there Pillow's readers are limited to harmless formats, and sizes checked."""
    users = {p.name for p in (ROOT / "faceinpaint").rglob("*.py") if "Image.open(" in p.read_text(encoding="utf-8")}
    assert users == {"images.py"}


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith(("#", "-", "."))]
    assert len(names) > 15
    assert all(re.fullmatch(r"[a-z0-9_.\-\[\]]+==[0-9a-z.+]+( ?;.*)?( ?#.*)?", line) for line in names)


# ------------------------------------------------------------------------------------------------------- the network


class Refused(AssertionError):
    """A socket was asked for."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Every socket fails and is noted; no weights are lying about."""
    asked: list[str] = []

    def refuse(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            asked.append(name)
            raise Refused(f"{name}{args}")

        return call

    for name in ("__init__", "connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse(f"socket.{name}"))
    for name in ("create_connection", "getaddrinfo", "gethostbyname", "create_server", "socketpair"):
        monkeypatch.setattr(socket, name, refuse(name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.delenv("FACEINPAINT_WEIGHTS", raising=False)
    return asked


def command(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys, "argv", ["faceinpaint", *line.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


TINY = " ".join(
    f"--set {s}"
    for s in (
        "size=32", "images=4", "batch=2", "faces=4", "holes=4", "pairs_per_bin=1", "width=4", "style_width=4",
        "critic_width=4",
    )
)  # fmt: skip


def test_no_command_opens_a_socket_unless_asked(
    no_network: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Everything from preparing to the table, with the default weights, on files of its own."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        command(monkeypatch, f"data toy --count 3 --size 32 --split {split} --out faces/{split}")
        (tmp_path / "holes" / split).mkdir(parents=True)
        for i, hole in enumerate(drawn_holes(60, 32, split).holes):
            Image.fromarray(hole * 255).save(tmp_path / "holes" / split / f"{i}.png")
    command(monkeypatch, "data prepare --faces faces --holes holes --size 32 --out cache")
    command(monkeypatch, "data check cache")
    command(monkeypatch, f"train facial-style --faces cache --holes cache {TINY} --device cpu --out run")
    command(monkeypatch, "evaluate run --faces cache --holes cache --device cpu --out records/run.json")
    command(monkeypatch, "table records --out tables")
    image, labels = draw(5, 48)
    for name, array in (("photo", image), ("labels", labels), ("hole", np.eye(48, dtype=np.uint8) * 255)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    files = "photo.png --hole hole.png --parsing labels.png --out out.png"
    command(monkeypatch, f"inpaint {files} --box whole --weights run")
    assert (tmp_path / "out.png").exists()
    assert json.loads((tmp_path / "records" / "run.json").read_text())["kind"] == "evaluation"
    assert no_network == []
    assert not (tmp_path / "empty" / "faceinpaint").exists()  # beside it others keep what they like


def test_a_download_that_is_asked_for_does(no_network: list[str]) -> None:
    """And the guard of the test above notices it."""
    with pytest.raises((WeightsError, Refused)):
        load_backbone("alexnet", "download")
    assert no_network


# --------------------------------------------------------------------------------------------------- files and pages


def test_temporary_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders made through ``tempfile`` are the user's alone, whatever the umask; the source makes no others."""
    before = os.umask(0)
    try:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    finally:
        os.umask(before)
    for path in (ROOT / "faceinpaint").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "gettempdir" not in text, path
        assert not re.search(r"[\"']/(tmp|var)/", text), path


def test_a_table_page_runs_no_script_and_shows_titles_as_text(tmp_path: Path) -> None:
    from test_bad_input import record

    bad = record() | {"title": "<script>alert(1)</script> | [red]x[/] ", "key": "<b>"}
    page = table.write([Record.from_json(bad)], tmp_path)[2].read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_the_page_on_security_says_how_to_report() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "report" in text.lower()
