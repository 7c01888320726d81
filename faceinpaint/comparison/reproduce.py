"""The whole comparison in one call: data, test pairs, training and evaluation of every row, records, table.

Each finished part is a file in the output folder, and a part whose file is there is not made again: an interrupted
reproduction goes on where it was.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape

from faceinpaint.backbones import Backbone, load_backbone
from faceinpaint.comparison import table
from faceinpaint.comparison.evaluate import Row, count_flops, evaluate, evaluate_parser
from faceinpaint.comparison.records import LOGS, Map, Training, read_logs, read_parsers, read_record, read_records
from faceinpaint.data.pairs import TestSet, check_pairs, read_pairs, write_pairs
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.data.sources import Sources
from faceinpaint.errors import ConfigError, WeightsError
from faceinpaint.files import claimed, sha256_of, write_json
from faceinpaint.options import Reading, Start
from faceinpaint.presets import PRESETS, Preset
from faceinpaint.progress import Bar
from faceinpaint.show import write_plots
from faceinpaint.training.methods import AS_PRINTED, METHODS, PARSER, SHARED, Method
from faceinpaint.training.run import Config, differences, load_generator, thinned_log
from faceinpaint.training.train import train

log = logging.getLogger(__name__)


EQUAL_COST: dict[Reading, int] = {"R1": 16, "R2": 28, "R3": 24}
"""Widths at which layer readings cost about the same at the preset ``cpu``. Rows of other readings than the preset's
are made so wide: at equal width, R1 has three times the operations of R2."""

WITHOUT_STYLES_WIDTH: dict[Reading, int] = {"R1": 24, "R2": 36, "R3": 34}
"""The same of the generator without styles and repairs, as nearly as whole widths allow."""


@dataclass(frozen=True)
class RowPlan:
    """A row to make: which method, trained how, evaluated with which map.

    Attributes:
        key: short unique name of its record.
        title: in the table.
        method: what to train, or a fill that needs no training.
        map: where parsing maps come from, see :class:`faceinpaint.comparison.evaluate.Row`.
        merge, options: of the training, see :class:`faceinpaint.training.run.Config`.
        start: what the hole holds before the network looks (:mod:`faceinpaint.models.start`); None for the preset's.
        settings: other fields of the preset that are not the preset's.
        guessed: maps are guessed in training, too, by the parser of the reproduction.
        run: name of its training, if it shares that of another row; its own otherwise.
        seed: added to that of the reproduction.
    """

    key: str
    title: str
    method: str
    map: Map | None = None
    merge: str = "regions"
    options: dict[str, Any] = field(default_factory=dict)
    start: Start | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    guessed: bool = False
    run: str | None = None
    seed: int = 0

    def config(self, preset: Preset, seed: int = 0) -> Config:
        """What its training is asked for."""
        at = dataclasses.replace(preset, start=self.start or preset.start, **self.settings)
        options = self.options
        if reading := options.get("reading"):
            width = preset.width * EQUAL_COST[reading] / EQUAL_COST[preset.reading]
            options = options | {"width": max(1, round(width / 4)) * 4}
        elif options.get("norm") == "none":
            width = preset.width * WITHOUT_STYLES_WIDTH[preset.reading] / EQUAL_COST[preset.reading]
            options = options | {"width": max(1, round(width))}
        return Config(self.method, at, options, self.merge, seed + self.seed)


CLASSICAL = (
    RowPlan("mean-fill", "Mean colour", "mean-fill"),
    RowPlan("telea", "Telea (classical)", "telea"),
    RowPlan("membrane", "Membrane (classical)", "membrane"),
)
"""Rows that learn nothing."""

PRINTED = (
    RowPlan("context-encoder", "CE", "context-encoder", start="blank"),
    RowPlan("contextual-attention", "CA", "contextual-attention", start="blank"),
    RowPlan("gated-conv", "DF2", "gated-conv", start="blank"),
    RowPlan("facial-style", "Ours", "facial-style", "true", start="blank", options=dict(sorted(AS_PRINTED.items()))),
)
"""The four methods of the patent's table as they were printed: nothing in the hole, and each its own losses."""

