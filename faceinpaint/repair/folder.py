"""Photographs in files: one, or all of a folder, each repaired or named with its reason.

What is there already is left, unless the photograph, its hole or the options have changed since.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from faceinpaint.errors import ConfigError, DataError, FaceInpaintError, refusal
from faceinpaint.files import claimed, read_json, replacing, sha256_of, write_json
from faceinpaint.regions import CLASSES, REGIONS
from faceinpaint.repair.photograph import Boxes, Likeness, Repairer
from faceinpaint.repair.pictures import (
    ENDINGS,
    FORMATS,
    check_format,
    read_hole_for,
    read_parsing_for,
    read_photograph,
    write_photograph,
)
from faceinpaint.repair.repaired import Repair, comparison


@dataclass(frozen=True)
class Job:
    """A photograph to repair, in files.

    Attributes:
        photo, hole: what to repair. parsing: its map, or None to predict it.
        out: file to write, one of :data:`faceinpaint.repair.pictures.HOLDS`.
        compare: PNG file for before, hole, map and after, or None.
        like: another photograph of the same person, or None.

    >>> Job(Path("a.png"), Path("a-hole.png"), Path("repaired/a.png")).out.name
    'a.png'
    """

    photo: Path
    hole: Path
    out: Path
    parsing: Path | None = None
    compare: Path | None = None
    like: Path | None = None


def repair_file(
    tool: Repairer, job: Job, *, boxes: Boxes = None, outside: str = "refuse", white_is_hole: bool = True,
    order: str = "celebamask-hq",
) -> Repair:  # fmt: skip
    """Repair the photograph of a file into another, with all that belongs to it (:mod:`faceinpaint.repair.pictures`).

    Returns:
        the repair, upright.

    Raises:
        DataError: a file cannot be read or repaired; it is named.
        ConfigError: the output's format would change known pixels, or the repair or the comparison would replace what
            they are made from, or each other.

    >>> import tempfile
    >>> from faceinpaint.data.masks import drawn_holes
    >>> from faceinpaint.data.toy import draw
    >>> with tempfile.TemporaryDirectory() as place:
    ...     photo, hole, out = (Path(place) / name for name in ("photo.png", "hole.png", "out.png"))
    ...     Image.fromarray(draw(4, 128)[0]).save(photo)
    ...     Image.fromarray(255 * drawn_holes(1, 128).holes[0]).save(hole)
    ...     done = repair_file(Repairer.load(), Job(photo, hole, out), boxes="whole")
    ...     done.pixels.shape, out.exists()
    ((128, 128, 3), True)
    """
    check_format(job.out)
    if job.compare is not None and job.compare.suffix.lower() != ".png":
        raise ConfigError("the comparison is a PNG file", "Name a .png file", job.compare)
    _check_places(job.out, job.compare, (job.photo, job.hole, job.parsing, job.like), "replace", "file")
    photo = read_photograph(job.photo)
    check_format(job.out, photo)
    notes: list[str] = []
    hole = read_hole_for(photo, job.hole, white_is_hole, notes)
    labels = None if job.parsing is None else read_parsing_for(photo, job.parsing, order)
    with _named(job.like):
        like = None if job.like is None else _likeness(tool, job.like, _checksum(job.like))
    with _named(job.photo):
        done = tool.repair(photo.pixels, hole, labels, boxes=boxes, outside=outside, like=like)
    try:
        write_photograph(job.out, photo.repaired(done.pixels, hole != 0))
        if job.compare is not None:
            job.compare.parent.mkdir(parents=True, exist_ok=True)
            with replacing(job.compare) as new:
                Image.fromarray(comparison(photo.pixels, hole, done)).save(new, "PNG")
    except OSError as error:
        raise refusal(error, job.out) from error
    if job.out.suffix.lower() == ".bmp" and photo.info:
        notes.append(f"{job.out}: a BMP file holds no colour profile and no metadata, and they are left out")
    notes += [f"{job.like} lends {_lent(face.lent)}" for face in done.faces if face.lent is not None]
    return replace(done, notes=(*notes, *done.notes))


@functools.lru_cache(maxsize=1)
def _likeness(tool: Repairer, path: Path, checksum: str) -> Likeness:
    """Of a file, read once for all photographs of a person; another checksum is another file."""
    return tool.likeness(read_photograph(path).pixels)


def _lent(shares: np.ndarray) -> str:
    """How far styles came from another photograph, in words."""
    names = REGIONS if len(shares) == len(REGIONS) else CLASSES[1:]
    parts = [f"{name} ({100 * share:.0f}%)" for name, share in zip(names, shares, strict=True) if share > 0]
    return f"styles: {', '.join(parts)}" if parts else "nothing: enough is left of each region"


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Name the file of an error that has none."""
    try:
        yield
    except DataError as error:
        raise error if error.path else DataError(error.problem, error.remedy, path) from None


