"""What a number was made with: the commit of this repository and no other's, and versions."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from faceinpaint import versions as module
from faceinpaint.provenance import commit, versions


def test_a_changed_file_marks_the_commit_and_a_record_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b", *arguments], check=True)

    source, record = tmp_path / "library" / "versions.py", tmp_path / "data" / "results" / "a.json"
    added = source.with_name("new.py")
    for file in (source, record):
        file.parent.mkdir(parents=True)
        file.write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr("faceinpaint.provenance.__file__", str(source))
    clean = commit()
    assert clean is not None
    assert re.fullmatch("[0-9a-f]{40}", clean)
    record.write_text("2")
    assert commit() == clean
    source.write_text("2")
    assert commit() == clean + "+"
    source.write_text("1")
    assert commit() == clean
    added.write_text("1")
    assert commit() == clean + "+"
    monkeypatch.setattr("faceinpaint.provenance.__file__", str(tmp_path / "venv" / "versions.py"))
    (tmp_path / "venv").mkdir()
    assert commit() is None  # it is not this repository that the number was made with


def test_without_git_a_record_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}\+?", commit() or "0" * 40)

    def absent(*arguments: Any, **options: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr("subprocess.run", absent)
    assert commit() is None


def test_versions_of_what_is_not_installed_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    assert versions()["torch"] == importlib.metadata.version("torch")
    monkeypatch.setattr(module, "version", none)
    assert versions()["torch"] == "not installed"
