"""The command line: ``faceinpaint data | train | evaluate | reproduce | table | inpaint | weights | export``."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from faceinpaint import __version__
from faceinpaint.errors import ConfigError, DataError, FaceInpaintError, refusal
from faceinpaint.progress import Advance, Bar

# Each command imports what it needs: torch takes seconds, and --help should not.

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False, add_completion=False,
    help="Repair damaged face photographs with regional styles (CN113298736A), train it and three baselines alike, "
    "and make the table that compares them.",
)  # fmt: skip
data = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Draw, prepare and check faces and holes.")
app.add_typer(data, name="data")
shelf = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Trained weights of the repository.")
app.add_typer(shelf, name="weights")

Faces = Annotated[str, typer.Option(help="'toy' for drawn faces, or a folder of pictures and parsing maps.")]
Holes = Annotated[str, typer.Option(help="'drawn', or a folder of hole masks.")]
Order = Annotated[str, typer.Option(help="Class order of the label maps: celebamask-hq or bisenet.")]
StatedOrder = Annotated[
    str | None,
    typer.Option(help="Class order of the label maps: celebamask-hq (default) or bisenet; a prepared cache knows it."),
]
BlackIsHole = Annotated[bool, typer.Option("--black-is-hole", help="Hole files are black where the hole is.")]
PresetName = Annotated[str, typer.Option(help="smoke, cpu, gpu or paper.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the preset, or an option of the method."),
]
Seed = Annotated[int, typer.Option(min=0, help="Of weights, order, holes and mirroring.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Where prepared pictures are kept; default: what FACEINPAINT_CACHE names, else beside the output."
    ),
]
Weights = Annotated[
    str, typer.Option(help="Frozen networks: a folder of safetensors files, 'download', or 'seed' for random ones.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"faceinpaint {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")


@data.command("toy")
def data_toy(
    out: Annotated[Path, typer.Option(help="Folder that receives images/ and labels/.")],
    count: Annotated[int, typer.Option(min=1)] = 16,
    size: Annotated[int, typer.Option(min=16, max=2048)] = 256,
    seed: Seed = 0,
    split: Annotated[str, typer.Option(help="train, val or test; they never share a face.")] = "train",
) -> None:
    """Draw faces with exact parsing maps, as PNG files.

    Example: `faceinpaint data toy --count 16 --size 256 --out out/toy`
    """
    from faceinpaint.data.sources import load_faces, save_faces

    faces = load_faces("toy", split, size, count=count, seed=seed, progress=True)
    save_faces(faces, out)
    print(f"{len(faces)} faces in {out}")


@data.command("prepare")
def data_prepare(
    out: Annotated[Path, typer.Option(help="Folder that receives one cache for each split.")],
    size: Annotated[
        int,
        typer.Option(min=16, max=1024, help="Side in pixels: 64 for the presets smoke and cpu, 256 for the others."),
    ],
    faces: Annotated[Path | None, typer.Option(help="CelebAMask-HQ, or images/ and labels/.")] = None,
    holes: Annotated[Path | None, typer.Option(help="Folder of hole masks, or of train/ and test/.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="train, val, test or all; may be repeated.")] = None,
    order: Order = "celebamask-hq",
    black_is_hole: BlackIsHole = False,
) -> None:
    """Resize pictures once, check every pair, and write the decoded cache that training reads.

    Bad files are named with the reason and left out.

    Example: `faceinpaint data prepare --faces CelebAMask-HQ --holes irregular-masks --size 256 --out data/cache`
    """
    from faceinpaint.data.cache import folder_name
    from faceinpaint.data.celebahq import prepare
    from faceinpaint.data.masks import prepare_holes

    if faces is None and holes is None:
        raise ConfigError("there is nothing to prepare", "Give --faces, --holes or both")
    for name in split or ["train", "test"]:
        results = []
        if faces is not None:
            where = out / folder_name("faces", name, size)
            results.append(("faces", prepare(faces, where, split=name, size=size, order=order, progress=True)))
        if holes is not None:
            where = out / folder_name("holes", name, size)
            made = prepare_holes(holes, where, split=name, size=size, white_is_hole=not black_is_hole, progress=True)
            results.append(("holes", made))
        for what, done in results:
            state = ", prepared before" if done.reused else ""
            print(f"{name}: {done.count:,} {what}, {len(done.skipped)} left out -> {done.folder}{state}")
            for remark in done.notes:
                print(f"  note: {remark}")
            for bad in done.skipped:
                print(f"  {bad['file']}: {bad['reason']}")


@data.command("check")
def data_check(
    cache: Annotated[Path, typer.Argument(help="Folder written by `faceinpaint data prepare`.")],
) -> None:
    """Say what prepared caches hold.

    Example: `faceinpaint data check data/cache`
    """
    from faceinpaint.data.cache import check

    for line in check(cache):
        print(line)


@app.command()
def train(
    method: Annotated[str, typer.Argument(help="Such as facial-style, gated-conv or parser; a wrong name shows all.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; the same one again goes on where it stopped.")],
    preset: PresetName = "smoke",
    faces: Faces = "toy",
    holes: Holes = "drawn",
    merge: Annotated[
        str, typer.Option(help="Label mapping, from 19 classes: regions (8), accessories, classes (18) or none (1).")
    ] = "regions",
    seed: Seed = 0,
    settings: Settings = None,
    cache: Cache = None,
    weights: Weights = "auto",
    order: StatedOrder = None,
    black_is_hole: BlackIsHole = False,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs or processes; under torchrun, all of it.")] = 1,
    begin: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Begin with these weights, a run or its generator.safetensors, of the same widths."
        ),
    ] = None,
    parser: Annotated[
        Path | None,
        typer.Option(help="Run of a parser: it guesses the parsing maps that the generator is trained with."),
    ] = None,
    smaller: Annotated[
        str | None,
        typer.Option(
            help="Trained weights of half the size that start=smaller begins from: a name of the list, a run, or its "
            "generator.safetensors, with its parser beside it."
        ),
    ] = None,
) -> None:
    """Train one method, or the parser. Ctrl-C stops after the step; the same command again goes on.

    Example: `faceinpaint train facial-style --preset smoke --out runs/ours`

    Taken further, when it was too short: the same with more images, `--set images=6000`

    On real faces: `faceinpaint train facial-style --preset cpu --faces CelebAMask-HQ --holes irregular-masks
    --weights weights --out runs/ours`

    Larger pictures, from what was learned on small ones: `faceinpaint train facial-style --preset cpu --set size=128
    --set images=8000 --from runs/ours --out runs/ours-128`

    With the maps that it will have in use: `faceinpaint train facial-style --preset cpu --parser runs/parser
    --out runs/ours`

    On top of a trained network of half the size, whose weights the new ones then hold: `faceinpaint train facial-style
    --preset cpu --set size=128 --set start=smaller --smaller runs/ours --out runs/ours-128`
    """
    from faceinpaint.data.sources import Sources
    from faceinpaint.options import read_settings
    from faceinpaint.repair import trained
    from faceinpaint.training.processes import disband, launch
    from faceinpaint.training.run import configured, load_smaller
    from faceinpaint.training.train import train

    beneath = None
    if smaller is not None:
        named = trained.find(smaller)
        beneath = load_smaller(named.generator, named.parser)
    config = configured(method, preset, read_settings(settings), merge, seed, beneath)
    sources = Sources(faces, holes, order, _polarity(black_is_hole), weights=weights)
    fabric = launch(config.preset, _accelerator(device), devices)
    first = fabric.is_global_zero
    with fabric.rank_zero_first():  # it prepares the pictures, the others find them prepared
        face_set, hole_set = sources.training(config.preset, _kept(cache, out.parent), seed, progress=first)
    with _resumable(), _bar(f"train {method}", config.preset.images, shown=first) as advance:
        path = train(
            config, face_set, hole_set, out, backbone_weights=weights, progress=advance, fabric=fabric, begin=begin,
            parser=parser,
        )  # fmt: skip
    disband(fabric)
    if first:
        print(f"weights: {path}\ncurves: tensorboard --logdir {out}")


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Folder of a run, its file, or mean-fill, telea or membrane.")],
    out: Annotated[Path, typer.Option(help="Results record to write (JSON).")],
    faces: Faces = "toy",
    holes: Holes = "drawn",
    pairs: Annotated[Path | None, typer.Option(help="CSV of test pairs; default: each test face once a bin.")] = None,
    preset: Annotated[str | None, typer.Option(help="smoke (default), cpu, gpu or paper; a run has its own.")] = None,
    parser: Annotated[
        Path | None, typer.Option(help="Run of a parser: measure with the map that it predicts, not with the true one.")
    ] = None,
    enlarged: Annotated[
        bool, typer.Option("--enlarged", help="On pictures of twice its size: they are halved, and repairs enlarged.")
    ] = False,
    cache: Cache = None,
    weights: Weights = "auto",
    inception: Annotated[Path | None, typer.Option(help="clean-fid's Inception file, for FID and KID proper.")] = None,
    order: StatedOrder = None,
    black_is_hole: BlackIsHole = False,
    device: Device = "auto",
) -> None:
    """Measure a trained generator, a parser, or a trivial baseline, on the test pairs.

    Example: `faceinpaint evaluate mean-fill --preset smoke --out out/mean-fill.json`

    Without the oracle: `faceinpaint evaluate runs/ours --parser runs/parser --out out/ours-predicted.json`

    At twice its size: `faceinpaint evaluate runs/ours --parser runs/parser --enlarged --out out/64-enlarged.json`
    """
    from faceinpaint.backbones import load_backbone
    from faceinpaint.comparison.evaluate import measure, row_of
    from faceinpaint.comparison.reproduce import sha256_of_inception
    from faceinpaint.comparison.table import told
    from faceinpaint.data.sources import Sources
    from faceinpaint.files import write_json
    from faceinpaint.weights import check_out

    accelerator = _accelerator(device)  # before anything is read, as all that can be refused at once
    check_out(out, run)
    sha256_of_inception(inception)
    row, seed = row_of(run, out.stem, preset, parser, enlarged)
    sources = Sources(faces, holes, order, _polarity(black_is_hole), pairs, weights, inception)
    test = sources.test(row.preset, _kept(cache, out.parent), seed, progress=True)
    sources.remark()
    lpips = load_backbone("alexnet", weights)
    with _bar(f"evaluate {row.title}", len(test.pairs), "pairs") as advance:
        record = measure(
            row, test, lpips=lpips, features=lpips, inception=inception, device=accelerator, progress=advance
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, record.to_json())
    print(f"{told(record)} over {len(test.pairs)} pairs -> {out}")


@app.command()
def reproduce(
    out: Annotated[Path, typer.Option(help="Folder of everything; the same one again goes on where it stopped.")],
    preset: PresetName = "smoke",
    rows: Annotated[str, typer.Option(help="table, ablations (one option away each), or prior-arts.")] = "table",
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Only this row of them; may be repeated.")
    ] = None,
    faces: Faces = "toy",
    holes: Holes = "drawn",
    pairs: Annotated[Path | None, typer.Option(help="CSV of test pairs; default: each test face once a bin.")] = None,
    seed: Seed = 0,
    settings: Settings = None,
    cache: Cache = None,
    weights: Weights = "auto",
    inception: Annotated[Path | None, typer.Option(help="clean-fid's Inception file, for FID and KID proper.")] = None,
    order: StatedOrder = None,
    black_is_hole: BlackIsHole = False,
    device: Device = "auto",
) -> None:
    """Train and evaluate every row of the comparison table, or of the ablations, and print it.

    Example: `faceinpaint reproduce --preset smoke --out out/smoke`

    On real faces: `faceinpaint reproduce --preset cpu --faces CelebAMask-HQ --holes irregular-masks --weights weights
    --out out/cpu`

    Every row trained for longer, from where it stands: the same with more images, `--set images=6000`

    Two of the ablations: `faceinpaint reproduce --rows ablations --only default --only no-style-loss --out out/style`
    """
    from faceinpaint.comparison.reproduce import planned, reproduce
    from faceinpaint.data.sources import Sources
    from faceinpaint.options import read_settings
    from faceinpaint.presets import preset as named

    plan, scale = planned(rows, only), named(preset, **read_settings(settings))
    sources = Sources(faces, holes, order, _polarity(black_is_hole), pairs, weights, inception)
    with _resumable():
        paths = reproduce(
            scale, out, sources=sources, rows=plan, seed=seed, accelerator=_accelerator(device), cache=_kept(cache, out)
        )
    print("\n".join(map(str, paths)))


@app.command()
def table(
    places: Annotated[list[Path], typer.Argument(help="Results records, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Folder that receives table.md, .csv, .html and plots.")] = None,
    view: Annotated[str, typer.Option(help="composited or raw.")] = "composited",
) -> None:
    """Make the comparison table from results records, and plots by bin, by region and over training.

    Records of parsers have a table of their own below it.

    Example: `faceinpaint table out/smoke/records --out out/smoke`
    """
    from faceinpaint.comparison import table
    from faceinpaint.comparison.records import VIEWS, read_logs, read_parsers, read_records
    from faceinpaint.comparison.reproduce import show
    from faceinpaint.show import write_plots

    if view not in VIEWS:
        raise ConfigError(f"unknown view {view!r}", f"Use one of {', '.join(VIEWS)}")
    parsers = [record for place in places for record in read_parsers(place).values()]
    records = read_records(places, needed=not parsers)
    if records:
        show(table.brief(records, view), Console())
    if parsers:
        show(table.overlaps(parsers), Console())
    if out is not None:
        paths = table.write(records, out, parsers)
        print(*paths, *(write_plots(records, out, read_logs(places)) if records else ()), sep="\n")


@app.command()
def inpaint(
    photo: Annotated[Path, typer.Argument(help="The photograph, PNG, JPEG, TIFF, HEIC or other; or a folder of them.")],
    hole: Annotated[Path, typer.Option(help="Its hole, in white or one colour; or a folder; or one for a folder.")],
    out: Annotated[Path, typer.Option(help="The repaired photograph, .png, .webp, .tif or .bmp; or a folder.")],
    weights: Annotated[
        str | None, typer.Option(help="Of `weights list` (default: the first; large faces: larger ones), or a run.")
    ] = None,
    parser: Annotated[Path | None, typer.Option(help="Run or file of the parser; default: beside it.")] = None,
    parsing: Annotated[
        Path | None, typer.Option(help="Parsing map (19 classes), of the same size; or a folder; default: predicted.")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,W,H[,TILT]",
            help="A face, brows to below the mouth, temple to temple; or several. 'whole': framed as in CelebA-HQ.",
        ),
    ] = None,
    outside: Annotated[str, typer.Option(help="Holes outside faces: refuse, or fill: classical.")] = "refuse",
    like: Annotated[Path | None, typer.Option(help="Another photograph of the same person, to go by.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Also write before and after (.png; or a folder).")] = None,
    again: Annotated[bool, typer.Option("--again", help="Repair all of a folder, also what has not changed.")] = False,
    order: Order = "celebamask-hq",
    black_is_hole: BlackIsHole = False,
    device: Device = "auto",
) -> None:
    """Repair photographs of faces, of any size. Nothing but the hole is changed.

    Finds the face, predicts its parsing map, fills the hole at full size. Known pixels come back bit for bit, and so
    do depth, palette, transparency, colour profile, orientation and metadata. So the output is PNG, lossless WebP, TIFF
    or BMP: a JPEG would change every pixel.

    Example: `faceinpaint inpaint photo.jpg --hole hole.png --out repaired.png --compare compared.png`

    The face by hand: `faceinpaint inpaint photo.jpg --hole hole.png --box 172,79,83,83 --out repaired.png`

    A scratch that runs on outside the face: `faceinpaint inpaint photo.jpg --hole hole.png --outside classical
    --out repaired.png`

    A folder, each photograph with the hole of the same name; done before and unchanged since, it is left:
    `faceinpaint inpaint photos --hole holes --out repaired`

    Another photograph of the person: `faceinpaint inpaint photo.jpg --hole hole.png --like other.jpg --out new.png`

    Weights of your own: `faceinpaint inpaint photo.png --hole hole.png --weights runs/facial-style
    --parser runs/parser --out repaired.png`, both from `faceinpaint train`
    """
    from functools import partial

    from faceinpaint.repair.folder import Job, jobs_of, left_out, repair_all, repair_file
    from faceinpaint.repair.framing import parse_box
    from faceinpaint.repair.photograph import Repairer

    whole = box == ["whole"]
    boxes = "whole" if whole else [parse_box(text) for text in box] if box else None
    folder = photo.is_dir()
    if folder and boxes not in (None, "whole"):
        raise ConfigError("one box does not fit a folder of photographs", "Repair that photograph alone", photo)
    for path in (photo, like):
        if path is not None and not path.exists():
            raise DataError("there is no such file", "Check the name", path)
    jobs = list(jobs_of(photo, hole, out, parsing, compare, like)) if folder else []
    tool = Repairer.load(weights, parser, _accelerator(device))
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"weights: {escape(tool.about)}", highlight=False)
    repair = partial(repair_file, boxes=boxes, outside=outside, white_is_hole=not black_is_hole, order=order)
    if not folder:
        done = repair(tool, Job(photo, hole, out, parsing, compare, like))
        told = [f"face: {face.box}" for face in done.faces if face.box] + [f"Note: {note}" for note in done.notes]
        if done.classical:
            told.append(f"outside faces, filled classically: {done.classical:,} pixels")
        for line in told:
            console.print(escape(line), highlight=False)
        print(out)
        return
    with _resumable(), _bar("repair", len(jobs), "photographs") as advance:
        how = f"{boxes} {outside} {black_is_hole} {order}"
        made, there, failed, notes = repair_all(tool, jobs, repair, advance, how=how, again=again)
    print(f"{made} repaired, {there} there before, {len(failed)} failed -> {out}")
    left = [f"Left out: {path}: no photograph" for path in left_out(photo, hole)]
    for line in [*(f"Note: {note}" for note in notes), *left]:
        console.print(escape(line), highlight=False)
    for error in failed:
        console.print(f"[bold red]Failed:[/] {escape(str(error))}", highlight=False)
    if failed:
        raise typer.Exit(2)


@shelf.command("list")
def weights_list() -> None:
    """Show the trained weights that are here, the preferred ones first, and those that can be fetched.

    Example: `faceinpaint weights list`
    """
    from faceinpaint.repair import trained

    entries = trained.listed()
    for entry in entries:
        trained.check(entry.name)
        print(entry)
    if not entries:
        print(f"none in {', '.join(map(str, trained.places()))}")
    here = {entry.name for entry in entries}
    for entry in trained.published():
        if entry.name not in here:
            print(f"to be fetched by `faceinpaint weights download {entry.name}`: {entry}")


@shelf.command("download")
def weights_download(
    name: Annotated[str | None, typer.Argument(help="That `weights list` shows; default: the first.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the folder data/weights on a server; default: the repository's.")
    ] = None,
) -> None:
    """Fetch trained weights of the repository into your cache; shows their licence first.

    Interrupted, the same command goes on where it was.

    Example: `faceinpaint weights download`
    """
    from faceinpaint.repair import trained

    offered = [entry for entry in trained.published() if name in (None, entry.name)]
    if offered:
        print(f"{offered[0]}\nLicence: {offered[0].licence}", flush=True)
    entry = trained.download(name, address=address)
    print(f"{entry.name} -> {trained.places()[-1] / entry.name}")


@shelf.command("add")
def weights_add(
    run: Annotated[Path, typer.Argument(help="Folder of the generator's run, or its safetensors file.")],
    name: Annotated[str, typer.Option(help="Of the entry, and of its folder.")],
    trained_on: Annotated[str, typer.Option(help="Which pictures, how many, of what size; one line.")],
    licence: Annotated[str, typer.Option(help="Of the weights: it follows from that of the pictures.")],
    parser: Annotated[
        Path | None, typer.Option(help="Run or file of the parser; default: the one beside the generator.")
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="Prefer it to all others.")] = False,
) -> None:
    """Put a run's generator and parser on the list, in half precision.

    The list is the one in the folder that FACEINPAINT_TRAINED names, else that of a checkout, else that of your cache.

    Example: `faceinpaint weights add runs/ours --parser runs/parser --name drawn-64 --trained-on "drawn faces, 64x64"
    --licence MIT`
    """
    from faceinpaint.repair import trained

    print(trained.add(run, name, trained_on, licence, parser=parser, first=first))


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_WEIGHTS", help="Folder of a run, or its safetensors file.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX, the one format so far, named or not.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Weights in 16 bits: half the size.")] = False,
) -> None:
    """Write a trained generator or parser as an ONNX file, which runs without Python, in a browser for one.

    Example: `faceinpaint export runs/ours --onnx --half --out generator.onnx`
    """
    from faceinpaint.repair.export import export_onnx
    from faceinpaint.weights import check_out

    check_out(out, source)
    written = export_onnx(source, out, half=half)
    print(f"{written['method']} at {written['size']}x{written['size']}, {out.stat().st_size / 1e6:.1f} MB -> {out}")


# --- helpers --------------------------------------------------------------------------------------------------------


def _kept(cache: Path | None, beside: Path) -> Path:
    """Folder of prepared pictures: the one named, that of the environment, or one beside the output."""
    from faceinpaint.data.cache import CACHE

    return cache or Path(os.environ.get(CACHE) or beside / "cache")


def _polarity(black_is_hole: bool) -> bool | None:
    """Whether white is the hole; None where nothing is said of it, as a prepared cache knows it."""
    return False if black_is_hole else None


def _accelerator(device: str) -> str:
    import torch

    if device not in ("cpu", "cuda", "auto"):
        raise ConfigError(f"unknown device {device!r}", "Use cpu, cuda or auto")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device", "Use --device cpu, or install a CUDA build of torch")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def _resumable() -> Iterator[None]:
    """Ctrl-C ends the command with a word on how to go on, and the shell's usual exit code for it."""
    try:
        yield
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it was.", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def _bar(title: str, total: int, unit: str = "images", shown: bool = True) -> Iterator[Advance]:
    """Shows how far one piece of work is; gives the function that tells it."""
    with Bar(shown=shown) as bar:
        yield bar.work(title, total, unit)


NO_ROOM = ("out of memory", "can't allocate memory", "Insufficient memory")
"""How torch says it, on a GPU and on a CPU, and OpenCV. Other errors speak of memory as well, such as an illegal access
to it."""


def main() -> None:
    """Run the command line; a problem that the user can mend ends with one message and exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show must not end finished work
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as problem:
        if isinstance(problem, FaceInpaintError):
            error: FaceInpaintError = problem
        elif isinstance(problem, OSError):
            error = refusal(problem)
        elif isinstance(problem, MemoryError) or any(words in str(problem) for words in NO_ROOM):
            error = ConfigError("there is not enough memory for this", "Take a smaller batch, size, width or set")
        else:
            raise
        Console(stderr=True, soft_wrap=True).print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
