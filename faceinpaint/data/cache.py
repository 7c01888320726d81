"""The decoded cache: files read, checked and resized once, then memory-mapped by training.

One folder for one kind (faces or holes), split and size: uint8 arrays as ``.npy`` and ``meta.json`` with the
ids, checksums, what was skipped and why. It is written under a temporary name and renamed, so a folder with
the right name is always complete.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.lib.format import open_memmap

from faceinpaint.errors import ConfigError, DataError, refusal
from faceinpaint.progress import Bar
from faceinpaint.regions import CLASSES

T = TypeVar("T")

SPLITS = ("train", "val", "test", "all")
"""Parts of a data set; ``all`` is everything undivided, for inspection, never for a comparison."""

CACHE = "FACEINPAINT_CACHE"
"""Environment variable: the folder of caches where none is named. Chapters of the book share it."""

_LARGEST = {"labels": len(CLASSES) - 1, "holes": 1}

MIN_SIDE = 16
"""Pictures with a shorter side in pixels are refused: nothing can be learnt from them."""


@dataclass(frozen=True)
class Prepared:
    """What preparing a folder did.

    Attributes:
        folder: the cache.
        count: how many items it holds.
        skipped: what was left out, ``{"file": ..., "reason": ...}`` each.
        notes: remarks that do not stop the work, such as "12 pictures were enlarged".
        reused: whether the cache was there already.
    """

    folder: Path
    count: int
    skipped: list[dict[str, str]]
    notes: list[str]
    reused: bool


@dataclass(frozen=True)
class Listing:
    """What is to be read.

    Attributes:
        ids: one plain name per item.
        jobs: for each item, whatever the reader needs to read it.
        source: one line on where the items come from, for results records.
        digest: SHA-256 over names and sizes of the files, by which a stale cache is known.
        skipped: files already known to be unusable.
        notes: remarks already known.
    """

    ids: list[str]
    jobs: list[Any]
    source: str
    digest: str
    skipped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Item(NamedTuple):
    """One item read: its arrays, its entries for the lists in meta.json, and remarks to be counted."""

    arrays: tuple[np.ndarray, ...]
    facts: dict[str, Any]
    remarks: tuple[str, ...] = ()


def folder_name(kind: str, split: str, size: int) -> str:
    """Name of a cache folder inside a folder of caches, such as ``faces-train-256``."""
    return f"{kind}-{split}-{size}"


def check_request(split: str, size: int) -> None:
    """Refuse an unknown split or a size that is not at least 16.

    Raises:
        ConfigError: the split is unknown, or the size below 16.
    """
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r}", f"Use one of {', '.join(SPLITS)}")
    if size < MIN_SIDE:
        raise ConfigError(f"size {size} is too small", f"Use at least {MIN_SIDE} pixels")


def in_split(name: str, split: str) -> bool:
    """Whether an item of an undivided folder belongs to a split: a tenth is test, by the hash of its name.

    The rest is train; there is no val. An item keeps its place when others are added or taken away.
    """
    test = int(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8], 16) % 10 == 0
    return split == "all" or split == ("test" if test else "train")


def split_folder(
    source: Path, split: str, has: Callable[[Path], bool], otherwise: Callable[[Path], bool] = lambda folder: False
) -> tuple[Path, bool]:
    """Where a split lies: in ``source/<split>``, or undivided in ``source`` itself.

    Args:
        has: tells whether a folder directly holds items.
        otherwise: tells whether it holds them in a layout without such folders, so that it could be named.

    Returns:
        The folder, and whether it is undivided, so that :func:`in_split` must divide it. A folder that is
        itself called ``train``, ``val`` or ``test`` is that split, whole.

    Raises:
        DataError: the folder is missing, or holds other splits only, or nothing.
    """
    if not source.is_dir():
        raise DataError("there is no such folder", "Check the name", source)
    parts = [name for name in ("train", "val", "test") if has(source / name)]
    if split in parts:
        return source / split, False
    if parts:
        raise DataError(f"it holds {' and '.join(parts)}, not {split}", f"Ask for {' or '.join(parts)}", source)
    if has(source):
        own = source.resolve().name
        if own in ("train", "val", "test") and split != "all":
            if own != split:
                raise DataError(f"the folder is the {own} split, asked is {split}", "Name its parent", source)
            return source, False
        return source, split != "all"
    near = [source.resolve().parent, *(path for path in visible(source) if path.is_dir())]
    there = next((path for path in near if _holds(path, has, otherwise)), None)
    remedy = f"They are in {there}: name that" if there else "See data/README.md for the expected folders"
    raise DataError("no pictures were found there", remedy, source)


def _holds(folder: Path, *tests: Callable[[Path], bool]) -> bool:
    """Whether a folder, or a split in it, passes one of the tests; not if it cannot be read."""
    try:
        return any(test(place) for test in tests for place in (folder, *(folder / split for split in SPLITS[:3])))
    except OSError:
        return False


def plain_name(name: str) -> bool:
    """Whether a name can be an id: printable, no path separator, not hidden, not empty."""
    return bool(name) and name.isprintable() and not name.startswith(".") and not set(name) & set('/\\:"')


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted by name, without hidden files; empty if there is no such folder."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def find(kind: str, source: Path, split: str, size: int) -> Path | None:
    """The cache that ``source`` is or holds, or None when it is a folder of pictures.

    Raises:
        DataError: ``source`` is not a folder, or holds caches of other sizes or splits only.
    """
    if not source.is_dir():
        raise DataError("there is no such folder", "Check the name", source)
    if (source / "meta.json").is_file():
        return source
    inner = source / folder_name(kind, split, size)
    if (inner / "meta.json").is_file():
        return inner
    others = sorted(path.parent.name for path in source.glob(f"{kind}-*-*/meta.json"))
    if others:
        raise DataError(
            f"it holds {' and '.join(others)}, wanted is {inner.name}",
            f"Run `faceinpaint data prepare --{kind} FOLDER --split {split} --size {size} --out {source}`, with the "
            "folder of the pictures",
            source,
        )
    return None


def room(kind: str, source: str | Path, split: str, size: int, cache: Path | None) -> Path:
    """Where a folder of pictures is prepared into: below ``cache``, or below what FACEINPAINT_CACHE names.

    Raises:
        ConfigError: neither is given.
    """
    folder = cache or os.environ.get(CACHE)
    if not folder:
        raise ConfigError(
            f"{source} is not a prepared cache, and no folder for one is given",
            f"Run `faceinpaint data prepare --{kind} {source} --size {size} --out CACHE` and name CACHE in its place, "
            f"or set {CACHE} to a folder that keeps what is prepared",
        )
    return Path(folder) / folder_name(kind, split, size)


def build(
    out: Path,
    listing: Listing,
    read: Callable[[Any], Item],
    arrays: dict[str, tuple[int, ...]],
    meta: dict[str, Any],
    *,
    review: Callable[[dict[str, list[Any]]], list[str]] = lambda facts: [],
    progress: bool = False,
    workers: int | None = None,
) -> Prepared:
    """Read every item of a listing in threads and write the cache; or check and keep the one already there.

    Args:
        out: the cache folder, not there yet or an earlier cache of the same files.
        read: turns one job into an :class:`Item`; a :class:`DataError` from it skips the file and is recorded.
        arrays: name of each array and the shape of one item in it; all are uint8.
        meta: the entries ``kind``, ``size``, ``split`` and any other that must agree for a cache to be reused.
        review: looks at the facts of all items together and returns notes.
        progress: show a progress bar with the time left.
        workers: number of threads; default one per core, at most 8.

    Raises:
        DataError: nothing usable is left, the disk is too full, or ``out`` holds something else.
    """
    meta = {**meta, "listing": listing.digest}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _reuse(out, meta, arrays)
    if not listing.jobs:
        raise _nothing_left(out, listing.skipped)

    need = len(listing.jobs) * sum(int(np.prod(shape)) for shape in arrays.values())
    partial = _partial(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(out.parent).free < need * 1.05:
            problem = f"the disk has no room for the cache ({need / 1e9:.1f} GB)"
            raise DataError(problem, "Free some or take another", out)
        partial.mkdir()
        made = _fill(partial, listing, read, arrays, progress, workers)
        if not made["ids"]:
            raise _nothing_left(out, made["skipped"])
        made["notes"] += review(made)
        meta |= {"source": writable(listing.source)} | made
        text = json.dumps(meta, indent=1, ensure_ascii=False)
        (partial / "meta.json").write_text(text + "\n", encoding="utf-8")
        try:
            os.replace(partial, out)
        except OSError:
            if not out.is_dir():
                raise
            return _reuse(out, meta, arrays)  # another process was faster
    except OSError as error:
        raise refusal(error, out) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared(out, len(made["ids"]), made["skipped"], made["notes"], False)


def _partial(out: Path) -> Path:
    """A temporary name beside ``out``, for this process alone; those that killed processes left are removed."""
    mine = f".{out.name}.{socket.gethostname()}."
    for left in out.parent.glob(glob.escape(mine) + "*.partial"):
        pid = left.name[len(mine) : -len(".partial")]
        if pid == str(os.getpid()) or (pid.isdigit() and not _alive(int(pid))):
            shutil.rmtree(left, ignore_errors=True)
    return out.with_name(f"{mine}{os.getpid()}.partial")


def _alive(pid: int) -> bool:
    """Whether a process of this machine is running; yes where that cannot be asked without harm."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _fill(
    partial: Path,
    listing: Listing,
    read: Callable[[Any], Item],
    arrays: dict[str, tuple[int, ...]],
    progress: bool,
    workers: int | None,
) -> dict[str, Any]:
    """Write the arrays; returns the entries of meta.json that come from the items."""
    total = len(listing.jobs)
    maps = [
        open_memmap(partial / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(total, *shape))
        for name, shape in arrays.items()
    ]
    for name in arrays:
        _reserve(partial / f"{name}.npy")
    ids: list[str] = []
    facts: dict[str, list[Any]] = {}
    skipped = list(listing.skipped)
    remarks: Counter[str] = Counter()

    def attempt(job: Any) -> Item | DataError:
        try:
            return read(job)
        except DataError as error:
            return error
        except OSError as error:  # it was there when it was listed
            return refusal(error)

    # Threads suffice: Pillow and hashlib let go of the interpreter while they work.
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(attempt, listing.jobs)
        for name, result in zip(listing.ids, tracked(results, total, progress), strict=True):
            if isinstance(result, DataError):
                skipped.append(skip(result.path or name, result.problem))
                continue
            for array, value in zip(maps, result.arrays, strict=True):
                array[len(ids)] = value
            ids.append(name)
            for key, value in result.facts.items():
                facts.setdefault(key, []).append(value)
            remarks.update(result.remarks)
    for array in maps:
        array.flush()
    del maps
    if len(ids) < total:
        for name in arrays:
            _shorten(partial / f"{name}.npy", len(ids))
    notes = [*listing.notes, *(f"{n} of {total} files: {remark}" for remark, n in sorted(remarks.items()))]
    return {"ids": ids, **facts, "skipped": skipped, "notes": notes}


