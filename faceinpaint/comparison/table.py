"""The comparison table, made from results records and from nothing else."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceinpaint.comparison.evaluate import VERSION, VIEWS
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.errors import DataError
from faceinpaint.files import write_text
from faceinpaint.training.methods import METHODS

AS_PRINTED: dict[str, tuple[str, str, str]] = {
    "context-encoder": ("18.69", "0.681", "-"),
    "contextual-attention": ("19.34", "0.734", "21.15"),
    "gated-conv": ("24.48", "0.890", "23.88"),
    "facial-style": ("26.96", "0.895", "9.27"),
}
"""PSNR, SSIM and FID of the patent's Table 1. Its holes, number of images and kind of output are not stated."""


@dataclass(frozen=True)
class Table:
    """Headers, rows of text, and notes below."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """As a GitHub-flavoured Markdown table, numbers to the right."""

        def line(cells: Iterable[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        lines = [f"**{self.title}**", "", line(self.headers)]
        lines.append("| " + " | ".join("---" if i < 2 else "---:" for i in range(len(self.headers))) + " |")
        lines += [line(row) for row in self.rows]
        lines += [""] + [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    def csv(self) -> str:
        """As comma-separated values; notes are left out."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.headers)
        writer.writerows(self.rows)
        return out.getvalue()

    def html(self) -> str:
        """As an HTML fragment."""

        def line(cells: Iterable[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "\n".join(line(row, "td") for row in self.rows)
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f'<table class="faceinpaint">\n<caption>{html.escape(self.title)}</caption>\n'
            f"<thead>{line(self.headers, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<ul>{notes}</ul>\n"
        )


def read_records(places: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Results records of files and folders (searched through), in the order of the table.

    Raises:
        DataError: a place does not exist, a record is damaged or of another layout, or none is found.
    """
    files: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            files += sorted(place.rglob("*.json"))
        elif place.exists():
            files.append(place)
        else:
            raise DataError("there is no such file or folder", "Name a results record or a folder of them", place)
    records = []
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise DataError(f"it is not JSON ({error})", "Evaluate again, or remove the file", file) from None
        if not isinstance(content, dict) or content.get("kind") != "evaluation":
            continue  # configurations and weights lie in the same folders
        if content.get("version") != VERSION:
            raise DataError(f"it is a record of layout {content.get('version')}", "Evaluate again", file)
        missing = {"method", "map", "test", "images", "sets", "size", "preset"} - content.keys()
        if missing or content["method"] not in list(METHODS):
            problem = (
                f"it lacks {', '.join(sorted(missing))}" if missing else f"its method {content['method']!r} is unknown"
            )
            raise DataError(problem, "Evaluate again, or remove the file", file)
        try:  # a record is whole if the tables can be made from it
            for view in VIEWS:
                comparison([content], view)
                by_bin([content], view=view)
            _place(content)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            problem = f"the record is incomplete or damaged ({type(error).__name__}: {error})"
            raise DataError(problem, "Evaluate again, or remove the file", file) from None
        records.append(content)
    if not records:
        raise DataError("no results record is there", "Run `faceinpaint evaluate` first", places[0] if places else None)
    return sorted(records, key=_place)


LOGS = "logs.json"
"""Beside results records: the thinned logs of their trainings."""


def read_logs(places: Sequence[str | Path]) -> dict[str, list[dict[str, float]]]:
    """Thinned logs by training, from every ``logs.json`` in folders of records; empty where there is none.

    Raises:
        DataError: one is damaged.
    """
    logs: dict[str, list[dict[str, float]]] = {}
    for file in [f for place in places if Path(place).is_dir() for f in sorted(Path(place).rglob(LOGS))]:
        try:
            for name, rows in json.loads(file.read_text(encoding="utf-8"))["logs"].items():
                logs[name] = [{key: float(value) for key, value in row.items()} for row in rows]
        except (ValueError, OSError, RecursionError, LookupError, TypeError, AttributeError) as error:
            problem = f"it cannot be read ({type(error).__name__}: {error})"
            raise DataError(problem, "Reproduce again, or remove the file", file) from None
    return logs


def _place(record: dict[str, Any]) -> tuple[str, int, int, int, str]:
    """Where a record stands in the table."""
    order, maps = list(METHODS), ("true", "predicted", None)
    preset, size, key = record["preset"], record["size"], record["key"]
    if not isinstance(preset, str) or not isinstance(size, int) or not isinstance(key, str):
        raise TypeError("preset, size or key")
    return preset, size, order.index(record["method"]), maps.index(record["map"]), key


def comparison(records: Sequence[dict[str, Any]], view: str = "composited") -> Table:
    """The patent's columns as printed, beside what was measured.

    Args:
        records: of one test set.
        view: "composited" (the headline) or "raw".

    Raises:
        DataError: the records were not measured on the same test pairs.
    """
    _same_test(records)
    with_fid = any(r["inception"] for r in records)
    fid_names = ["FID", "KID (x1000)"] if _published(records) else ["FD of the given network", "KID of it (x1000)"]
    headers = [
        "Method", "Map", "PSNR as printed", "SSIM as printed", "FID as printed", "PSNR (dB)", "SSIM", "L1 (%)", "LPIPS",
        "FD-AlexNet", "KID-AlexNet (x1000)", *(fid_names if with_fid else []), "Parameters (M)", "GFLOPs",
        "Images seen", "Training (min)",
    ]  # fmt: skip
    # The patent's own row is the one that reads the true map, with no option changed; the others are ours to add.
    printed = {
        r["key"]: AS_PRINTED[r["method"]]
        for r in records
        if r["method"] in AS_PRINTED
        and (r["map"] == "true" or not METHODS[r["method"]].uses_map)
        and not (r["training"] or {}).get("config", {}).get("options")
    }
    rows = []
    for r in records:
        images, sets, training = r["images"][view]["all"], r["sets"][view]["all"], r["training"] or {}
        fid = []
        if with_fid:
            found = (r["inception"] or {}).get(view)
            fid = [f"{found['fid']:.2f}", f"{1000 * found['kid']:.2f}"] if found else ["", ""]
        rows.append(
            (
                r["title"],
                r["map"] or "-",
                *printed.get(r["key"], ("", "", "")),
                interval(images["psnr"], 2),
                interval(images["ssim"], 4),
                interval(images["l1"], 3, 100),
                interval(images.get("lpips"), 4),
                f"{sets['fd']:.3f}",
                f"{1000 * kid:.3f}" if (kid := sets.get("kid_between_faces")) is not None else "",
                *fid,
                f"{r['parameters'] / 1e6:.2f}" if r["parameters"] else "-",
                f"{r['flops'] / 1e9:.2f}" if r["flops"] else "-",
                f"{training['images']:,}" if training else "-",
                f"{training['seconds'] / 60:.1f}" if training else "-",
            )
        )
    return Table(
        f"Comparison on the same test pairs, {view} output", tuple(headers), tuple(rows), tuple(notes(records))
    )


def brief(records: Sequence[dict[str, Any]], view: str = "composited") -> Table:
    """The comparison without intervals and costs, narrow enough for a terminal."""
    whole = comparison(records, view)
    wanted = ("Method", "Map", "PSNR as printed", "PSNR (dB)", "SSIM", "L1 (%)", "LPIPS", "FD-AlexNet", "Images seen")
    columns = [whole.headers.index(name) for name in wanted]
    rows = (tuple(row[i].partition(" [")[0] for i in columns) for row in whole.rows)
    headers = tuple(name.replace("PSNR as printed", "As printed") for name in wanted)
    return Table(whole.title, headers, tuple(rows), tuple(notes(records, intervals=False)))


def by_bin(records: Sequence[dict[str, Any]], metric: str = "psnr", view: str = "composited") -> Table:
    """One metric for each bin of hole fraction."""
    _same_test(records)
    digits, factor = {"psnr": (2, 1), "ssim": (4, 1), "lpips": (4, 1), "l1": (3, 100)}.get(metric, (3, 1))
    rows = []
    for r in records:
        groups = r["images"][view]
        rows.append(
            (r["title"], r["map"] or "-", *(interval(groups.get(b, {}).get(metric), digits, factor) for b in BIN_NAMES))
        )
    name = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS", "l1": "L1 (%)"}.get(metric, metric)
    return Table(f"{name} by hole fraction, {view} output", ("Method", "Map", *BIN_NAMES), tuple(rows))


def interval(summary: dict[str, Any] | None, digits: int, factor: float = 1) -> str:
    """A mean with its 95% interval, or nothing if it was not measured."""
    if not summary or summary["mean"] is None:
        return ""
    mean, low, high = (f"{factor * summary[k]:.{digits}f}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def notes(records: Sequence[dict[str, Any]], intervals: bool = True) -> list[str]:
    """What a reader must know before using a number, or an interval where the table has them."""
    first = records[0]
    test = first["test"]
    brackets = " Square brackets: 95% bootstrap interval over faces." if intervals else ""
    out = [
        f"Test: {test['pairs']} pairs; {test['faces']}; {test['holes']}; pairs sha256 {test['pairs_sha256'][:12]}. "
        f"{first['size']}x{first['size']} pixels, preset {first['preset']}.{brackets}",
        "As printed: the patent's Table 1 on CelebA-HQ; its holes, number of images and kind of output are not stated, "
        "so its figures and ours are not comparable.",
        f"FD-AlexNet and KID-AlexNet: distances of AlexNet features ({first['networks']['distance']['weights']}) "
        f"over N = {first['sets']['composited']['all']['n']} pairs. They are not FID. KID is taken between pictures of "
        "different faces, since a repaired picture is near its own original."
        + (
            ""
            if all("kid_between_faces" in r["sets"]["composited"]["all"] for r in records)
            else " It is empty where a record is older than that."
        ),
    ]
    if not first["networks"]["lpips"]:
        out.append("LPIPS is empty: no trained AlexNet weights with LPIPS heads were given.")
    if not any(r["inception"] for r in records):
        out.append("FID is absent: clean-fid's Inception weights were not given (option --inception).")
    elif not _published(records):
        out.append("FID is absent: the network given in its place is not the published Inception of clean-fid.")
    if any(r["map"] == "true" for r in records):
        out.append(
            "Map true: the parsing map is read off the undamaged photograph, at test time too, as in the patent. "
            "It is an oracle; the other methods get no such input."
        )
    trained = [r["training"] for r in records if r["training"]]
    if trained:
        seeds = sorted({t["config"]["seed"] for t in trained})
        nets = sorted({t["backbone"]["weights"] for t in trained if t["backbone"]})
        t = trained[0]
        out.append(
            f"Trained on {t['data']['face_count']:,} faces ({t['data']['faces']}) and {t['data']['hole_count']:,} "
            f"holes ({t['data']['holes']}), seed {', '.join(map(str, seeds))}, "
            f"on {', '.join(sorted({x['device'] for x in trained}))}"
            + (f"; perceptual and style losses through {', '.join(nets)}." if nets else ".")
        )
    for counts in sorted({(*t.get("earlier", ()), t["images"]) for t in trained if t.get("earlier")}):
        out.append(
            f"Trained for {', then on to '.join(f'{n:,}' for n in counts)} images: at each new count the learning rate "
            "went up again before it fell."
        )
    starts = {(t["start"]["images"], t["start"]["config"]["preset"]["size"]) for t in trained if t.get("start")}
    for count, side in sorted(starts):
        out.append(f"Images seen are counted from weights that had seen {count:,} images of {side}x{side} before.")
    commits = sorted({(r["commit"] or "none")[:12] for r in records})
    out.append(f"Commit {', '.join(commits)}; date {', '.join(sorted({r['date'] for r in records}))}.")
    return out


def write(records: Sequence[dict[str, Any]], out: str | Path) -> list[Path]:
    """Write ``table.md``, ``table.csv`` and ``table.html``.

    The comparison, then four metrics by bin, then the comparison of raw output; the CSV holds the comparison alone.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    bins = [by_bin(records, metric) for metric in ("psnr", "ssim", "l1", "lpips")]
    tables = [comparison(records), *bins, comparison(records, "raw")]
    page = "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>Comparison</title>\n" + _STYLE
    files = {
        "table.md": "\n".join(t.markdown() for t in tables),
        "table.csv": tables[0].csv(),
        "table.html": page + "\n".join(t.html() for t in tables),
    }
    for name, text in files.items():
        write_text(out / name, text)
    return [out / name for name in files]


_STYLE = """<meta name=viewport content="width=device-width">
<meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; overflow-x: auto }
table { border-collapse: collapse; margin-top: 2rem; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; margin-bottom: .5rem }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }
</style>
"""


def _published(records: Sequence[dict[str, Any]]) -> bool:
    """Whether all that was measured with an Inception file was measured with the published one."""
    return all(found["published"] for r in records for found in (r["inception"] or {}).values())


def _same_test(records: Sequence[dict[str, Any]]) -> None:
    tests = {(r["test"]["pairs_sha256"], r["size"]) for r in records}
    if len(tests) > 1:
        raise DataError(
            f"the records were measured on {len(tests)} different tests",
            "Give the records of one run or preset at a time",
        )
