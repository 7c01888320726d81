"""Mutation testing: change one operator or number of the library at a time and see whether a test notices.

    python tools/mutate.py                     a sample of every module, record under data/results/soak/
    python tools/mutate.py losses --sample 0   every mutant of one module; the record keeps the others
    python tools/mutate.py losses --again      only those that lived, after a test was written for them

Works on a copy of the tree in a temporary folder. The libraries are imported once; each mutant runs its tests in a
forked process: those of its module that reach its line, the quickest first, then, if it lives, the module's others.
Other tests may notice more; they do not count. Mutants that live are listed with the reason from
``tools/survivors.json``, or none if nobody has looked at them yet.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import hashlib
import importlib.util
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "regions": ["tests/test_regions.py"],
    "losses": ["tests/test_losses.py"],
    "data/masks": ["tests/test_masks.py"],
    "models/facial_style": ["tests/test_facial_style.py"],
    "metrics": ["tests/test_metrics.py"],
}
SWAPS: dict[type, list[type]] = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult], ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.Mult], ast.Pow: [ast.Mult], ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is], ast.And: [ast.Or],
    ast.Or: [ast.And], ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd], ast.BitXor: [ast.BitAnd],
}  # fmt: skip
IGNORED = {"annotation", "returns", "type_comment"}


def places(node: ast.AST, where: str = "") -> Iterator[tuple[ast.AST, str, object, str]]:
    """(node, field, new value, function) of every mutant; annotations and the texts of errors are left alone."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        yield from ((node, "op", new(), where) for new in SWAPS.get(type(node.op), []))
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from ((node, "ops", [new()], where) for new in SWAPS.get(type(node.ops[0]), []))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node, "op", ast.UAdd() if isinstance(node.op, ast.USub) else ast.parse("bool").body[0], where
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = node.value
        yield node, "value", (not value) if isinstance(value, bool) else value + 1, where
    elif isinstance(node, ast.IfExp | ast.If | ast.While):
        yield node, "test", ast.UnaryOp(ast.Not(), node.test), where
    for name, value in ast.iter_fields(node):
        if name in IGNORED or isinstance(node, ast.Raise | ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from places(child, where)


def mutant(source: str, number: int) -> tuple[str, str, str, range]:
    """(source, name, line and function, lines) of one mutant."""
    tree = ast.parse(source)
    node, field, value, where = list(places(tree))[number]
    first, last = node.lineno, (getattr(node, "test", None) or node).end_lineno  # type: ignore[attr-defined]
    before = ast.unparse(node).partition("\n")[0]
    if isinstance(value, ast.Expr):  # `not x` becomes `bool(x)`
        node.op, value, field = ast.Not(), ast.UnaryOp(ast.Not(), copy.copy(node.operand)), "operand"  # type: ignore[attr-defined]
    setattr(node, field, value)
    ast.fix_missing_locations(tree)
    after = ast.unparse(node).partition("\n")[0]
    name = f"{source.splitlines()[first - 1].strip()}  [{before} -> {after}]"
    return ast.unparse(tree), name, f"{first}, {where}", range(first, last + 1)


class Watch:
    """A plugin of pytest that notes how long each test takes and which lines of one file it reaches."""

    def __init__(self, path: Path) -> None:
        import coverage

        self.path, self.seconds = path, {}
        self.coverage = coverage.Coverage(data_file=None, include=[str(path)])
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)
        self.seconds[nodeid] = -time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] += time.process_time()

    def write(self, out: Path) -> None:
        self.coverage.stop()
        lines = self.coverage.get_data().contexts_by_lineno(str(self.path))
        out.write_text(json.dumps({"seconds": self.seconds, "lines": lines}), encoding="utf-8")