def _reserve(path: Path) -> None:
    """Take all the room that a file will need: a memory-mapped one on a full disk ends in a bus error, uncatchable."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def tracked(results: Iterable[T], total: int, progress: bool, title: str = "Preparing") -> Iterable[T]:
    """The results, shown passing by if wished."""
    if not progress:
        return results

    def shown() -> Iterator[T]:
        with Bar() as bar:
            advance = bar.work(title, total)
            for result in results:
                yield result
                advance(1, "")

    return shown()


def _shorten(path: Path, count: int) -> None:
    """Keep the first ``count`` items of an array file; the header states the length, so the file is rewritten."""
    old = np.load(path, mmap_mode="r", allow_pickle=False)
    if count:
        new = open_memmap(path.with_suffix(".tmp"), mode="w+", dtype=old.dtype, shape=(count, *old.shape[1:]))
        for start in range(0, count, 256):
            new[start : start + 256] = old[start : min(start + 256, count)]
        new.flush()
        os.replace(path.with_suffix(".tmp"), path)


def skip(file: str | Path, reason: str) -> dict[str, str]:
    """One entry of the list of skipped files."""
    return {"file": writable(str(file)), "reason": writable(reason)}


def writable(text: str) -> str:
    """The text with what is not valid UTF-8, such as parts of odd file names, replaced by question marks."""
    return text.encode("utf-8", "replace").decode()


def _nothing_left(out: Path, skipped: Sequence[dict[str, str]]) -> DataError:
    """The refusal of a folder in which nothing is usable, with the first reasons."""
    shown = "; ".join(f"{Path(s['file']).name}: {s['reason']}" for s in skipped[:3])
    why = f", {len(skipped)} skipped ({shown})" if skipped else ""
    return DataError(f"nothing is left to write{why}", "Mend the files, or ask for another split", out)


def _reuse(out: Path, meta: dict[str, Any], arrays: dict[str, tuple[int, ...]]) -> Prepared:
    """The cache already in ``out``, if it was made from the same files in the same way."""
    if not (out / "meta.json").is_file():
        raise DataError("the folder is in use and is not a cache", "Name a new or empty folder", out)
    found, _ = load(out, meta["kind"], tuple(arrays))
    for key, value in meta.items():
        if key in ("ids", "sha256", "fractions", "skipped", "notes", "source"):
            continue
        if found.get(key) != value:
            what = "its files have changed" if key == "listing" else f"{key} {found.get(key)!r}, asked {value!r}"
            raise DataError(f"the cache there is another one ({what})", "Delete it or name another", out)
    return Prepared(out, len(found["ids"]), found["skipped"], found["notes"], True)


def read_meta(folder: Path) -> dict[str, Any]:
    """The contents of meta.json, checked for what every cache has.

    Raises:
        DataError: it is missing, damaged or incomplete.
    """
    remedy = "Delete the folder and prepare it again"
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the cache cannot be read ({error})", remedy, folder / "meta.json") from None
    if not _complete(meta):
        raise DataError("its entries are incomplete", remedy, folder / "meta.json")
    return meta


def load(folder: Path, kind: str, names: Sequence[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Open a cache: the contents of meta.json and its arrays, memory-mapped read-only, all checked.

    Raises:
        DataError: a file is missing or damaged, or the cache is of another kind.
    """
    remedy = "Delete the folder and prepare it again"
    meta = read_meta(folder)
    if meta["kind"] != kind:
        raise DataError(f"this is not a cache of {kind}", f"Name a folder of prepared {kind}", folder)
    ids, size = meta["ids"], meta["size"]
    opened = []
    for name in names:
        path = folder / f"{name}.npy"
        try:
            with path.open("rb") as file:
                if file.read(6) != b"\x93NUMPY":  # numpy would open a ZIP archive too
                    raise ValueError("not an array file")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # a damaged header makes numpy raise almost anything, from OSError to TokenError
            raise DataError(f"the cache cannot be read ({error})", remedy, path) from None
        if array.dtype != np.uint8:
            raise DataError(f"its type is {array.dtype}, not uint8", remedy, path)
        if array.shape[:3] != (len(ids), size, size):
            raise DataError(f"its shape is {array.shape}, not {(len(ids), size, size)}", remedy, path)
        # In pieces, because a set may be larger than memory. Pictures may hold anything.
        if name in _LARGEST and max(int(array[i : i + 256].max()) for i in range(0, len(array), 256)) > _LARGEST[name]:
            raise DataError(f"a value is above {_LARGEST[name]}", remedy, path)
        opened.append(array)
    return meta, opened


