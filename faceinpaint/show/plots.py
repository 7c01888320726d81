"""Figures with axes: styles, features, curves and results."""

from __future__ import annotations

import html
import io
import json
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faceinpaint.comparison.records import METRICS, Record
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.errors import DataError
from faceinpaint.regions import REGION_COLOURS, REGIONS
from faceinpaint.show.figure import _INK, LINE_COLOURS, LINE_STYLES, MARKERS, OTHER_AND_REGIONS, Figure, _and

WIDTH = 4.4
"""Of a plot, in inches: letters of :data:`LETTERS` points are then 11 pixels high on a phone whose column has 335."""

LETTERS = 10.5
"""Size of all letters, in points."""


def canvas(
    width: float = WIDTH, height: float = 2.9, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Any, Any]:
    """Matplotlib figure and axes in the look of the book; hand the figure to :func:`plot` when it is drawn.

    Args:
        width, height: in inches. A width up to 5 becomes :data:`WIDTH`; a wider plot is scrolled on a phone.
        rows, columns, options: as for ``matplotlib.figure.Figure.subplots``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Sheet

    with mpl.rc_context(_RC):
        made = Sheet(figsize=(min(width, WIDTH) if width <= 5 else width, height), layout="constrained")
        FigureCanvasSVG(made)
        axes = made.subplots(rows, columns, **options)
    return made, axes


_RC: Any = {
    "font.size": LETTERS, "axes.titlesize": LETTERS, "legend.fontsize": LETTERS, "xtick.labelsize": LETTERS,
    "ytick.labelsize": LETTERS, "axes.labelsize": LETTERS, "axes.titlelocation": "left", "figure.facecolor": "none",
    "axes.facecolor": "none", "savefig.facecolor": "none", "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "faceinpaint",
    "lines.linewidth": 1.8, "lines.markersize": 4.5, "axes.linewidth": 0.7,
}  # fmt: skip


def plot(figure: Any, alt: str, caption: str = "") -> Figure:
    """A matplotlib figure made by :func:`canvas` -> a figure whose lines and letters take the page's text colour.

    Args:
        figure: of :func:`canvas`.
        alt: what it shows.
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # what was written after :func:`canvas` had matplotlib's own size
        text.set_fontsize(max(text.get_fontsize(), LETTERS))
    for legend in [*filter(None, (axes.get_legend() for axes in figure.axes)), *figure.legends]:
        legend.set_frame_on(False)
    for image in (image for axes in figure.axes for image in axes.images):
        image.set_interpolation("none")  # a cell of a heat map is one number, and is shown as one colour

    file = io.StringIO()
    with mpl.rc_context(_RC):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S).replace(_INK, "currentColor")
    svg = re.sub(r"""(font-family|font):[^;"]*(['"])?[^;"]*;?""", _font, svg)
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    size = re.search(r'width="[\d.]+pt" height="[\d.]+pt"', svg)
    svg = svg.replace(size[0] if size else "", f'role="img" aria-label="{html.escape(alt, quote=True)}"', 1)
    width = figure.get_figwidth()
    if width > WIDTH:
        svg = svg.replace("<svg ", f'<svg style="min-width:{76 * width:.0f}px" ', 1)
    return Figure(re.sub(r"\n\s*", "\n", svg), alt, caption, f"{8 * width:.1f}rem")


def _font(found: re.Match[str]) -> str:
    size = re.search(r"[\d.]+px", found[0])
    return f"font-size: {size[0]};" if found[1] == "font" and size else ""


def _names(names: Sequence[str] | None, columns: int) -> list[str]:
    if names is not None:
        return list(names)
    if columns == len(REGIONS) + 1:
        return [*REGIONS, "whole face"]
    return [*(f"region {i + 1}" for i in range(columns - 1)), "whole face"]


def _matrix(matrix: Any) -> np.ndarray:
    x = matrix.detach().float().cpu().numpy() if isinstance(matrix, torch.Tensor) else np.asarray(matrix, np.float64)
    x = x[0] if x.ndim == 3 and len(x) == 1 else x
    if x.ndim != 2:
        raise DataError(f"an array of shape {x.shape} is not one style matrix", "Give (256, regions + 1)")
    return x