def jobs_of(
    photos: Path, holes: Path, out: Path, parsing: Path | None = None, compare: Path | None = None,
    like: Path | None = None,
) -> Iterator[Job | FaceInpaintError]:  # fmt: skip
    """The jobs of a folder: each photograph with the hole (and map) of the same stem, to ``out/STEM.png``.

    A photograph without a hole, or with two, and a hole without a photograph are given as the errors that they are.
    What is no photograph by its ending is one all the same if there is a hole for it; see :func:`left_out`.

    Args:
        holes: a folder, or one mask for all photographs.
        like: one photograph for all, which are of one person.

    Raises:
        DataError: a folder is missing, or holds no photograph.
        ConfigError: ``out`` or ``compare`` is the folder of the photographs, holes or maps, or both are the same.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     photos, holes, out = (Path(place) / name for name in ("photos", "holes", "out"))
    ...     for folder in (photos, holes):
    ...         folder.mkdir()
    ...         (folder / "a.png").touch()
    ...     [job.out.name for job in jobs_of(photos, holes, out)]
    ['a.png']
    """
    for folder in (photos, *([parsing] if parsing else [])):
        if not folder.is_dir():
            raise DataError("there is no such folder", "Photographs in a folder need maps in a folder", folder)
    if not holes.exists():
        raise DataError("there is no such file or folder", "Name a folder of holes, or one mask for all", holes)
    _check_places(out, compare, (photos, holes, parsing), "mix with", "folder")
    found = _photographs(photos, holes)
    if not found:
        raise DataError(f"there is no photograph ({', '.join(FORMATS)})", "Check the name", photos)
    jobs = _jobs(found, holes, parsing, out, compare)
    return (replace(job, like=like) if isinstance(job, Job) else job for job in jobs)


def left_out(photos: Path, holes: Path) -> list[Path]:
    """What else is in the folder: files that are no photographs, and folders.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     photos, holes = Path(place), Path(place) / "holes"
    ...     holes.mkdir()
    ...     (photos / "notes.txt").touch()
    ...     [path.name for path in left_out(photos, holes)]
    ['notes.txt']
    """
    taken = {path for paths in _photographs(photos, holes).values() for path in paths}
    others = (path for path in photos.iterdir() if not path.name.startswith(".") and path not in taken)
    return sorted(path for path in others if not (path.exists() and path.samefile(holes)))


def _photographs(photos: Path, holes: Path) -> dict[str, list[Path]]:
    """Photographs by stem: files with an ending of one, and others that there is a hole for."""
    wanted = _by_stem(holes)
    pictures = {
        stem: [p for p in paths if (p.suffix.lower() in ENDINGS or stem in wanted) and not p.samefile(holes)]
        for stem, paths in _by_stem(photos).items()
    }
    return {stem: paths for stem, paths in pictures.items() if paths}


def _check_places(out: Path, compare: Path | None, sources: Sequence[Path | None], harms: str, kind: str) -> None:
    """Refuse to write where a source lies, by whatever name, and the comparison where the repair does."""
    taken = {os.path.realpath(path) for path in sources if path is not None}
    for what, path, others in (("output", out, taken), ("comparison", compare, taken | {os.path.realpath(out)})):
        if path is not None and os.path.realpath(path) in others:
            raise ConfigError(f"the {what} would {harms} what it is made from", f"Name another {kind}", path)


