"""The examples in the docstrings give what they say; all that is public in core, models and repair has one."""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "faceinpaint"
CORE = [
    "backbones", "download", "equations", "errors", "files", "losses", "mend", "metrics", "options", "pixels",
    "presets", "progress", "provenance", "regions", "weights",
]  # fmt: skip
WINGS = [
    f"{wing}.{path.stem}".removesuffix(".__init__")
    for wing in ("models", "repair")
    for path in sorted((PACKAGE / wing).glob("*.py"))
]
MODULES = [*CORE, *WINGS]


def source_of(module: str) -> Path:
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    return path if path.exists() else PACKAGE / module / "__init__.py"


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module: str) -> None:
    found = doctest.testmod(import_module(f"faceinpaint.{module}"))
    assert found.attempted > 0 or "def " not in source_of(module).read_text(encoding="utf-8")
    assert found.failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_an_example(module: str) -> None:
    for node in ast.parse(source_of(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            overload = any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)
            assert overload or ">>>" in (ast.get_docstring(node) or ""), node.name
