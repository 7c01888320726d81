"""The law of the house: imports point one way, files and functions stay short, and what repairs loads no training."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import house  # noqa: E402

import faceinpaint  # noqa: E402

LONGEST_FILE, LONGEST_FUNCTION = 600, 60


def fresh(code: str) -> str:
    """What a fresh process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def loaded(statement: str) -> set[str]:
    """The modules that a fresh process has loaded after a statement."""
    return set(fresh(f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')").split())


def test_no_import_points_up_or_across_or_goes_round() -> None:
    assert house.problems(house.arrows()) == []


@pytest.mark.parametrize(
    ("module", "code", "problem"),
    [
        ("losses", "from faceinpaint.training.run import Config", "losses imports training.run, which stands above"),
        (
            "data/sets",
            "def f():\n    import faceinpaint.models.parser",
            "data.sets imports models.parser, which",
        ),
        ("repair/trained", "from faceinpaint import show", "repair.trained imports show, which stands across"),
        ("files", "from faceinpaint import provenance", "a circle: files -> provenance -> files"),
        ("data/a", "from .b import c", "a circle: data.a -> data.b -> data.a"),
    ],
)
def test_an_arrow_against_the_law_is_seen_wherever_it_stands(
    tmp_path: Path, module: str, code: str, problem: str
) -> None:
    for name, text in {
        "__init__": "from faceinpaint import cli", "losses": "", "data/sets": "", "models/parser": "", "files": "",
        "training/run": "from faceinpaint import __version__", "repair/trained": "", "show": "", "data/b": "",
        "provenance": "import faceinpaint.files", "data/__init__": "", module: code,
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    if module == "data/a":
        (tmp_path / "data" / "b.py").write_text("def later():\n    from .a import c")
    said = house.problems(house.arrows(tmp_path))
    assert len(said) == 1
    assert said[0].startswith(problem)


def test_the_picture_in_the_contributors_guide_is_that_of_the_imports() -> None:
    page = house.PAGE.read_text(encoding="utf-8")
    assert house.with_picture(page, house.picture(house.arrows())) == page, "python tools/house.py --draw"
    assert [page.count(mark) for mark in house.MARKS] == [1, 1], "an old picture is left somewhere"


def test_no_file_and_no_function_is_too_long_to_be_read() -> None:
    """The drawn faces are one long drawing. A command's options and its help are its manual, and are not counted."""
    for path in sorted((ROOT / "faceinpaint").rglob("*.py")):
        if path.name == "toy.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST_FILE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                first = node.body[0].lineno if path.name == "cli.py" else node.lineno
                if path.name == "cli.py" and ast.get_docstring(node) and len(node.body) > 1:
                    first = node.body[1].lineno
                assert node.end_lineno - first < LONGEST_FUNCTION, f"{path}: {node.name}"


def test_a_room_that_the_law_does_not_know_is_named() -> None:
    with pytest.raises(KeyError, match="attic has no place"):
        house.problems({"attic.trunk": {"errors"}})


def test_repairing_loads_no_loss_critic_metric_comparison_or_lightning() -> None:
    names = loaded("import faceinpaint.repair.photograph")
    assert "faceinpaint.models.facial_style" in names
    kept_out = ("losses", "metrics", "backbones", "comparison", "show", "models.discriminators", "training.objectives")
    assert not [n for n in names if n.startswith(tuple(f"faceinpaint.{k}" for k in kept_out))]
    assert not [
        n for n in names if n.partition(".")[0] in ("lightning_fabric", "lightning", "tensorboard", "matplotlib")
    ]


# --- public names ---------------------------------------------------------------------------------------------------


def test_importing_the_package_imports_nothing_of_weight() -> None:
    """In milliseconds, which no test can promise of a busy machine, this is far below fifty."""
    before, after = loaded("from importlib import import_module\nimport typing"), loaded("import faceinpaint")
    assert after - before - {"__future__"} == {"faceinpaint"}  # some environments load that as they start


def test_every_public_name_is_there_and_has_a_home_and_a_place_in_the_book() -> None:
    names = [name for name in faceinpaint.__all__ if name != "__version__"]
    assert sorted(names) == sorted(name for home in faceinpaint._HOMES.values() for name in home)
    for name in names:
        assert getattr(faceinpaint, name).__name__ == name
        assert getattr(faceinpaint, name).__module__ in {f"faceinpaint.{home}" for home in faceinpaint._HOMES}
    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\.\. auto\w+:: faceinpaint\.(\w+)$", page, re.M)) == sorted(names)
    assert sorted(dir(faceinpaint)) == sorted(faceinpaint.__all__)


def test_a_type_checker_knows_the_public_names() -> None:
    tree = ast.parse((ROOT / "faceinpaint" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module.removeprefix("faceinpaint.")
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert told == {name: home for home, names in faceinpaint._HOMES.items() for name in names}


def test_an_unknown_name_is_refused_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="no attribute 'outpaint'"):
        faceinpaint.outpaint  # noqa: B018


def test_lightning_is_loaded_where_training_starts_and_not_before() -> None:
    everything = "import faceinpaint.cli, faceinpaint.comparison.reproduce, faceinpaint.repair.photograph"
    assert "lightning_fabric" not in loaded(everything)