STARTED = (
    RowPlan("context-encoder-membrane", "CE", "context-encoder", start="membrane"),
    RowPlan("contextual-attention-membrane", "CA", "contextual-attention", start="membrane"),
    RowPlan("gated-conv-membrane", "DF2", "gated-conv", start="membrane"),
    RowPlan("facial-style-membrane", "Ours", "facial-style", "true", start="membrane"),
    RowPlan("facial-style-membrane-guessed", "Ours", "facial-style", "predicted", start="membrane", guessed=True),
    RowPlan("facial-style-membrane-none", "Ours, one region", "facial-style", merge="none", start="membrane"),
)
"""The same from the membrane; ours with the true map, with maps guessed in training and test, and without a map."""

PRIOR_ARTS = (
    RowPlan("structure-first", "Structure first", "structure-first", start="blank"),
    RowPlan("similar-faces", "Similar faces", "similar-faces", start="blank"),
    RowPlan("structure-first-membrane", "Structure first", "structure-first", start="membrane"),
    RowPlan("similar-faces-membrane", "Similar faces", "similar-faces", start="membrane"),
)
"""The two kinds of prior art that the patent names and does not compare with; a table of their own."""

ROWS = (*CLASSICAL, *PRINTED, *STARTED)
"""Rows of the comparison table."""

UNPLOTTED = {row.key for row in PRINTED}
"""Rows of the table that its plots leave out: more than nine lines could not be told apart."""


def _ours(
    key: str, title: str, seed: int = 0, start: Start | None = None, settings: dict[str, Any] | None = None,
    **options: Any,
) -> RowPlan:  # fmt: skip
    return RowPlan(key, title, "facial-style", "true", options=options, start=start, settings=settings or {}, seed=seed)


ABLATIONS = (
    _ours("default", "Default"),
    _ours("default-1", "Default, seed 1", 1),
    _ours("default-2", "Default, seed 2", 2),
    _ours("start-blank", "Nothing in the hole (the patent)", start="blank"),
    _ours("fusion-local", "Local style only", fusion="local"),
    _ours("fusion-global", "Global style only", fusion="global"),
    _ours("fusion-fixed", "Fusion fixed at one half", fusion="fixed"),
    _ours("beta-literal", "Beta not masked (the letter)", mask_beta=False),
    _ours("norm-instance", "Plain instance normalisation", norm="instance"),
    _ours("reading-r1", "Layer reading R1, at equal cost", reading="R1"),
    _ours("reading-r2", "Layer reading R2, at equal cost", reading="R2"),
    _ours("reading-r3", "Layer reading R3, at equal cost", reading="R3"),
    _ours("pooling-valid", "Styles of known pixels only", pooling="valid"),
    _ours("other-zero", "Pixels outside regions zero (the letter)", other="zero"),
    _ours("statistics-valid", "Statistics of known pixels only", statistics="valid"),
    _ours("mask-hidden", "Hole mask not shown", mask_channel=False),
    _ours("other-own", "Pixels outside regions a region of their own", other="own"),
    _ours("heads-separate", "Separate linear layers for local and global", heads="separate"),
    _ours("style-ups-3", "Styles pooled at full size (the patent)", style_ups=3),
    _ours("style-width-16", "Style network of width 16", style_width=16),
    _ours("judge-raw", "Critic and features judge the raw output", judge="raw"),
    _ours("l1-all", "L1 over all pixels", l1="all"),
    _ours("style-250", "Style weight 250", style=250.0),
    _ours("no-style-loss", "No style loss", style=0.0),
    _ours("no-adversarial-loss", "No adversarial loss", adversarial=0.0),
    _ours("gan-hinge", "Hinge instead of RaGAN", gan="hinge"),
    _ours("l1-twice", "L1 weighted twice", reconstruction=2.0),
    _ours("critic-told", "Critic sees hole and map", settings={"critic_sees": "hole-and-map"}),
    _ours("large-holes", "Large holes more often", settings={"large_holes": 0.5}),
)
"""The method, each row one option away from the default; three seeds of the default show the spread."""