def passes(tree: Path, tests: list[str], limit: float, watched: Path | None = None) -> bool:
    """Run tests on the copy in a forked process; whether all pass. Of ``watched``, note which test reaches what."""
    child = os.fork()
    if child == 0:
        code = 98
        try:
            os.setsid()
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1), os.dup2(quiet, 2)
            os.chdir(tree)
            sys.path.insert(0, str(tree))
            import pytest

            watch = Watch(watched) if watched else None
            # Cases that fail look the same without pytest's rewriting of asserts, and start sooner.
            code = pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *tests], [watch] * bool(watch))
            if watch:
                watch.write(tree / "watched.json")
            if "faceinpaint" in sys.modules and not str(sys.modules["faceinpaint"].__file__).startswith(str(tree)):
                code = 99
        finally:
            os._exit(code)
    began = time.monotonic()
    while time.monotonic() - began < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            assert code != 99, "the tests ran on another copy of the library"
            return code == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=", ".join(TESTS))
    parser.add_argument("--sample", type=int, default=60, help="mutants of each module; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="try those of the record that lived")
    parser.add_argument("--out", type=Path, default=ROOT / "data/results/soak/mutation.json")
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.dont_write_bytecode = True
    # What takes long to import is imported once; the library itself is then forgotten, for the mutants' sake.
    import coverage, hypothesis, lightning_fabric, PIL.Image, pytest, scipy.linalg, skimage.metrics, torch  # noqa: E401, F401, I001

    from faceinpaint.provenance import commit
    from faceinpaint.mend import mend_torchvision

    arguments.commit = commit()
    torch.set_num_threads(1)
    mend_torchvision()
    import torchmetrics  # noqa: F401

    for name in [name for name in sys.modules if name.partition(".")[0] == "faceinpaint"]:
        del sys.modules[name]

    held: dict[str, Any] = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    with tempfile.TemporaryDirectory(prefix="faceinpaint-mutants-") as folder:
        tree = Path(folder)
        for name in ("faceinpaint", "tests"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        compileall.compile_dir(tree, quiet=2)
        for module in arguments.modules:
            examine(module, tree, arguments, held)


def examine(module: str, tree: Path, arguments: argparse.Namespace, held: dict[str, Any]) -> None:
    """Try mutants of one module and write what came of it into the record."""
    began = time.monotonic()
    reasons = json.loads((ROOT / "tools" / "survivors.json").read_text(encoding="utf-8"))
    path = tree / "faceinpaint" / f"{module}.py"
    source = path.read_text(encoding="utf-8")
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    Path(importlib.util.cache_from_source(str(path))).unlink()  # a mutant must not find the original compiled
    assert passes(tree, TESTS[module], 3600, path), f"{module}: the tests fail without any mutant"
    watched = json.loads((tree / "watched.json").read_text(encoding="utf-8"))
    quickest = sorted(watched["seconds"], key=watched["seconds"].__getitem__)
    limit = 60 + 10 * sum(watched["seconds"].values())

    def lives(lines: range) -> bool:
        reach = {test for line in lines for test in watched["lines"].get(str(line), [])}
        # A line that runs on import, "", is reached by all. The others come after: a fixture's line counts as that of
        # the first test that asked for it.
        own = [test for test in quickest if test in reach or "" in reach]
        rest = [test for test in quickest if test not in own]
        return all(passes(tree, tests, limit) for tests in (own, rest) if tests)

    every = len(list(places(ast.parse(source))))
    chosen, tried, seed = list(range(every)), 0, arguments.seed
    if arguments.again:
        before = held["modules"][module]
        assert before["sha256"] == sha256, f"{module}: the record is of another source; run without --again"
        chosen, seed = [survivor["number"] for survivor in before["survivors"]], before["seed"]
        tried = before["tried"] - len(chosen)
    elif 0 < arguments.sample < every:
        chosen = random.Random(seed).sample(chosen, arguments.sample)
    killed, survivors = tried, []
    for number in chosen:
        changed, name, line, lines = mutant(source, number)
        path.write_text(changed, encoding="utf-8")
        tried += 1
        if lives(lines):
            reason = reasons.get(f"{module}: {name}")
            survivors.append({"number": number, "line": line, "mutant": name, "reason": reason})
        else:
            killed += 1
        state = "LIVES " if survivors and survivors[-1]["number"] == number else "killed"
        print(f"{module} {tried} {state} {line}: {name}", flush=True)
        held.setdefault("modules", {})[module] = {
            "mutants": every, "tried": tried, "killed": killed, "share": round(killed / tried, 4),
            "survivors": survivors, "seed": seed, "sha256": sha256, "commit": arguments.commit,
            "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        write(arguments.out, held)
    path.write_text(source, encoding="utf-8")


def write(out: Path, held: dict[str, Any]) -> None:
    """The record so far, so that a run that is stopped leaves what it found."""
    tried, killed = (sum(entry[key] for entry in held["modules"].values()) for key in ("tried", "killed"))
    about = {
        "kind": "mutation", "tried": tried, "killed": killed, "share": round(killed / tried, 4),
        "modules": held["modules"], "date": time.strftime("%Y-%m-%d", time.gmtime()), "device": "CPU, 1 threads",
        "versions": {"python": platform.python_version()},
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