def style_matrix(
    matrix: Any, names: Sequence[str] | None = None, *, alt: str | None = None, caption: str = ""
) -> Figure:
    """A style matrix as a heat map: one named column a region, the last one the whole face.

    Args:
        matrix: (256, n + 1). Orange is positive, violet negative.
        names: of the columns; the eight regions and "whole face" by default.
    """
    x, labels = _matrix(matrix), _names(names, _matrix(matrix).shape[1])
    made, ax = canvas(WIDTH, 3.8)
    limit = float(np.abs(x).max()) or 1.0
    image = ax.imshow(x, aspect="auto", cmap="PuOr_r", vmin=-limit, vmax=limit)
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_ylabel("component of the style")
    made.colorbar(image, ax=ax, fraction=0.05, pad=0.02)
    text = alt or f"Heat map of a style matrix: {x.shape[0]} rows, columns {_and(labels)}."
    return plot(made, text, caption)


def style_distances(
    matrix: Any, names: Sequence[str] | None = None, *, alt: str | None = None, caption: str = ""
) -> Figure:
    """Euclidean distances between the columns of a style matrix, as a heat map with its numbers."""
    x, labels = _matrix(matrix), _names(names, _matrix(matrix).shape[1])
    distance = np.linalg.norm(x[:, :, None] - x[:, None, :], axis=0)
    made, ax = canvas(WIDTH, 4.3)
    ax.imshow(distance, cmap="cividis")
    for i, j in np.ndindex(*distance.shape):
        dark = distance[i, j] < 0.55 * distance.max()
        ax.text(j, i, f"{distance[i, j]:.2g}", ha="center", va="center", color="#ffffff" if dark else "#111111")
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(labels)), labels)
    off = distance + np.where(np.eye(len(labels)), np.inf, 0)
    i, j = np.unravel_index(off.argmin(), off.shape)
    text = alt or f"Distances between the styles of {_and(labels)}; closest are {labels[i]} and {labels[j]}."
    return plot(made, text, caption)


def features(
    before: Any, after: Any, *, channels: Sequence[int] = (0, 1, 2, 3), titles: tuple[str, str] = ("before", "after"),
    alt: str | None = None, caption: str = "",
) -> Figure:  # fmt: skip
    """Some channels of a feature map, before above and after below, both on one scale for each channel.

    Args:
        before, after: (C, h, w), or (1, C, h, w).
        channels: which.
    """
    maps = [x.detach().float().cpu().numpy().reshape(x.shape[-3:]) for x in (before, after)]
    made, axes = canvas(WIDTH, WIDTH / len(channels) * 2 + 0.4, 2, len(channels), squeeze=False)
    for row, (x, title) in enumerate(zip(maps, titles, strict=True)):
        for column, channel in enumerate(channels):
            ax = axes[row, column]
            limit = max(float(np.abs(m[channel]).max()) for m in maps) or 1.0
            ax.imshow(x[channel], cmap="PuOr_r", vmin=-limit, vmax=limit)
            ax.set(xticks=[], yticks=[])
            if row == 0:
                ax.set_title(f"channel {channel}")
        axes[row, 0].set_ylabel(title)
    text = alt or f"{len(channels)} channels of a feature map, {titles[0]} above, {titles[1]} below."
    return plot(made, text, caption)


# --- curves and results ---------------------------------------------------------------------------------------------


def _legend_above(figure: Any) -> None:
    """Names of the lines above the axes, where they hide nothing, in as many columns as fit."""
    labels = [label for ax in figure.axes for label in ax.get_legend_handles_labels()[1]]
    columns = max(1, min(3, int(72 * WIDTH / (35 + 5.5 * max(map(len, labels))))))
    figure.legend(loc="outside upper left", ncols=columns)
    more = math.ceil(len(labels) / columns) - 2  # lines of the legend that would be taken from the axes
    figure.set_figheight(figure.get_figheight() + 0.22 * max(more, 0))