def _complete(meta: Any) -> bool:
    """Whether meta.json has the entries that every cache has, of the right types and lengths."""
    types = {"kind": str, "size": int, "source": str, "ids": list, "sha256": list, "skipped": list, "notes": list}
    if not isinstance(meta, dict) or not all(isinstance(meta.get(k), t) for k, t in types.items()):
        return False
    ids = meta["ids"]
    return (
        all(isinstance(name, str) and plain_name(name) for name in ids)
        and all(isinstance(digest, str) for digest in meta["sha256"])
        and all(isinstance(entry, dict) and entry.keys() >= {"file", "reason"} for entry in meta["skipped"])
        and 0 < len(ids) == len(set(ids)) == len(meta["sha256"])
    )


def check_loaded(meta: dict[str, Any], folder: Path, split: str, size: int, **stated: Any) -> None:
    """Refuse a cache of another size or split than asked for, or prepared in another way.

    Args:
        stated: entries that must agree, such as the class order; None if nothing is said of them.

    Raises:
        DataError: the cache is another one, and in what.
    """
    for key, asked in (("size", size), ("split", split)):
        if meta.get(key) != asked:
            raise DataError(f"the cache has {key} {meta.get(key)}, asked is {asked}", "Prepare one for it", folder)
    for key, asked in stated.items():
        if asked is not None and meta.get(key, asked) != asked:
            raise DataError(
                f"the cache was prepared with {key} {meta[key]!r}, asked is {asked!r}",
                "Prepare the files again, or say nothing of it: a cache knows how it was prepared",
                folder,
            )


