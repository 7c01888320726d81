"""How far long work is: lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from faceinpaint import progress
from faceinpaint.progress import Bar


class Clock:
    """A clock that goes on when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def file() -> Console:
    """A console as of ``> log``, narrower than a line."""
    return Console(file=io.StringIO(), width=40)


def test_a_log_file_gets_a_line_at_the_start_one_a_minute_and_one_at_the_end(clock: Clock) -> None:
    console = file()
    with Bar(console) as bar:
        advance = bar.work("train ours", 10_000, "images")
        advance(2_000, "resumed")
        for _ in range(79):
            clock.now += 10
            advance(20, "loss 0.500")
        clock.now += 10
        advance(10_000 - 2_000 - 79 * 20, "loss 0.250")
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "train ours: 10,000 images"
    assert lines[1] == "train ours: 2,120 of 10,000 (21%), 2 images a second, 1:05:40 left, loss 0.500"
    assert lines[-1].startswith("train ours: 10,000 of 10,000 (100%)")
    assert "left" not in lines[-1]
    assert len(lines) == 2 + 79 * 10 // 60, "a line a minute"


def test_quick_work_gets_a_line_for_each_twentieth_but_no_flood(clock: Clock) -> None:
    console = file()
    with Bar(console) as bar:
        advance = bar.work("evaluate", 200, "pairs")
        for _ in range(200):
            clock.now += 1
            advance(1, "")
    lines = console.file.getvalue().splitlines()
    assert 20 <= len(lines) <= 22
    console = file()
    with Bar(console) as bar:
        advance = bar.work("evaluate", 200)
        for _ in range(200):
            clock.now += 0.001
            advance(1, "")
    assert console.file.getvalue().splitlines() == ["evaluate: 200", "evaluate: 200 of 200 (100%)"]


def test_the_whole_is_told_with_each_part(clock: Clock) -> None:
    console = file()
    with Bar(console, whole=4_000) as bar:
        bar.spend(1_000)  # done before
        for title in ("one", "two", "three"):
            advance = bar.work(title, 100, "images", price=10)
            for _ in range(100):
                clock.now += 1
                advance(1, "")
    said = console.file.getvalue()
    assert "two: 51 of 100 (51%), 1 images a second, 0:49 left, everything 63%, 2:29 left" in said
    assert "three: 100 of 100 (100%), 1 images a second, everything 100%, 0:00 left" in said


def test_a_terminal_gets_a_bar_and_no_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Bar(console, whole=10) as bar:
        bar.work("one", 5, "images", price=1)(5, "")
        bar.work("two", 5, "images", price=1)(5, "loss [1]")
    said = console.file.getvalue()
    assert "100/100" in said
    assert "images" not in said


def test_nothing_is_shown_if_not_wished() -> None:
    console = file()
    with Bar(console, shown=False) as bar:
        bar.work("one", 5)(5, "")
    assert console.file.getvalue() == ""
