"""Put a finished reproduction into the repository: its records and its table; of drawn faces, a picture too.

    python tools/readme.py out/smoke
    python tools/readme.py out/cpu --name celebahq-64

The records go to ``data/results/NAME/``. The table, and what it says, are written from there between the markers of
that name, in the README or in the model card; between other markers stands the answer in short.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from faceinpaint.comparison import findings, table
from faceinpaint.comparison.records import read_records
from faceinpaint.comparison.reproduce import ROWS
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.data.pairs import check_pairs
from faceinpaint.data.sources import Sources
from faceinpaint.models import composite
from faceinpaint.pixels import from_bytes
from faceinpaint.presets import preset
from faceinpaint.regions import merge_classes
from faceinpaint.training.methods import METHODS
from faceinpaint.training.run import load_generator

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "data" / "weights" / "README.md")
MARKS = "<!-- table:begin data/results/{} -->\n", "<!-- table:end -->\n"
ANSWER = "<!-- answer:begin data/results/{} -->\n", "<!-- answer:end -->\n"


def readme_table(records: Path) -> str:
    """The brief table in Markdown, with its notes; before it, where the records are a result, what they say."""
    group = findings.Group(records.name, tuple(read_records([records])))
    made = table.brief(group.records).markdown()
    if not group.is_result or not group.tells_oracle:
        return made
    told = findings.against_others(group), findings.order(group), findings.oracle(group)
    return "\n\n".join((findings.caveat(group), *told, findings.without_oracle(group), made))


def answer(records: Path) -> str:
    """Whether the method is better, by how much, and what of it is the oracle's."""
    return findings.answer(findings.Group(records.name, tuple(read_records([records])))) + "\n"


def between(page: str, marks: tuple[str, str], name: str, made: str) -> str | None:
    """A page with what stands between the markers of a name replaced; None if it has no such markers."""
    begin = marks[0].format(name)
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition(marks[1])
    return before + begin + "\n" + made + "\n" + marks[1] + after if found and end else None


@torch.no_grad()
def picture(out: Path, path: Path) -> None:
    """Three drawn faces with growing holes: true, damaged, and as each row repairs them, from its start."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scale = preset("smoke")
    test = Sources().test(scale, out / "cache")
    places = check_pairs(test.pairs, test.faces, test.holes)
    chosen = [next(i for i, p in enumerate(test.pairs) if p.bin == BIN_NAMES[b]) + b for b in (1, 3, 5)]
    image = torch.stack([torch.from_numpy(test.faces.images[places[i][0]].copy()) for i in chosen])
    image = from_bytes(image.permute(0, 3, 1, 2))
    hole = torch.stack([torch.from_numpy(test.holes.holes[places[i][1]].copy()) for i in chosen])[:, None].float()
    labels = torch.stack([torch.from_numpy(test.faces.labels[places[i][0]].copy()) for i in chosen])
    columns = [("True", image), ("Damaged", torch.where(hole > 0, 1.0, image))]
    for row in ROWS:
        if row.map == "predicted":
            continue
        trained = METHODS[row.method].trained
        network = load_generator(out / "runs" / row.key)[0] if trained else METHODS[row.method].generator()
        drawn = network(image, hole, merge_classes(labels, row.merge)).image
        columns.append((f"{row.title}\n{row.start or ''}", composite(drawn, image, hole)))
    figure, axes = plt.subplots(len(chosen), len(columns), figsize=(1.3 * len(columns), 1.5 * len(chosen)))
    for c, (title, pictures) in enumerate(columns):
        for r, pixels in enumerate(pictures):
            axes[r, c].imshow(((pixels.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).numpy(), interpolation="nearest")
            axes[r, c].set_axis_off()
        axes[0, c].set_title(title.replace(" (classical)", ""), fontsize=9, color="#777777")
    figure.subplots_adjust(0, 0, 1, 0.9, 0.03, 0.03)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, transparent=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of a finished `faceinpaint reproduce`")
    parser.add_argument("--name", default="smoke", help="what the results are called (default: smoke, of drawn faces)")
    given = parser.parse_args()
    held, fresh = ROOT / "data/results" / given.name, given.out / "records"
    texts = {page: between(page.read_text(encoding="utf-8"), MARKS, given.name, readme_table(fresh)) for page in PAGES}
    if not any(texts.values()):
        marks = "".join(MARKS).format(given.name)
        raise SystemExit(f"no page has a place for this table; write these two lines into {PAGES[0].name}: {marks}")
    shutil.rmtree(held, ignore_errors=True)
    shutil.copytree(given.out / "records", held)
    for page, text in texts.items():
        if text:
            page.write_text(between(text, ANSWER, given.name, answer(fresh)) or text, encoding="utf-8")
    if given.name == "smoke":  # no picture is shown that was made of real faces
        picture(given.out, held / "picture.png")


if __name__ == "__main__":
    main()
