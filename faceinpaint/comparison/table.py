"""The comparison table, made from results records and from nothing else."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faceinpaint.comparison.records import METRICS, ParserRecord, Record, Summary, Training
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.errors import DataError
from faceinpaint.files import write_text
from faceinpaint.training.methods import AS_PRINTED as LOSSES_AS_PRINTED
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
        words = ["---" if i < 2 or name == "Map" else "---:" for i, name in enumerate(self.headers)]
        lines.append("| " + " | ".join(words) + " |")
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
        told = (re.sub("`(.*?)`", r"<code>\1</code>", html.escape(note)) for note in self.notes)
        notes = "".join(f"<li>{note}</li>" for note in told)
        return (
            f'<table class="faceinpaint">\n<caption>{html.escape(self.title)}</caption>\n'
            f"<thead>{line(self.headers, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<ul>{notes}</ul>\n"
        )


def comparison(records: Sequence[Record], view: str = "composited") -> Table:
    """The patent's columns as printed, beside what was measured.

    Args:
        records: of one test set.
        view: "composited" (the headline) or "raw".

    Raises:
        DataError: the records were not measured on the same test pairs.
    """
    _same_test(records)
    with_fid = any(r.inception for r in records)
    fid_names = ["FID", "KID (x1000)"] if _published(records) else ["FD of the given network", "KID of it (x1000)"]
    headers = [
        "Method", "Start", "Map", "PSNR as printed", "SSIM as printed", "FID as printed",
        *(m.title for m in METRICS.values()), "FD-AlexNet", "KID-AlexNet (x1000)", *(fid_names if with_fid else []),
        "Parameters (M)", "GFLOPs", "Images seen", "Training (min)",
    ]  # fmt: skip
    # The patent's own row is the one that reads the true map, with no option changed; the others are ours to add.
    printed = {
        r.key: AS_PRINTED[r.method]
        for r in records
        if r.method in AS_PRINTED
        and (r.map == "true" or not METHODS[r.method].uses_map)
        and r.training
        and r.training.start == "blank"
        and r.training.options in ({}, LOSSES_AS_PRINTED)
    }
    rows = []
    for r in records:
        images, sets, training = r.images[view]["all"], r.sets[view]["all"], r.training
        fid = []
        if with_fid:
            found = (r.inception or {}).get(view)
            fid = [f"{found.fid:.2f}", f"{1000 * found.kid:.2f}"] if found else ["", ""]
        kid = sets.kid_between_faces
        rows.append(
            (
                r.title,
                r.start or "-",
                r.map_told,
                *printed.get(r.key, ("", "", "")),
                *(interval(images.get(name), name) for name in METRICS),
                f"{sets.fd:.3f}",
                f"{1000 * kid:.3f}" if kid is not None else "",
                *fid,
                f"{r.parameters / 1e6:.2f}" if r.parameters else "-",
                f"{r.flops / 1e9:.2f}" if r.flops else "-",
                f"{training.images:,}" if training else "-",
                f"{training.seconds / 60:.1f}" if training else "-",
            )
        )
    return Table(
        f"Comparison on the same test pairs, {view} output", tuple(headers), tuple(rows), tuple(notes(records))
    )


def brief(records: Sequence[Record], view: str = "composited") -> Table:
    """The comparison without intervals and costs, narrow enough for a terminal."""
    whole = comparison(records, view)
    wanted = (
        "Method", "Start", "Map", "PSNR as printed", "PSNR (dB)", "SSIM", "L1 (%)", "LPIPS", "FD-AlexNet",
        "Images seen",
    )  # fmt: skip
    columns = [whole.headers.index(name) for name in wanted]
    rows = (tuple(row[i].partition(" [")[0] for i in columns) for row in whole.rows)
    headers = tuple(name.replace("PSNR as printed", "As printed") for name in wanted)
    return Table(whole.title, headers, tuple(rows), tuple(notes(records, intervals=False)))


def by_bin(records: Sequence[Record], metric: str = "psnr", view: str = "composited") -> Table:
    """One metric for each bin of hole fraction."""
    _same_test(records)
    rows = (
        (
            r.title,
            r.start or "-",
            r.map_told,
            *(interval(r.images[view].get(b, {}).get(metric), metric) for b in BIN_NAMES),
        )
        for r in records
    )
    return Table(
        f"{METRICS[metric].title} by hole fraction, {view} output", ("Method", "Start", "Map", *BIN_NAMES), tuple(rows)
    )


def overlaps(parsers: Sequence[ParserRecord]) -> Table:
    """How well parsers guess: intersection over union by region, of known pixels and of those of holes."""
    regions = list(dict.fromkeys(name for r in parsers for part in r.iou.values() for name in part.regions))
    rows = (
        (
            f"Parser, {r.training.config['preset']['size']} pixels",
            {"known": "known", "hole": "in holes"}[part],
            f"{found.mean:.3f}" if found.mean is not None else "",
            *(f"{found.regions[name]:.3f}" if name in found.regions else "" for name in regions),
            f"{found.accuracy:.3f}",
            f"{r.training.images:,}",
        )
        for r in parsers
        for part, found in r.iou.items()
    )
    headers = ("Parser", "Pixels", "Mean IoU", *regions, "Accuracy", "Images seen")
    tests = sorted({f"{r.test.pairs} pairs; {r.test.faces}; {r.test.holes}" for r in parsers})
    notes = [f"Test: {'; or '.join(tests)}. The mean is over regions, without what is in none."]
    notes += _began([r.training for r in parsers])
    return Table("Parsing maps: intersection over union", headers, tuple(rows), tuple(notes))


def interval(summary: Summary | None, metric: str) -> str:
    """A mean of a metric with its 95% interval, or nothing if it was not measured."""
    shown = METRICS[metric]
    if summary is None or summary.mean is None or summary.low is None or summary.high is None:
        return ""
    ends = (summary.mean, summary.low, summary.high)
    mean, low, high = (f"{shown.factor * value:.{shown.digits}f}" for value in ends)
    return f"{mean} [{low}, {high}]"


def told(record: Record | ParserRecord) -> str:
    """A record in a line."""
    if isinstance(record, ParserRecord):
        return f"mean IoU {record.iou['known'].mean or 0:.3f} known, {record.iou['hole'].mean or 0:.3f} in holes"
    psnr, ssim = (interval(record.whole[name], name).partition(" [")[0] for name in ("psnr", "ssim"))
    return f"PSNR {psnr} dB, SSIM {ssim}"


def notes(records: Sequence[Record], intervals: bool = True) -> list[str]:
    """What a reader must know before using a number, or an interval where the table has them."""
    first = records[0]
    test, distances, network = first.test, first.sets["composited"]["all"], first.networks["distance"]
    through = network.weights if network else "of another network"
    brackets = " Square brackets: 95% bootstrap interval over faces." if intervals else ""
    out = [
        f"Test: {test.pairs} pairs; {test.faces}; {test.holes}; pairs sha256 {test.pairs_sha256[:12]}. "
        f"{first.size}x{first.size} pixels, preset {records[-1].preset}.{brackets}",
        "As printed: the patent's Table 1 on CelebA-HQ; its holes, number of images and kind of output are not stated, "
        "so its figures and ours are not comparable.",
        f"FD-AlexNet and KID-AlexNet: distances of AlexNet features ({through}) "
        f"over N = {distances.n} pairs. They are not FID. KID is taken between pictures of "
        "different faces, since a repaired picture is near its own original."
        + (
            ""
            if all(r.sets["composited"]["all"].kid is None for r in records)
            else " It is empty where a record is older than that."
        ),
    ]
    if not first.networks.get("lpips"):
        out.append("LPIPS is empty: no trained AlexNet weights with LPIPS heads were given.")
    if not any(r.inception for r in records):
        out.append("FID is absent: clean-fid's Inception weights were not given (option `--inception`).")
    elif not _published(records):
        out.append("FID is absent: the network given in its place is not the published Inception of clean-fid.")
    if any(r.map == "true" for r in records):
        out.append(
            "Map true: the parsing map is read off the undamaged photograph, at test time too, as in the patent. "
            "It is an oracle; the other methods get no such input."
        )
    if {"context-encoder", "contextual-attention"} <= {r.method for r in records}:
        out.append(
            "Of the four earlier patents that the method's own names, CN109377448B is of the kind of CE and "
            "CN111612718A of the kind of CA. The kinds of the two others, structure first (CN112801914A) and similar "
            "faces (CN109961407B), are rows of their own: `reproduce --rows prior-arts`."
        )
    out += _on_enlarged(records)
    trained = [r.training for r in records if r.training]
    if trained:
        seeds = sorted({t.seed for t in trained if t.seed is not None})
        nets = sorted({t.backbone.weights for t in trained if t.backbone})
        data = trained[0].data
        out.append(
            f"Trained on {data.face_count:,} faces ({data.faces}) and {data.hole_count:,} holes ({data.holes}), seed "
            f"{', '.join(map(str, seeds))}, on {', '.join(sorted({t.device for t in trained}))}"
            + (f"; perceptual and style losses through {', '.join(nets)}." if nets else ".")
        )
    out += _not_alike([r for r in records if r.training]) if trained else []
    for counts in sorted({(*t.earlier, t.images) for t in trained if t.earlier}):
        out.append(
            f"Trained for {', then on to '.join(f'{n:,}' for n in counts)} images: at each new count the learning rate "
            "went up again before it fell."
        )
    out += _began(trained)
    commits = sorted({(r.commit or "none")[:12] for r in records})
    out.append(f"Commit {', '.join(commits)}; date {', '.join(sorted({r.date for r in records}))}.")
    return out


def _not_alike(rows: Sequence[Record]) -> list[str]:
    """What rows of one table were trained with that others were not, the most frequent setting first."""
    lines = []
    for setting, told in {"batch": "Faces in a batch", "precision": "Precision of training"}.items():
        found: dict[str, dict[str, None]] = {}
        for row in rows:
            value = row.training.config.get("preset", {}).get(setting) if row.training else None
            found.setdefault(str(value), {})[f"{row.title} ({row.start})"] = None
        usual, *others = sorted(found, key=lambda value: -len(found[value]))
        if others:
            named = "; ".join(f"{value} in {', '.join(found[value])}" for value in others)
            lines.append(f"{told}: {usual}, but {named}.")
    return lines


def _began(trained: Sequence[Training]) -> list[str]:
    found = sorted({tuple(t.began.items()) for t in trained if t.began})
    told = (", then ".join(f"{images:,} images of {side}x{side}" for side, images in sizes) for sizes in found)
    return [f"Images seen are counted from weights that had seen {sizes} before." for sizes in told]


def _on_enlarged(records: Sequence[Record]) -> list[str]:
    whole = records[0].size
    return [
        f"{side} enlarged: the picture is halved, repaired at {side}x{side} pixels, and the repair enlarged so that it "
        f"meets the known pixels. Nothing was trained at {whole}x{whole}."
        for side in sorted({r.made_at for r in records} - {whole})
    ]


def write(records: Sequence[Record], out: str | Path, parsers: Sequence[ParserRecord] = ()) -> list[Path]:
    """Write ``table.md``, ``table.csv`` and ``table.html``.

    The comparison, then four metrics by bin, then the comparison of raw output, then the parsers; the CSV holds the
    first of them alone.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tables = [overlaps(parsers)] if parsers else []
    if records:
        bins = [by_bin(records, metric) for metric in METRICS]
        tables = [comparison(records), *bins, comparison(records, "raw"), *tables]
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


def _published(records: Sequence[Record]) -> bool:
    return all(r.published for r in records)


def _same_test(records: Sequence[Record]) -> None:
    tests = {(r.test.pairs_sha256, r.size) for r in records}
    if len(tests) > 1:
        raise DataError(
            f"the records were measured on {len(tests)} different tests",
            "Give the records of one run or preset at a time",
        )