WITHOUT_STYLES = (
    RowPlan(
        "plain-unet", "A plain U-Net of the same cost", "facial-style", merge="none",
        options={"norm": "none"},
    ),
    RowPlan("gated-conv-our-losses", "DF2's generator", "gated-conv-our-losses"),
)  # fmt: skip
"""The same start and losses around other networks: what is left of the gain without the patent's styles. At the preset
``cpu`` the first costs as many operations as the method, whatever its layer reading."""

AGAIN = (
    _ours("fusion-local-1", "Local style only, seed 1", 1, fusion="local"),
    _ours("fusion-global-1", "Global style only, seed 1", 1, fusion="global"),
)
"""Second seeds of rows that a claim of the patent hangs on and that lie within the seeds of the default."""

TOGETHER = (
    _ours("l1-style-twice", "L1 and style weighted twice", reconstruction=2.0, style=50.0),
    _ours("l1-style-features-twice", "All but the critic twice", reconstruction=2.0, style=50.0, perceptual=0.2),
)
"""Weights of the losses that change together with that of the L1."""

PLANS = {"table": ROWS, "ablations": (*ABLATIONS, *TOGETHER, *WITHOUT_STYLES, *AGAIN), "prior-arts": PRIOR_ARTS}


def methods_of(rows: Sequence[RowPlan]) -> list[Method]:
    """The methods of these rows, and the parser if a map is guessed."""
    return [METHODS[row.method] for row in rows] + [PARSER] * _needs_parser(rows)


def _needs_parser(rows: Sequence[RowPlan]) -> bool:
    return any(row.map == "predicted" or row.guessed for row in rows)


def planned(rows: str, only: Sequence[str] | None = None) -> list[RowPlan]:
    """The rows of a plan, or some of them.

    Args:
        rows: name of a plan, of :data:`PLANS`.
        only: keys of the rows that are wanted; all if nothing is said.

    Raises:
        ConfigError: there is no such plan, or no such row in it.
    """
    if rows not in PLANS:
        raise ConfigError(f"unknown rows {rows!r}", f"Use one of {', '.join(PLANS)}")
    keys = [row.key for row in PLANS[rows]]
    for key in only or ():
        if key not in keys:
            raise ConfigError(f"no row of {rows} is called {key!r}", f"Use one of {', '.join(keys)}")
    return [row for row in PLANS[rows] if not only or row.key in only]


def check_read(preset: Preset, rows: Sequence[RowPlan]) -> None:
    """Refuse a setting that no row of the plan reads, of which these are rows: rows of one table are made alike.

    Rows of the caller's own, which are in no plan, are the caller's business.

    Raises:
        ConfigError: a field of the preset is not what its name has, and nobody reads it.
    """
    plan = next((name for name, plan in PLANS.items() if all(row in plan for row in rows)), None)
    if plan is None:
        return
    used, named = methods_of(PLANS[plan]), PRESETS.get(preset.name, preset)
    takes = dict.fromkeys(name for method in used for name in (*SHARED, *method.settings))
    for setting, value in dataclasses.asdict(preset).items():
        if value != getattr(named, setting) and not any(method.reads(setting) for method in used):
            raise ConfigError(f"no row of {plan} reads the setting {setting!r}", f"They read {', '.join(takes)}")


def is_default(row: RowPlan, preset: Preset) -> bool:
    """Whether the options of a row are those that the preset has anyway, so that it is the default under a new name."""
    own = METHODS[row.method].sizes(preset)
    return bool(row.options) and all(name in own and own[name] == value for name, value in row.options.items())


def reproduce(
    preset: Preset, out: str | Path, *, sources: Sources | None = None, rows: Sequence[RowPlan] = ROWS, seed: int = 0,
    accelerator: str = "cpu", console: Console | None = None, cache: Path | None = None,
) -> list[Path]:  # fmt: skip
    """Make every row and the table.

    ``out`` receives ``cache/`` (prepared pictures), ``test_pairs.csv``, ``runs/KEY/`` (one training each),
    ``records/KEY.json``, ``records/logs.json``, ``table.md``, ``.csv``, ``.html``, and plots (``.svg``).

    Args:
        preset: how much of it.
        out: output folder; call again with the same one to go on.
        sources: pictures and weights.
        rows: which rows; those that the preset makes the same as the default are left out.
        seed: of everything.
        accelerator: "cpu", "cuda" or "auto".
        console: where progress and table are shown.
        cache: folder of prepared pictures, in the place of ``out/cache``.

    Returns:
        paths of the table files and of the plots.

    Raises:
        ConfigError: ``out`` holds the reproduction of something else, no row is left, or none reads a setting.
        DataError: another process is writing there, or the system refuses to write.
        WeightsError: there is no Inception file of that name.
    """
    check_read(preset, rows)
    with claimed(Path(out)):
        return _reproduce(
            preset, Path(out), sources or Sources(), rows, seed, accelerator, console or Console(),
            cache or Path(out) / "cache",
        )  # fmt: skip


