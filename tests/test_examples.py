"""The examples in the docstrings give what they say, and every public function and class of core and models has one."""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "faceinpaint"
CORE = ["losses", "regions", "metrics", "presets", "options", "pixels", "weights", "files"]
MODULES = [*CORE, *(f"models.{path.stem}" for path in sorted((PACKAGE / "models").glob("[!_]*.py"))), "models"]
NEED_MORE = {
    "claimed", "replacing", "write_text", "write_json", "read_json", "save", "load", "check_out",  # files
    "lpips", "frechet_features", "fid_cleanfid", "InceptionScores", "repair_torchvision",  # weights that are elsewhere
    "merge_classes", "RegionAffine", "TwoStages", "Refinement", "to_picture",  # seen through those that use them
}  # fmt: skip
"""What cannot be shown in two lines."""


def source_of(module: str) -> Path:
    path = PACKAGE / f"{module.replace('.', '/')}.py"
    return path if path.exists() else PACKAGE / module / "__init__.py"


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module: str) -> None:
    found = doctest.testmod(import_module(f"faceinpaint.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_an_example(module: str) -> None:
    for node in ast.parse(source_of(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert node.name in NEED_MORE or ">>>" in (ast.get_docstring(node) or ""), node.name
