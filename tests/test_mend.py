"""Other libraries, mended: once, twice, and where there is nothing to mend."""

from __future__ import annotations

import subprocess
import sys

import pytest

from faceinpaint.mend import mend_torchvision


def test_mending_torchvision_twice_does_no_harm() -> None:
    mend_torchvision()
    mend_torchvision()


def test_torchvision_can_be_imported_after_it_was_mended() -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    code = "from faceinpaint.mend import mend_torchvision; mend_torchvision(); import torchvision.ops"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_without_torchvision_nothing_happens() -> None:
    code = "import sys; sys.modules['torchvision'] = None; import faceinpaint.mend as m; m.mend_torchvision()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_error_of_another_kind_is_not_swallowed(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('no libc')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(RuntimeError, match="no libc"):
        mend_torchvision()
