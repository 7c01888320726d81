"""Each of the patent's 30 equations has one home in a docstring and one test; the checker itself is tested too."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import faceinpaint
from faceinpaint.equations import COUNT, REFERENCE, Equation, index

PACKAGE = Path(faceinpaint.__file__).parent
TESTS = Path(__file__).parent

LOOSE = re.compile(r"\b[Ee]qs?\.?\s*\(?\d|\b[Ee]quations?\s*\(\d")
"""Ways of naming an equation's number that the index would not see."""


def test_functions(path: Path) -> list[str]:
    """Names of the test functions that pytest collects from a file: of the module and of its classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    return [f.name for body in bodies for f in body if isinstance(f, ast.FunctionDef) and f.name.startswith("test")]


test_functions.__test__ = False  # a helper, whatever pytest thinks of its name


def complaints(package: Path, tests: Path, count: int = COUNT) -> list[str]:
    """What is wrong with the equations of a package and their tests; nothing if each has one home and one test."""
    found = []
    equations = index(package)
    homes: dict[int, list[Equation]] = {}
    for equation in equations:
        homes.setdefault(equation.number, []).append(equation)
    named = {path: test_functions(path) for path in sorted(tests.rglob("test_*.py"))}
    tested: dict[int, list[Path]] = {}
    for path, names in named.items():
        for name in names:
            if match := re.match(r"test_eq(\d\d)_\w", name):
                tested.setdefault(int(match[1]), []).append(path)
            elif re.match(r"test_eq_?\d", name):
                found.append(f"{path.name}: {name} is not called test_eqNN_something")
    for number in range(1, count + 1):
        if len(homes.get(number, [])) != 1:
            found.append(f"equation {number} has {len(homes.get(number, []))} homes")
        if len(tested.get(number, [])) != 1:
            found.append(f"equation {number} has {len(tested.get(number, []))} tests")
        for home in homes.get(number, []):
            stem = f"test_{home.module.rpartition('.')[2]}"
            if any(path.stem != stem for path in tested.get(number, [])):
                found.append(f"equation {number} is tested elsewhere than in {stem}.py")
    found += [f"there is no equation {n}" for n in sorted(homes.keys() | tested.keys()) if not 1 <= n <= count]
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        module = ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
        if len(REFERENCE.findall(text)) != sum(e.module == module for e in equations):
            found.append(f"{path.name}: an equation is named outside the docstrings")
        found += [
            f"{path.name}: {m[0]!r} is not how equations are named" for m in LOOSE.finditer(REFERENCE.sub("", text))
        ]
    return found


# --- the library ----------------------------------------------------------------------------------------------------


def test_every_equation_has_one_home_and_one_test() -> None:
    assert complaints(PACKAGE, TESTS) == []


def test_index_is_that_of_the_patent() -> None:
    found = index()
    assert [e.number for e in found] == list(range(1, 31))
    assert Counter(e.module for e in found) == {
        "faceinpaint.models.facial_style": 21,
        "faceinpaint.losses": 3,
        "faceinpaint.metrics": 6,
    }


def test_index_points_at_the_objects_that_it_names() -> None:
    for equation in index():
        home = importlib.import_module(equation.module)
        for name in filter(None, equation.object.split(".")):
            home = getattr(home, name)
        assert f"Eq. ({equation.number})" in inspect.getdoc(home)
        assert inspect.getdoc(home).splitlines()[0] == equation.summary
        first = Path(inspect.getfile(home)).read_text(encoding="utf-8").splitlines()[equation.line - 1]
        assert re.match(rf"\s*(class|def) {equation.object.rpartition('.')[2]}\b", first)


# --- the checker ----------------------------------------------------------------------------------------------------

ONE = '''"""A module."""


def first(x):
    """Double it. Eq. (1)."""
    return 2 * x


class Pair:
    """Two formulas: Eq. (2), the rest is elsewhere."""

    @staticmethod
    def last(x):
        """Halve it,
        Eq. (3).
        """
        return x / 2
'''
TEST_ONE = """import pytest


def test_eq01_doubles():
    pass


@pytest.mark.parametrize("x", [1, 2])
def test_eq02_pairs(x):
    pass


class TestLast:
    def test_eq03_halves(self):
        pass


def test_other():
    pass