def _logarithmic(ax: Any) -> None:
    """A logarithmic y axis. Its numbers have no raised digits, which are too small on a phone; over a few powers of ten
    they are 1, 2 and 5 of each, which never crowd."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 1000 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def lines(
    x: Sequence[float], series: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str, alt: str, log: bool = False,
    markers: bool = True, caption: str = "",
) -> Figure:  # fmt: skip
    """Lines over common x values, told apart by colour, stroke and mark; named in a legend.

    Args:
        series: y values by name. log: logarithmic y axis.
    """
    made, ax = canvas()
    for i, (name, y) in enumerate(series.items()):
        k = i % len(LINE_COLOURS)
        mark = MARKERS[k] if markers else None
        ax.plot(x, y, color=LINE_COLOURS[k], linestyle=LINE_STYLES[k], marker=mark, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if all(isinstance(value, int) for value in x):  # layers, pictures: there is no half of one
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    if log:
        _logarithmic(ax)
    if len(series) > 1:
        _legend_above(made)
    return plot(made, alt, caption)


def bars(
    values: Mapping[str, float], *, xlabel: str, form: str = "{:.3g}", alt: str | None = None, caption: str = ""
) -> Figure:
    """Horizontal bars, each with its value; bars named after a region have its colour.

    Args:
        values: length of each bar by name.
        form: how a value is written.
    """
    free = WIDTH - 0.3 - 0.075 * max(map(len, values), default=0)  # inches beside the names
    below = textwrap.wrap(xlabel, int(13.5 * free))
    made, ax = canvas(WIDTH, 0.55 + 0.28 * len(values) + 0.17 * (len(below) - 1))
    known = dict(zip(OTHER_AND_REGIONS, REGION_COLOURS, strict=True))
    names = list(values)
    colours = [known.get(name, LINE_COLOURS[0]) for name in names]
    ax.barh(names, list(values.values()), color=colours, edgecolor=_INK, linewidth=0.7)
    top = max(map(abs, values.values()), default=1) or 1
    for row, value in enumerate(values.values()):
        ax.text(max(value, 0) + 0.01 * top, row, form.format(value), va="center")
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel("\n".join(below))
    if form.endswith("%}"):  # the axis has the unit of the bars
        from matplotlib.ticker import PercentFormatter

        ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.tick_params(left=False)
    written = ", ".join(f"{name} {form.format(value)}" for name, value in values.items())
    return plot(made, alt or f"Bars, {xlabel}: {written}.", caption)


def curves(
    log: str | Path | Sequence[Mapping[str, float]],
    terms: Sequence[str] = (),
    *,
    alt: str | None = None,
    caption: str = "",
) -> Figure:
    """Losses over training.

    Args:
        log: ``log.jsonl`` of a run, or its lines as dictionaries.
        terms: which columns; all but step, images and gradient by default.
    """
    rows = _log_lines(Path(log)) if isinstance(log, (str, Path)) else list(log)
    if not rows:
        raise DataError("the log is empty", "Train first", log if isinstance(log, (str, Path)) else None)
    terms = list(terms) or [name for name in rows[0] if name not in ("step", "images", "gradient")]
    made, ax = canvas()
    at = [row["images"] for row in rows]
    for i, name in enumerate(terms):
        k = i % len(LINE_COLOURS)
        ax.plot(at, [row[name] for row in rows], color=LINE_COLOURS[k], linestyle=LINE_STYLES[k], label=name)
    values = [row[name] for row in rows for name in terms]
    wide = min(values) > 0 and max(values) > 20 * min(values)
    ax.set(xlabel="training images seen", ylabel="loss")
    if wide:
        _logarithmic(ax)
    _legend_above(made)
    first, last = rows[0], rows[-1]
    ends = "; ".join(f"{name} from {first[name]:.3g} to {last[name]:.3g}" for name in terms)
    return plot(made, alt or f"Losses over {at[-1]} training images: {ends}.", caption)


def _log_lines(path: Path) -> list[dict[str, float]]:
    from faceinpaint.training.run import log_lines  # here, because pictures need no training

    try:
        if not path.exists():
            raise FileNotFoundError("there is no such file")
        return [json.loads(line) for line in log_lines(path)]
    except (OSError, ValueError) as error:
        raise DataError(f"the log cannot be read ({error})", "Name the log.jsonl of a run", path) from None


def by_bin(
    records: Sequence[Record], metric: str = "psnr", *, view: str = "composited", alt: str | None = None,
    caption: str = "",
) -> Figure:  # fmt: skip
    """A metric over the bins of hole fraction, one line a row of the table, with 95% intervals.

    Args:
        records: results records of one test (:func:`faceinpaint.comparison.records.read_records`).
        metric: one of :data:`faceinpaint.comparison.records.METRICS`. view: "composited" or "raw".
    """
    shown = METRICS[metric]
    label = f"{shown.title}, {'higher' if shown.better > 0 else 'lower'} is better"
    made, ax = canvas(WIDTH, 3.2)
    for i, (record, name) in enumerate(zip(records, _labels(records), strict=True)):
        k = i % len(LINE_COLOURS)
        cells = [record.images[view].get(name, {}).get(metric) for name in BIN_NAMES]
        ends = [(c.mean, c.low, c.high) if c else (None, None, None) for c in cells]
        mean, low, high = np.array(ends, float).T * shown.factor  # nothing measured is not a number
        at = np.arange(len(BIN_NAMES)) + 0.06 * (i - (len(records) - 1) / 2)
        ax.errorbar(
            at, mean, yerr=[mean - low, high - mean], color=LINE_COLOURS[k], linestyle=LINE_STYLES[k],
            marker=MARKERS[k], capsize=2, elinewidth=1, label=name,
        )  # fmt: skip
    ax.set_xticks(range(len(BIN_NAMES)), BIN_NAMES)
    ax.set(xlabel="hole fraction", ylabel=label)
    _legend_above(made)
    names = [record.title for record in records]
    return plot(made, alt or f"{label}, by hole fraction, for {_and(names)}.", caption)


def _labels(records: Sequence[Record]) -> list[str]:
    """What rows are called in a legend: with their map, and with their start where rows differ in it."""
    several = len({record.start for record in records if record.start}) > 1
    made = []
    for record in records:
        notes = [f"from {record.start}"] if several and record.start not in (None, "blank") else []
        notes += [f"{record.map} map"] if record.map else []
        made.append(f"{record.title} ({', '.join(notes)})" if notes else record.title)
    return made


def region_axis(ax: Any, names: Sequence[str] = OTHER_AND_REGIONS) -> None:
    """Make the rows of ``ax`` regions, from the top: a line, a patch of the region's colour and its name for each."""
    known = dict(zip(OTHER_AND_REGIONS, REGION_COLOURS, strict=True))
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(left=False, pad=11)
    ax.set_ylim(len(names) - 0.5, -0.5)
    for row, name in enumerate(names):
        ax.axhline(row, color=_INK, linewidth=0.5, alpha=0.4, zorder=0)
        ax.plot(
            [-0.025], [row], "s", color=known[name], markeredgecolor=_INK, markeredgewidth=0.7, markersize=8,
            transform=ax.get_yaxis_transform(), clip_on=False, scalex=False, scaley=False,
        )  # fmt: skip


