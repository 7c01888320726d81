"""How far long work is: a bar on a terminal, and lines where there is none, as in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[[int, str], None]
"""Told how many more are done, and one line on how it goes."""

EVERY, SHARE, APART = 60.0, 0.05, 5.0
"""A line a minute, or for each twentieth of the work, if that takes five seconds."""


@dataclass
class _Task:
    """One piece of work, shown as lines."""

    title: str
    total: float
    unit: str
    done: float = 0
    said: tuple[float, float] | None = None
    began: tuple[float, float] | None = None
    note: str = ""
    at: Any = None


class Bar:
    """Shows one piece of work after another, and optionally the whole that they make.

    Args:
        console: where; standard error by default.
        shown: False shows nothing.
        whole: what everything together costs, in any unit; 0 if there is one piece only.

    >>> import io
    >>> with Bar(Console(file=io.StringIO())) as bar:
    ...     advance = bar.work("repair", 3, "faces")
    ...     advance(3)
    >>> bar.console.file.getvalue().splitlines()
    ['repair: 3 faces', 'repair: 3 of 3 (100%)']
    """

    def __init__(self, console: Console | None = None, *, shown: bool = True, whole: float = 0) -> None:
        self.console = console or Console(stderr=True)
        self.lines = shown and not (self.console.is_terminal or self.console.is_jupyter)
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        self.bar = Progress(*columns, console=self.console, disable=self.lines or not shown)
        self.whole = _Task("everything", whole, "") if whole else None
        if self.whole:
            # Costs are of no interest to anybody, so the whole counts hundredths.
            self.whole.at = self.bar.add_task("everything", total=100, note="")

    def __enter__(self) -> Bar:
        self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.stop()

    def work(self, title: str, total: int, unit: str = "", price: float = 0) -> Advance:
        """Begin a piece of work; the function that is given back tells how it goes on, and ends it with the last one.

        Args:
            total: how many there are.
            unit: what they are called, as in "images".
            price: of one, in the unit of the whole.
        """
        task = _Task(title, total, unit)
        task.at = self.bar.add_task(escape(title), total=total, note="")
        if self.lines:
            self._print(f"{title}: {total:,}{' ' * bool(unit)}{unit}")

        def advance(count: int, note: str = "") -> None:
            task.done, task.note = task.done + count, note or task.note
            self.bar.update(task.at, advance=count, note=escape(task.note))
            self.spend(count * price)
            if self.lines:
                self._say(task)
            if self.whole and task.done >= total and task.at is not None:
                self.bar.remove_task(task.at)
                task.at = None

        return advance

    def spend(self, cost: float) -> None:
        """So much of the whole is done."""
        if self.whole and self.whole.at is not None:
            self.whole.done += cost
            self.bar.update(self.whole.at, completed=min(100, int(100 * self.whole.done / self.whole.total)))
            if self.whole.began is None:
                self.whole.began = time.monotonic(), self.whole.done

    def _say(self, task: _Task) -> None:
        """A line, if one is due. Speed is measured from the first step on, so as not to count what was done before."""
        now = time.monotonic()
        if task.began is None or task.said is None:
            task.began = task.said = now, task.done
            if task.done < task.total:
                return
        since, more = now - task.said[0], task.done - task.said[1]
        due = since >= EVERY or (since >= APART and more >= SHARE * task.total)
        if not due and task.done < task.total:
            return
        task.said = now, task.done
        words = [f"{task.title}: {task.done:,.0f} of {task.total:,.0f} ({task.done / task.total:.0%})"]
        speed = (task.done - task.began[1]) / (now - task.began[0]) if now > task.began[0] else 0
        if speed and task.unit:
            words.append(f"{speed:.3g} {task.unit} a second")
        if speed and task.done < task.total:
            words.append(f"{_clock((task.total - task.done) / speed)} left")
        if self.whole and self.whole.began and now > self.whole.began[0] and self.whole.done > self.whole.began[1]:
            pace = (self.whole.done - self.whole.began[1]) / (now - self.whole.began[0])
            left = max(0.0, self.whole.total - self.whole.done) / pace
            words.append(f"everything {min(1, self.whole.done / self.whole.total):.0%}, {_clock(left)} left")
        self._print(", ".join([*words, *([task.note] if task.note else [])]))

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)


def _clock(seconds: float) -> str:
    """75 -> "1:15"; 4000 -> "1:06:40"."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
