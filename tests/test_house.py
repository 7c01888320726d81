"""The law of the house: imports point one way, files and functions stay short, and what repairs loads no training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import house  # noqa: E402

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