"""


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path]:
    """A package and its tests with three equations in order."""
    package, tests = tmp_path / "toy", tmp_path / "tests"
    (package / "inner").mkdir(parents=True)
    tests.mkdir()
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "one.py").write_text(ONE)
    (package / "two.py").write_text("x = 1\n")
    (tests / "test_one.py").write_text(TEST_ONE)
    (tests / "test_two.py").write_text("def test_x():\n    pass\n")
    return package, tests


def test_an_orderly_tree_draws_no_complaint(tree: tuple[Path, Path]) -> None:
    assert complaints(*tree, count=3) == []
    assert index(tree[0]) == [
        Equation(1, "toy.inner.one", "first", "Double it. Eq. (1).", 4),
        Equation(2, "toy.inner.one", "Pair", "Two formulas: Eq. (2), the rest is elsewhere.", 9),
        Equation(3, "toy.inner.one", "Pair.last", "Halve it,", 13),
    ]


def test_a_package_and_a_module_can_be_a_home(tree: tuple[Path, Path]) -> None:
    (tree[0] / "__init__.py").write_text('"""A package. Eq. (4)."""\n')
    (tree[0] / "two.py").write_text('# a comment\n"""A module. Eq. (5)."""\n')
    assert index(tree[0])[3:] == [
        Equation(4, "toy", "", "A package. Eq. (4).", 1),
        Equation(5, "toy.two", "", "A module. Eq. (5).", 1),
    ]


def test_a_missing_equation_is_noticed(tree: tuple[Path, Path]) -> None:
    assert complaints(*tree, count=4) == ["equation 4 has 0 homes", "equation 4 has 0 tests"]


def test_an_equation_too_many_is_noticed(tree: tuple[Path, Path]) -> None:
    assert complaints(*tree, count=2) == ["there is no equation 3"]


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("toy/inner/one.py", lambda s: s.replace(" Eq. (1)", ""), "equation 1 has 0 homes"),
        ("toy/inner/one.py", lambda s: s.replace("Eq. (2)", "Eq. (2), again Eq. (2)"), "equation 2 has 2 homes"),
        ("toy/two.py", lambda s: 'def f():\n    """Also Eq. (3)."""\n', "equation 3 has 2 homes"),
        ("toy/__init__.py", lambda s: '"""A package with Eq. (1)."""\n', "equation 1 has 2 homes"),
        ("toy/two.py", lambda s: 'async def f():\n    r"""Also Eq. (2)."""\n', "equation 2 has 2 homes"),
        ("toy/two.py", lambda s: 'def f():\n    def g():\n        """Eq.\n        (2)."""\n', "equation 2 has 2 homes"),
        ("toy/two.py", lambda s: s + "# see Eq. (2)\n", "two.py: an equation is named outside the docstrings"),
        ("toy/two.py", lambda s: "x = 'Eq. (2)'\n", "two.py: an equation is named outside the docstrings"),
        ("toy/two.py", lambda s: s + "# see eq. 2\n", "two.py: 'eq. 2' is not how equations are named"),
        ("toy/two.py", lambda s: s + "# see Eqs. (1)\n", "two.py: 'Eqs. (1' is not how equations are named"),
        ("tests/test_one.py", lambda s: s.replace("test_eq01_doubles", "test_doubles"), "equation 1 has 0 tests"),
        ("tests/test_one.py", lambda s: s.replace("test_other", "test_eq02_pairs"), "equation 2 has 2 tests"),
        ("tests/test_one.py", lambda s: s.replace("test_other", "test_eq03_b"), "equation 3 has 2 tests"),
        ("tests/test_two.py", lambda s: s.replace("test_x", "test_eq01_x"), "equation 1 has 2 tests"),
        ("tests/test_one.py", lambda s: s.replace("eq03", "eq3"), "equation 3 has 0 tests"),
        (
            "tests/test_one.py",
            lambda s: s.replace("test_other", "test_eq2_b"),
            "test_one.py: test_eq2_b is not called test_eqNN_something",
        ),
        (
            "tests/test_one.py",
            lambda s: s.replace("def test_eq01_doubles():\n", "def helper():\n    def test_eq01_doubles():\n    "),
            "equation 1 has 0 tests",
        ),
    ],
)
def test_disorder_is_noticed(tree: tuple[Path, Path], file: str, change: Callable[[str], str], complaint: str) -> None:
    path = tree[0].parent / file
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    assert complaint in complaints(*tree, count=3)


def test_a_test_in_the_wrong_file_is_noticed(tree: tuple[Path, Path]) -> None:
    (tree[1] / "test_one.py").rename(tree[1] / "test_three.py")
    assert complaints(*tree, count=3)[0] == "equation 1 is tested elsewhere than in test_one.py"
