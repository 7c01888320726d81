"""Index of the patent's equations: where in the library each of them is at home.

Each of the 30 equations of CN113298736A stands in exactly one docstring of the package, as its number in brackets
after "Eq."; the book's equation index is made from this list.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COUNT = 30
"""Number of equations of the patent."""

REFERENCE = re.compile(r"Eq\.\s+\((\d+)\)")
"""How a docstring gives an equation a home."""


@dataclass(frozen=True)
class Equation:
    """One equation and its home.

    Attributes:
        number: in the patent, from 1.
        module: dotted name, such as ``faceinpaint.losses``.
        object: class or function within it, such as ``RegionNorm`` or ``FacialStyle.forward``; "" for the module.
        summary: first line of its docstring.
        line: of the source file, where the object begins.

    >>> Equation(number=25, module="faceinpaint.metrics", object="psnr", summary="In dB.", line=82).object
    'psnr'
    """

    number: int
    module: str
    object: str
    summary: str
    line: int


def index(package: Path | None = None) -> list[Equation]:
    """Every mention of an equation in the docstrings of a package, by number.

    Nothing is imported or run. A mention more gives an entry more, so a complete index has the numbers 1 to
    :data:`COUNT`, each once.

    Args:
        package: folder of the package; None for this one.

    >>> sorted({equation.number for equation in index()}) == list(range(1, COUNT + 1))
    True
    """
    package = package or Path(__file__).parent
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        module = ".".join(parts).removesuffix(".__init__")
        for name, node in _documented(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            text = ast.get_docstring(node) or ""
            line = getattr(node, "lineno", 1)
            for number in REFERENCE.findall(text):
                found.append(Equation(int(number), module, name, text.partition("\n")[0], line))
    return sorted(found, key=lambda e: e.number)


def _documented(
    node: ast.AST, name: str = ""
) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The module and every class and function in it, with dotted names."""
    if isinstance(node, ast.Module):
        yield name, node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            path = f"{name}.{child.name}" if name else child.name
            yield path, child
            yield from _documented(child, path)
        else:
            yield from _documented(child, name)
