"""The library's source, as chapters show it."""

from __future__ import annotations

import ast
import html
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any


class Source:
    """Source of an object of the library, shown folded, as highlighted Python; ``repr`` says where it stands."""

    def __init__(self, code: str, place: str, name: str) -> None:
        self.code, self.place, self.name = code, place, name

    def __repr__(self) -> str:
        return self.place

    def _repr_markdown_(self) -> str:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", self.code)), default=0))
        top = f"The library's <code>{html.escape(self.name)}</code> ({html.escape(self.place)})"
        listing = f"{fence}python\n{self.code}\n{fence}"
        return f'<details class="fi-source"><summary>{top}</summary>\n\n{listing}\n\n</details>\n'


COLUMNS = 88
"""Widest line of a listing: what fits beside both side bars of a window 1280 pixels wide."""


def source(thing: Any, *, docstring: bool = False) -> Source:
    """Source of a class or function of the library, as it runs, in lines of at most :data:`COLUMNS`.

    Args:
        thing: class, function or method.
        docstring: with its docstring, or without.

    Returns:
        what a notebook shows as highlighted Python, folded under the name of the object, the file and the line.
    """
    thing = inspect.unwrap(thing)
    lines, start = inspect.getsourcelines(thing)
    code = textwrap.dedent("".join(lines)).rstrip()
    if not docstring and inspect.getdoc(thing):
        code = _without_docstring(code)
    package = thing.__module__.split(".")[0]
    parts = Path(inspect.getsourcefile(thing) or "").parts
    at = len(parts) - 1 - parts[::-1].index(package) if package in parts else len(parts) - 1
    return Source(_narrow(code), f"{'/'.join(parts[at:])}, line {start}", thing.__qualname__)


def _narrow(code: str) -> str:
    """Code wrapped to :data:`COLUMNS` by ruff, where it is installed; comments in any case."""
    code = re.sub(r" *# fmt: skip$", "", code, flags=re.M)
    if importlib.util.find_spec("ruff"):
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(COLUMNS), "-"]
        done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=60)
        code = done.stdout.rstrip() if done.returncode == 0 else code
    return "\n".join(part for line in code.splitlines() for part in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    """A line whose comment is cut to :data:`COLUMNS`; one that ends in a comment gets it above."""
    found = re.match(r"( *)([^#\"']*?) *# (.*)$", line)
    if len(line) <= COLUMNS or not found:
        return [line]
    indent, statement, comment = found.groups()
    above = textwrap.wrap(comment, COLUMNS, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    return [*above, *([indent + statement] if statement else [])]


def _without_docstring(code: str) -> str:
    """The code without its docstring and without those of the functions in it."""
    spans = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) and len(node.body) > 1:
            spans.append((node.body[0].lineno, node.body[0].end_lineno or 0))
    gone = {number for first, last in spans for number in range(first, last + 1)}
    kept = [line for number, line in enumerate(code.splitlines(), 1) if number not in gone]
    return re.sub(r"(:\n)\n+", r"\1", "\n".join(kept))