def _reproduce(
    preset: Preset, out: Path, sources: Sources, rows: Sequence[RowPlan], seed: int, accelerator: str,
    console: Console, cache: Path,
) -> list[Path]:  # fmt: skip
    """What :func:`reproduce` does once the folder is its own."""
    device = "cuda" if accelerator in ("cuda", "gpu", "auto") and torch.cuda.is_available() else "cpu"
    (out / "records").mkdir(exist_ok=True)
    rows = _left(rows, preset, console)
    configs = {PARSER.name: Config(PARSER.name, preset, seed=seed)} if _needs_parser(rows) else {}
    guessed = {row.run or row.key for row in rows if row.guessed}
    for row in rows:
        if METHODS[row.method].trained:
            configs[row.run or row.key] = row.config(preset, seed)
    inception = sha256_of_inception(sources.inception)
    faces, holes, test = _pictures(preset, out, sources, seed, cache)
    lpips = load_backbone("alexnet", sources.weights)
    console.print(f"{faces.source}: {len(faces):,} to train on; {test.faces.source}: {len(test.pairs):,} test pairs")

    # What the bar counts: a rough price of each part, so that the time left means something.
    flops = {name: _flops(config) for name, config in configs.items()}
    training = {name: 6 * (flops[name] + 5e7) for name in configs}  # an image: forward, backward and the critic
    measuring = {row.key: flops.get(row.run or row.key, 0) + 2e8 for row in rows}  # a pair: forward and metrics
    total = sum(training.values()) * preset.images + sum(measuring.values()) * len(test.pairs)
    with Bar(console, whole=total) as bar:
        trained: dict[str, tuple[Any, Any]] = {}
        for name, config in configs.items():
            path = train(
                config, faces, holes, out / "runs" / name, backbone_weights=sources.weights, accelerator=device,
                parser=out / "runs" / PARSER.name if name in guessed else None,
                progress=bar.work(f"train {name}", preset.images, "images", training[name]),
            )  # fmt: skip
            network, _, about = load_generator(path)
            trained[name] = network, about
        if PARSER.name in trained:
            record = out / "records" / f"{PARSER.name}.json"
            if all(r.training.to_json() != trained[PARSER.name][1] for r in read_parsers(record).values()):
                write_json(record, evaluate_parser(*trained[PARSER.name], test, device=device).to_json())
        for row in rows:
            record = out / "records" / f"{row.key}.json"
            fill = METHODS[row.method].generator
            used: tuple[Any, Any] = trained.get(row.run or row.key) or (fill(), None)
            parser = trained[PARSER.name] if row.map == "predicted" else (None, None)
            made = Row(row.key, row.title, row.method, used[0], preset, row.merge, row.map, used[1], *parser)
            if _done(record, made, test, lpips, inception):
                bar.spend(measuring[row.key] * len(test.pairs))
                continue
            found = evaluate(
                made, test, lpips=lpips, features=lpips, inception=sources.inception, device=device,
                progress=bar.work(f"evaluate {row.key}", len(test.pairs), "pairs", measuring[row.key]),
            )  # fmt: skip
            write_json(record, found.to_json())
    before = read_logs([out / "records"])
    logs = before | {name: thinned_log(out / "runs" / name / "log.jsonl") for name in configs}
    if logs != before:
        write_json(out / "records" / LOGS, {"kind": "logs", "logs": logs})
    records = read_records([out / "records" / f"{row.key}.json" for row in rows])
    parsers = [*read_parsers(out / "records" / f"{PARSER.name}.json").values()]
    paths = table.write(records, out, parsers) + write_plots([r for r in records if r.key not in UNPLOTTED], out, logs)
    show(table.brief(records), console)
    return paths