def region_errors(records: Sequence[Record], *, alt: str | None = None, caption: str = "") -> Figure:
    """Mean absolute error inside the hole by region, one row of marks a region.

    Args:
        records: results records of one test.
    """
    names = list(OTHER_AND_REGIONS)
    made, ax = canvas(WIDTH, 3.8)
    for i, (record, name) in enumerate(zip(records, _labels(records), strict=True)):
        k = i % len(LINE_COLOURS)
        found = [region.l1 if (region := record.regions.get(name)) else None for name in names]
        values = [np.nan if v is None else 100 * v for v in found]
        ax.plot(values, range(len(names)), MARKERS[k], color=LINE_COLOURS[k], label=name)
    region_axis(ax)
    ax.set_xlabel("mean absolute error of hole pixels (%),\nlower is better")
    _legend_above(made)
    titles = [record.title for record in records]
    return plot(made, alt or f"Error of hole pixels by region, for {_and(titles)}.", caption)


def write_plots(
    records: Sequence[Record], out: Path, logs: Mapping[str, Sequence[Mapping[str, float]]] | None = None
) -> list[Path]:
    """Write the plots of a comparison as SVG: each metric by bin, error by region, losses of each training.

    Args:
        records: results records of one test.
        out: folder, which is there.
        logs: thinned logs by training (:func:`faceinpaint.training.run.thinned_log`).
    """
    plots = {}
    if len(records) <= len(LINE_COLOURS):  # more could not be told apart
        plots = {f"{metric}_by_bin": by_bin(records, metric) for metric in METRICS if _measured(records, metric)}
        plots["error_by_region"] = region_errors(records)
    plots |= {f"losses_{name}": curves(log) for name, log in (logs or {}).items()}
    for name, figure in plots.items():
        figure.save(out / f"{name}.svg")
    return [out / f"{name}.svg" for name in plots]


def _measured(records: Sequence[Record], metric: str) -> bool:
    found = (r.whole.get(metric) for r in records)
    return any(cell is not None and cell.mean is not None for cell in found)