KINDS = {"faces": ("images", "labels"), "holes": ("holes",)}
"""The arrays of each kind of cache."""


def check(folder: str | Path) -> list[str]:
    """Read prepared caches completely and say what they hold, one line each and one for each remark.

    Args:
        folder: one cache, or a folder of caches.

    Raises:
        DataError: there is none, one is damaged, or the same picture is in two splits.
    """
    folder = Path(folder)
    found = [folder] if (folder / "meta.json").is_file() else [p.parent for p in folder.glob("*/meta.json")]
    if not found:
        raise DataError("there is no prepared cache", "Run `faceinpaint data prepare` first", folder)
    lines = []
    seen: dict[tuple[str, str], str] = {}
    for path in sorted(found):
        meta = read_meta(path)
        if meta["kind"] not in KINDS:
            raise DataError(f"a cache of {meta['kind']!r} is not known", "Delete the folder and prepare it again", path)
        load(path, meta["kind"], KINDS[meta["kind"]])
        split = str(meta.get("split"))
        for name, sha256 in zip(meta["ids"], meta["sha256"], strict=True):
            other = split if split == "all" else seen.setdefault((meta["kind"], sha256), split)
            if other != split:
                raise DataError(f"{name} is in split {other} too", "Remove it from one and prepare again", path)
        lines.append(
            f"{path.name}: {len(meta['ids']):,} {meta['kind']} of {meta['size']} x {meta['size']} pixels, "
            f"{len(meta['skipped'])} left out; {meta['source']}"
        )
        lines += [f"  {note}" for note in meta["notes"]]
        lines += [f"  left out: {s['file']}: {s['reason']}" for s in meta["skipped"]]
    return lines


def listing_digest(source: Path, files: Sequence[Path], extra: Sequence[str] = ()) -> str:
    """SHA-256 over names and sizes of files, and ``extra``: cheap, and the same wherever the folder lies."""
    lines = [f"{os.path.relpath(p, source)}\t{p.stat().st_size if p.exists() else -1}" for p in files]
    return hashlib.sha256("\n".join([*lines, *extra]).encode("utf-8", "surrogateescape")).hexdigest()
