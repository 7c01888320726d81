"""Mutation testing: change one operator or number of the library at a time and see whether a test notices.

    python tools/mutate.py                     a sample of every module, record under data/results/soak/
    python tools/mutate.py losses --sample 0   every mutant of one module

Works on a copy of the tree in a temporary folder. The libraries are imported once; each mutant runs its tests in a
forked process, first those of its own module, then, if it lives, the more general ones. Mutants that live are listed
with the reason from ``tools/survivors.json``, or none if nobody has looked at them yet.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "regions": ["test_regions.py"],
    "masks": ["test_masks.py"],
    "losses": ["test_losses.py"],
    "metrics": ["test_metrics.py"],
    "models/facial_style": ["test_facial_style.py"],
}
GENERAL = ["test_properties.py", "test_numerics.py"]
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


def mutants(source: str) -> Iterator[tuple[str, str, str]]:
    """(source, name of the mutant, its line and function)."""
    tree, lines = ast.parse(source), source.splitlines()
    for number in range(len(list(places(tree)))):
        changed = copy.deepcopy(tree)
        node, field, value, where = list(places(changed))[number]
        line = node.lineno  # type: ignore[attr-defined]
        before = ast.unparse(node).partition("\n")[0]
        if isinstance(value, ast.Expr):  # `not x` becomes `bool(x)`
            node.op, value, field = ast.Not(), ast.UnaryOp(ast.Not(), node.operand), "operand"  # type: ignore[attr-defined]
        setattr(node, field, value)
        ast.fix_missing_locations(changed)
        after = ast.unparse(node).partition("\n")[0]
        yield ast.unparse(changed), f"{lines[line - 1].strip()}  [{before} -> {after}]", f"{line}, {where}"


def passes(tree: Path, tests: list[str], limit: float) -> tuple[bool, str]:
    """Run tests on the copy in a forked process; (whether all pass, how it ended)."""
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        os.chdir(tree)
        sys.path.insert(0, str(tree))
        import pytest

        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *(f"tests/{t}" for t in tests)])
        inside = str(sys.modules["faceinpaint"].__file__ if "faceinpaint" in sys.modules else tree).startswith(
            str(tree)
        )
        os._exit(code if inside else 99)
    began = time.monotonic()
    while time.monotonic() - began < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            assert code != 99, "the tests ran on another copy of the library"
            return code == 0, f"exit {code}"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False, "too slow"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=", ".join(TESTS))
    parser.add_argument("--sample", type=int, default=60, help="mutants of each module; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "data/results/soak/mutation.json")
    arguments = parser.parse_args()
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    sys.dont_write_bytecode = True
    # What takes long to import is imported once; the library itself is then forgotten, for the mutants' sake.
    import lightning_fabric, PIL.Image, pytest, scipy.linalg, skimage.metrics, torch  # noqa: E401, F401, I001

    from faceinpaint.metrics import repair_torchvision

    repair_torchvision()
    import torchmetrics  # noqa: F401

    for name in [name for name in sys.modules if name.partition(".")[0] == "faceinpaint"]:
        del sys.modules[name]

    reasons = json.loads((ROOT / "tools" / "survivors.json").read_text(encoding="utf-8"))
    found = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faceinpaint-mutants-") as folder:
        tree = Path(folder)
        for name in ("faceinpaint", "tests"):
            shutil.copytree(ROOT / name, tree / name)
        for stale in (tree / "faceinpaint").rglob("__pycache__"):
            shutil.rmtree(stale)
        shutil.copy(ROOT / "pyproject.toml", tree)
        for module in arguments.modules:
            path = tree / "faceinpaint" / f"{module}.py"
            source = path.read_text(encoding="utf-8")
            start = time.monotonic()
            assert passes(tree, TESTS[module], 600)[0], f"{module}: the tests fail without any mutant"
            limit = 20 + 5 * (time.monotonic() - start)
            every = list(mutants(source))
            chosen = every
            if 0 < arguments.sample < len(every):
                chosen = random.Random(arguments.seed).sample(every, arguments.sample)
            alive = []
            for number, (changed, name, line) in enumerate(chosen, 1):
                path.write_text(changed, encoding="utf-8")
                lives = passes(tree, TESTS[module], limit)[0] and passes(tree, GENERAL, 300)[0]
                if lives:
                    alive.append({"mutant": name, "line": line, "reason": reasons.get(f"{module}: {name}")})
                print(f"{module} {number}/{len(chosen)} {'LIVES ' if lives else 'killed'} {line}: {name}", flush=True)
            path.write_text(source, encoding="utf-8")
            found[module] = {
                "mutants": len(every), "tried": len(chosen), "killed": len(chosen) - len(alive), "survivors": alive,
            }  # fmt: skip
            write(arguments.out, found, arguments.seed, began)


def write(out: Path, found: dict[str, dict[str, object]], seed: int, began: float) -> None:
    """The record of the modules so far, so that a run that is stopped leaves what it found."""
    tried, killed = (sum(int(entry[key]) for entry in found.values()) for key in ("tried", "killed"))  # type: ignore[call-overload]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    about = {
        "kind": "mutation", "tried": tried, "killed": killed, "share": round(killed / tried, 4), "modules": found,
        "seed": seed, "seconds": round(time.monotonic() - began, 1), "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": "CPU, 1 threads", "versions": {"python": platform.python_version()}, "commit": commit.strip(),
    }  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    print(f"{killed} of {tried} killed ({killed / tried:.0%}) -> {out}", flush=True)


if __name__ == "__main__":
    main()