def _jobs(
    found: dict[str, list[Path]], holes: Path, parsing: Path | None, out: Path, compare: Path | None
) -> Iterator[Job | FaceInpaintError]:
    one = None if holes.is_dir() else [holes]
    by_stem, maps = _by_stem(holes), _by_stem(parsing) if parsing else {}
    for stem, paths in sorted(found.items()):
        sets = [("photograph", None, paths), ("hole", holes, one or by_stem.get(stem, []))]
        if parsing:
            sets.append(("parsing map", parsing, maps.get(stem, [])))
        for what, folder, given in sets:
            if len(given) != 1:
                count = f"are {len(given)} {what}s" if given else f"is no {what}"
                where = f" in {folder}" if folder else ""
                yield DataError(f"there {count} named {stem}{where}", "Give one of that name", paths[0])
                break
        else:
            yield Job(
                paths[0], sets[1][2][0], out / f"{stem}.png", sets[2][2][0] if parsing else None,
                None if compare is None else compare / f"{stem}.png",
            )  # fmt: skip
    for stem in sorted(by_stem.keys() - found.keys()):
        yield DataError(f"there is no photograph named {stem}", "Give one, or take the hole away", by_stem[stem][0])


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder; none if it is none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


MADE_FROM = "made-from.json"
"""Lies beside the repairs of a folder and holds, for each, a checksum of what it was made from."""


def repair_all(
    tool: Repairer, jobs: Sequence[Job | FaceInpaintError], repair: Callable[[Repairer, Job], Repair],
    progress: Callable[[int, str], None] | None = None, *, how: str = "", again: bool = False,
) -> tuple[int, int, list[FaceInpaintError], list[str]]:  # fmt: skip
    """Do jobs one after the other. What is there already is left, unless what it was made from has changed; a bad file
    does not stop the rest.

    Args:
        repair: does one, such as :func:`repair_file` with its options.
        progress: told of each job done.
        how: the options in words. What was repaired with others is repaired again.
        again: repair all, whatever is there.

    Returns:
        how many were repaired, how many were there already, what went wrong with the others, and notes.

    Raises:
        DataError: another run is writing into a folder of theirs.

    >>> problem = DataError("there is no hole named a", "Give one", "a.png")
    >>> made, there, failed, notes = repair_all(Repairer.load(), [problem], repair_file)
    >>> made, there, [str(error) for error in failed], notes
    (0, 0, ['a.png: there is no hole named a. Give one.'], [])
    """
    made, there = 0, 0
    failed: list[FaceInpaintError] = []
    notes: list[str] = []
    with ExitStack() as held:
        for folder in sorted({job.out.parent for job in jobs if isinstance(job, Job)}):
            held.enter_context(claimed(folder))
        for job in jobs:
            if isinstance(job, FaceInpaintError):
                failed.append(job)
            else:
                try:
                    source = _source(job, f"{how} {tool.checksum}")
                    done = job.out.exists() and (job.compare is None or job.compare.exists())
                    if done and not again and _made_from(job.out).get(job.out.name) == source:
                        there += 1
                    else:
                        notes += _told(job, repair(tool, job))
                        write_json(job.out.with_name(MADE_FROM), _made_from(job.out) | {job.out.name: source})
                        made += 1
                except FaceInpaintError as error:
                    failed.append(error)
                except Exception as error:  # whatever a library makes of one photograph must not cost the others
                    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                    failed.append(DataError(f"it cannot be repaired ({reason})", "Try it alone", job.photo))
            if progress:
                progress(1, "" if isinstance(job, FaceInpaintError) else job.photo.name)
    return made, there, failed, notes


def _told(job: Job, done: Repair) -> list[str]:
    """What is to be said of one photograph of many: its notes, and what was not repaired as a face."""
    told = [note if note.startswith(str(job.hole)) else f"{job.photo}: {note}" for note in done.notes]
    if done.classical:
        what = "outside faces" if done.faces else "no face was repaired"
        told.append(f"{job.photo}: {what}, filled classically: {done.classical:,} pixels")
    return told


def _checksum(path: Path | None) -> str:
    """Of a file; empty if there is none."""
    return sha256_of(path) if path and path.is_file() else ""


def _source(job: Job, how: str) -> str:
    """A checksum of all that a repair is made from."""
    paths = (job.photo, job.hole, job.parsing, *([job.like] if job.like else []))
    sums = [_checksum(path) for path in paths]
    return hashlib.sha256(" ".join([*sums, how]).encode()).hexdigest()


def _made_from(out: Path) -> dict[str, str]:
    """The checksums beside a repair; none if there are none or they cannot be read, and all is made again."""
    try:
        return dict(read_json(out.with_name(MADE_FROM)))
    except FaceInpaintError:
        return {}
