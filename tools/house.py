"""The house seen from its imports: who imports whom, whether that follows the law, and a picture of it.

    python tools/house.py            say what breaks the law; nothing if nothing does
    python tools/house.py --draw     write the picture into CONTRIBUTING.md

Every import counts, those inside functions and those for type checkers alone too.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "faceinpaint"
PAGE = ROOT / "CONTRIBUTING.md"
MARKS = "<!-- house:begin -->\n", "<!-- house:end -->\n"

FLOORS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("cli", "__main__"),),
    (("comparison", "show"), ("repair",)),
    (("training",),),
    (("data",), ("models",)),
    (("backbones", "metrics", "losses", "options", "presets", "regions", "weights"),),
    (("files", "download", "mend", "pixels", "progress", "provenance", "errors", "equations"),),
)
"""From the roof down. A room may import what stands on a floor below it, or beside it in its own flat (the names in one
bracket); flats of one floor do not know each other."""

Arrows = Mapping[str, set[str]]
"""Modules of the package, without its name, and the modules that each imports."""


def arrows(package: Path = ROOT / PACKAGE) -> dict[str, set[str]]:
    """Read the imports of every module; nothing is run.

    The package itself is left out: it opens its public names when they are asked for, and every module may ask it for
    its version.
    """
    places = {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(package.rglob("*.py"))
        if path != package / "__init__.py"
    }
    found: dict[str, set[str]] = {}
    for name, path in places.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            for asked in _asked(node, name, path.name == "__init__.py"):
                while asked and asked not in places:
                    asked = asked.rpartition(".")[0]  # a class or function: its module
                if asked and asked != name:
                    found[name].add(asked)
    return found


def _asked(node: ast.AST, module: str, is_package: bool) -> list[str]:
    """What an import statement names, without the name of the package; nothing for other statements."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        above = [PACKAGE, *module.split(".")]
        start = ".".join(above[: len(above) - node.level + is_package]) if node.level else ""
        base = ".".join(part for part in (start, node.module) if part)
        names = [f"{base}.{alias.name}" for alias in node.names]
    else:
        return []
    return [name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")]


def place(module: str) -> tuple[int, int]:
    """Floor and flat of a module, counted from the roof and from the left.

    Raises:
        KeyError: the law does not know it.
    """
    room = module.partition(".")[0]
    for floor, flats in enumerate(FLOORS):
        for flat, rooms in enumerate(flats):
            if room in rooms:
                return floor, flat
    raise KeyError(f"{room} has no place in tools/house.py")


def problems(found: Arrows) -> list[str]:
    """What breaks the law: arrows that point up or across, and circles."""
    said = []
    for one, others in found.items():
        for other in sorted(others):
            (floor, flat), (below, beside) = place(one), place(other)
            if below < floor or (below == floor and beside != flat):
                said.append(f"{one} imports {other}, which stands {'above' if below < floor else 'across from'} it")
    return said + [f"a circle: {' -> '.join(circle)}" for circle in circles(found)]


def circles(found: Arrows) -> list[list[str]]:
    """Circles of imports, each once, from its first module back to it."""
    made: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> None:
        if module in way:
            made.append([*way[way.index(module) :], module])
            return
        if module in done:
            return
        for other in sorted(found.get(module, ())):
            walk(other, [*way, module])
        done.add(module)

    for module in sorted(found):
        walk(module, [])
    return made


def ranks(found: Arrows, wing: str) -> list[list[str]]:
    """The modules of a wing in rows: each imports only what stands in rows below its own."""
    own = {
        m: {o for o in others if o.startswith(f"{wing}.")} for m, others in found.items() if m.startswith(f"{wing}.")
    }
    height: dict[str, int] = {}

    def of(module: str) -> int:
        if module not in height:
            height[module] = 1 + max((of(other) for other in own[module]), default=0)
        return height[module]

    rows: dict[int, list[str]] = {}
    for module in sorted(own):
        rows.setdefault(of(module), []).append(module.rpartition(".")[2])
    return [rows[h] for h in sorted(rows, reverse=True)]


def picture(found: Arrows) -> str:
    """The house as text: floors from the roof down, in a wing the modules in the order of their imports."""
    wide, lines = 98, []
    for flats in FLOORS:
        boxes = []
        for rooms in flats:
            box = []
            for room in rooms:
                rows = ranks(found, room)
                if rows:
                    box.append(f"{room}/  " + " > ".join(", ".join(row) for row in rows))
                elif room != "__main__":
                    box.append(room)
            wings = [b for b in box if "/  " in b]
            plain = ", ".join(b for b in box if "/  " not in b)
            boxes += [*wings, *([plain] if plain else [])]
        lines.append("+" + "-" * wide + "+")
        for box in boxes:
            rows = textwrap.wrap(box, wide - 2, subsequent_indent="    ", break_on_hyphens=False)
            lines += [f"| {row:{wide - 2}} |" for row in rows]
    lines.append("+" + "-" * wide + "+")
    return "\n".join(lines) + "\n"


def with_picture(page: str, made: str) -> str:
    """The page with the picture between its marks."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}```\n{made}```\n{MARKS[1]}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="write the picture into CONTRIBUTING.md")
    given = parser.parse_args()
    found = arrows()
    if given.draw:
        PAGE.write_text(with_picture(PAGE.read_text(encoding="utf-8"), picture(found)), encoding="utf-8")
    said = problems(found)
    print("\n".join(said))
    sys.exit(bool(said))


if __name__ == "__main__":
    main()