def _left(rows: Sequence[RowPlan], preset: Preset, console: Console) -> list[RowPlan]:
    """The rows that the preset does not make the same as the default; those that it does are named.

    Raises:
        ConfigError: none is left.
    """
    console.print(f"[bold]{preset.name}[/] preset: {preset.size}x{preset.size}, {preset.images:,} images a method")
    for row in rows:
        if is_default(row, preset):
            console.print(f"left out: {row.key}, which is the default at this preset", highlight=False)
    left = [row for row in rows if not is_default(row, preset)]
    if not left:
        raise ConfigError("no row is left", "Choose other rows, or another preset")
    return left


def _pictures(preset: Preset, out: Path, sources: Sources, seed: int, cache: Path) -> tuple[FaceSet, HoleSet, TestSet]:
    """Training faces and holes, and the test, whose pairs are kept in ``out``.

    Raises:
        ConfigError: the folder has other test pairs.
        DataError: pictures are not those of the pairs.
    """
    faces, holes = sources.training(preset, cache, seed, progress=True)
    test = sources.test(preset, cache, seed, progress=True)
    check_pairs(test.pairs, test.faces, test.holes)  # before hours of training, not after
    if twice := set(faces.sha256) & set(test.faces.sha256):
        log.warning(
            "%d of the test faces are trained on as well: every network may know them. Part the pictures anew, and "
            "prepare them again.", len(twice),
        )  # fmt: skip
    kept = out / "test_pairs.csv"
    if kept.exists() and read_pairs(kept) != list(test.pairs):
        raise ConfigError("the folder has other test pairs", "Choose another output folder, or delete this one", kept)
    write_pairs(kept, test.pairs)
    return faces, holes, test


def show(made: table.Table, console: Console) -> None:
    """Print a table, notes below; as Markdown where there is no terminal, which would cut its heads into pieces."""
    from rich.table import Table as RichTable

    if not console.is_terminal:
        console.print(made.markdown(), soft_wrap=True, markup=False, highlight=False)
        return

    grid = RichTable(title=made.title, title_justify="left", show_lines=False)
    for i, header in enumerate(made.headers):
        grid.add_column(header, justify="left" if i < 2 else "right", overflow="fold")
    for row in made.rows:
        grid.add_row(*map(escape, row))
    console.print(grid)
    for note in made.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def _flops(config: Config) -> int:
    return count_flops(config.generator().eval(), config.preset.size)


def sha256_of_inception(path: Path | None) -> str | None:
    """Checksum of the Inception file that is named.

    Raises:
        WeightsError: it is not there.
    """
    if path is None:
        return None
    if not path.is_file():
        raise WeightsError("there is no Inception file", "Name clean-fid's, or leave FID out", path)
    return sha256_of(path)


def _done(record: Path, row: Row, test: TestSet, features: Backbone, inception: str | None) -> bool:
    """Whether a record is there, of these weights and this test, measured through these networks and with this parser.

    A record of the same run, before it was taken further, is made again. One that has FID is kept when it is not asked
    for.

    Args:
        inception: checksum of the Inception file, None if FID is not asked for.

    Raises:
        ConfigError: it is of other weights or of another test.
        DataError: it is damaged.
    """
    if not record.exists():
        return False
    held = read_record(record)
    about = None if row.about is None else Training.from_json(row.about)
    if held.training and about and _fewer(held.training, about):
        return False
    if held.training != about or held.test.pairs_sha256 != test.digest():
        raise ConfigError(
            "the record is of other weights or of another test", "Choose another output folder, or delete it", record
        )
    through = held.networks["distance"]
    scored = (held.inception or {}).get("composited")
    parser = None if row.parser_about is None else Training.from_json(row.parser_about)
    return (
        through is not None and through.sha256 == features.sha256 and held.parser == parser
        and (inception is None or (scored is not None and inception == scored.sha256))
    )  # fmt: skip


def _fewer(held: Training, now: Training) -> bool:
    """Whether that is the same run when it had seen fewer images."""
    return not differences(held.asked, now.asked) and held.images < now.images
