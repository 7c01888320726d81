"""Trained weights: which there are, on what they were trained, whether they are whole, and how they are fetched.

They are looked for in the folder that the environment variable FACEINPAINT_TRAINED names, in ``data/weights`` of a
checkout of the repository, and in the user's cache. In each, ``index.json`` lists them in the order of preference; each
is a folder with ``generator.safetensors``, ``parser.safetensors`` and the JSON files beside them. They hold half
precision, which halves the files; networks compute in single precision as ever.

The list of the repository ships with the package, so that a copy without the repository can fetch what it names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

from faceinpaint import weights
from faceinpaint.data.cache import plain_name
from faceinpaint.download import BROKEN, fetch
from faceinpaint.errors import CheckpointError, ConfigError
from faceinpaint.files import claimed, read_json, sha256_of, write_json
from faceinpaint.provenance import repository
from faceinpaint.training.run import SMALLER, SmallerRun, check_merge, load_generator, load_parser, repairer

FOLDER = Path(__file__).resolve().parents[2] / "data" / "weights"
"""Where a checkout of the repository keeps them; a copy of the library installed without one has no such folder."""

NAMED = "FACEINPAINT_TRAINED"
"""Environment variable: a folder of trained weights of one's own, looked at first."""

PUBLISHED = Path(__file__).with_name("published.json")
"""The repository's list, as it ships with the package: what :func:`download` may fetch."""

HUB = "hf:"
"""Before the name of a repository of the Hugging Face hub, so that a mistyped folder never asks the net."""


@dataclass(frozen=True)
class Trained:
    """One entry of the list.

    Attributes:
        name: of the entry and of its folder.
        trained_on: pictures, size and number, in one line.
        licence: of the weights, which follows from that of the pictures.
        generator, parser: sha256 of the two files; no parser where the generator reads no map.
        smaller: name of the entry whose repair, enlarged, its start is; None with any other start.

    >>> str(Trained("mine-64", "drawn faces, 64x64", "MIT", "0" * 64))
    'mine-64: trained on drawn faces, 64x64; MIT'
    """

    name: str
    trained_on: str
    licence: str
    generator: str
    parser: str | None = None
    smaller: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: trained on {self.trained_on}; {self.licence}"


@dataclass(frozen=True)
class Found:
    """Weights to repair with.

    Attributes:
        generator: its file.
        parser: the parser's, or None if there is none beside it.
        about: one line on what they are.
        entry: of the list, if they come from there.

    >>> Found(Path("runs/ours/generator.safetensors"), None, "a run").generator.name
    'generator.safetensors'
    """

    generator: Path
    parser: Path | None
    about: str
    entry: Trained | None = None

    @property
    def size(self) -> int:
        """Side in pixels at which the networks work, as the record of the training says."""
        return int(read_json(self.generator.with_suffix(".json"))["config"]["preset"]["size"])


def places() -> list[Path]:
    """Folders that may hold a list, the preferred one first; new entries go to the first of them.

    >>> places()[-1].name
    'trained'
    """
    named = os.environ.get(NAMED)
    first = [Path(named)] if named else []
    return [*first, *([FOLDER] if FOLDER.is_dir() else []), user_cache_path("faceinpaint") / "trained"]


def listed(folder: Path | None = None) -> list[Trained]:
    """The entries of all lists, or of one, the preferred one first; none without a list.

    Raises:
        CheckpointError: a list is damaged.

    >>> listed(Path("a folder without a list"))
    []
    """
    return [entry for _, entry in _shelved(folder)]


def published() -> list[Trained]:
    """What :func:`download` may fetch.

    >>> all(len(entry.generator) == 64 for entry in published())
    True
    """
    return _read(PUBLISHED)


def _shelved(folder: Path | None) -> list[tuple[Path, Trained]]:
    """Entries and the folders of their lists; of two of one name, the one in the preferred folder."""
    found: dict[str, tuple[Path, Trained]] = {}
    for place in [folder] if folder else places():
        for entry in _read(place / "index.json"):
            found.setdefault(entry.name, (place, entry))
    return list(found.values())


def _read(path: Path) -> list[Trained]:
    if not path.is_file():
        return []
    entries = read_json(path).get("weights")
    needed, spare = {"name", "trained_on", "licence", "generator"}, {"parser", "smaller"}
    good = isinstance(entries, list) and all(
        isinstance(e, dict)
        and needed <= e.keys() <= needed | spare
        and all(isinstance(e[f], str) or (f in spare and e[f] is None) for f in e)
        and plain_name(e["name"])
        for e in entries
    )
    if not isinstance(entries, list) or not good:
        raise CheckpointError("the list of weights is damaged", "Restore it from the repository", path)
    return [Trained(**entry) for entry in entries]


def find(name: str | Path | None = None, parser: str | Path | None = None, folder: Path | None = None) -> Found:
    """The files of weights.

    Args:
        name: of an entry of the list; or ``generator.safetensors``, or the folder of a run that holds it; or
            ``hf:OWNER/NAME``, a repository of the Hugging Face hub, where ``huggingface_hub`` is installed; or None
            for the first entry of the list.
        parser: the parser's file or folder, where it is not the one that lies beside the generator
            (``parser.safetensors``, or the run ``../parser`` as `faceinpaint reproduce` leaves it).
        folder: of the list, if not those of :func:`places`.

    Raises:
        CheckpointError: there are none, or what is written beside a file is not what the list says of it.

    >>> find().entry in listed()
    True
    """
    named = None if parser is None else weights.trained_file(parser)
    if isinstance(name, str) and name.startswith(HUB):
        name = _from_hub(name.removeprefix(HUB))
    entries = {entry.name: (place, entry) for place, entry in _shelved(folder)}
    if name is None and not entries:
        raise CheckpointError(
            "there are no trained weights", "Fetch some: faceinpaint weights download; or name the folder of a run",
            folder or places()[-1],
        )  # fmt: skip
    found = next(iter(entries.values())) if name is None else entries.get(str(name))
    if found is not None:
        place, entry = found
        files = place / entry.name / "generator.safetensors", place / entry.name / "parser.safetensors"
        for path, sha256 in zip(files, (entry.generator, entry.parser), strict=True):
            if sha256 is not None and read_json(path.with_suffix(".json")).get("sha256") != sha256:
                remedy = "Restore them from the repository, or fetch them again"
                raise CheckpointError("these are not the weights of the list", remedy, path)
        return Found(files[0], named or (files[1] if entry.parser else None), str(entry), entry)
    path = Path(str(name))
    if not path.exists():
        known = f", or one of {', '.join(entries)}" if entries else ""
        raise CheckpointError("there are no such weights", f"Name a file or the folder of a run{known}", path)
    generator = weights.trained_file(path)
    beside = generator.with_name("parser.safetensors"), generator.parent.parent / "parser" / "generator.safetensors"
    return Found(generator, named or next((p for p in beside if p.is_file()), None), str(path))


def check(name: str, *, folder: Path | None = None) -> None:
    """Read the files of an entry whole, as :func:`find` does not.

    Raises:
        CheckpointError: one is missing, or is not the one that the list names.

    >>> check("celebahq-128")
    """
    found = find(name, folder=folder)
    entry = found.entry
    for part, sha256 in (("generator", entry and entry.generator), ("parser", entry and entry.parser)):
        path = found.generator.with_name(f"{part}.safetensors")
        if sha256 and not (path.is_file() and sha256_of(path) == sha256):
            remedy = "Restore them from the repository, or fetch them again"
            raise CheckpointError("these are not the weights of the list", remedy, path)


def larger(than: Found, folder: Path | None = None) -> Found | None:
    """Of the entries of the list, the first whose networks work at a larger size; None if there is none.

    Args:
        than: weights of the list. folder: as for :func:`find`.

    Raises:
        CheckpointError: a file is not the one that the list names.

    >>> finer = larger(find())
    >>> finer is None or finer.size > find().size
    True
    """
    others = (find(entry.name, folder=folder) for entry in listed(folder))
    return next((other for other in others if other.size > than.size), None)


def _from_hub(name: str) -> Path:
    """A repository of the Hugging Face hub, fetched into its own cache.

    Raises:
        CheckpointError: the package for it is not installed, or it cannot be fetched.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise CheckpointError(
            f"{HUB}{name} is on the Hugging Face hub, and huggingface_hub is not installed",
            "pip install huggingface_hub, or name a folder",
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=["*.safetensors", "*.json"]))
    except Exception as error:  # of many kinds, none of them ours
        raise CheckpointError(f"{HUB}{name} cannot be fetched ({error})", "Check the name and the connection") from None


def download(name: str | None = None, *, address: str | None = None, folder: Path | None = None) -> Trained:
    """Fetch weights of the repository into the user's cache, with those that they begin from; an attempt that broke
    off is gone on with.

    Args:
        name: of an entry of :func:`published`; the first by default.
        address: of the folder ``data/weights`` on a server; the repository's by default.
        folder: of the list that they join, in the place of the user's.

    Raises:
        CheckpointError: no connection, it broke, or what came is not what the list names.
        ConfigError: there is no entry of that name, or no address.
        DataError: another process is at it, or the system refuses to write.

    >>> download("nobody")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    faceinpaint.errors.ConfigError: no weights are called 'nobody'. Use one of ...
    """
    offered = {entry.name: entry for entry in published()}
    entry = offered.get(name) if name else next(iter(offered.values()), None)
    if entry is None:
        raise ConfigError(f"no weights are called {name!r}", f"Use one of {', '.join(offered)}")
    home = repository()
    if address is None and home is None:
        raise ConfigError("the package does not say where its repository is", "Name the address of its data/weights")
    address = address or f"{home}/raw/main/data/weights"
    if "://" not in address:
        raise ConfigError(f"{address} is no address", "Begin it with https://, or with file:// and a whole path")
    folder = folder or places()[-1]
    beneath = offered.get(entry.smaller or "")
    if beneath is not None and beneath not in _read(folder / "index.json"):
        download(beneath.name, address=address, folder=folder)
    with claimed(folder):
        new = folder / f".{entry.name}.fetched"
        new.mkdir(exist_ok=True)
        for part, sha256 in (("generator", entry.generator), ("parser", entry.parser)):
            for file in (f"{part}.json", f"{part}.safetensors") if sha256 else ():
                _fetch_into(f"{address}/{entry.name}/{file}", new / file)
            if sha256:
                _check(new / f"{part}.safetensors", sha256)
        others = [other for other in _read(folder / "index.json") if other.name != entry.name]
        with _swapped(new, folder / entry.name):
            write_json(folder / "index.json", {"weights": [asdict(e) for e in (*others, entry)]})
    return entry


def _fetch_into(url: str, path: Path) -> None:
    """Fetch a file under a temporary name, and keep what came where it breaks off."""
    if path.exists():
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        fetch(url, partial)
    except BROKEN as error:
        remedy = "Try again: what was fetched is kept"
        raise CheckpointError(f"{url} could not be fetched ({error})", remedy) from error
    partial.replace(path)


def _check(path: Path, sha256: str) -> None:
    """Refuse and remove fetched weights that are not those of the list, or whose record is of others."""
    beside = path.with_suffix(".json")
    if sha256_of(path) != sha256 or read_json(beside).get("sha256") != sha256:
        path.unlink()
        beside.unlink()
        raise CheckpointError(
            f"what was fetched is not the {path.name} of the list", "Try again, or use a newer version of the library"
        )


def add(
    run: str | Path, name: str, trained_on: str, licence: str, *, parser: str | Path | None = None,
    folder: Path | None = None, first: bool = False,
) -> Trained:  # fmt: skip
    """Put the weights of a run into the list, in half precision; an entry of the same name is replaced in its place.

    The smaller network that a generator begins from is left out where it is an entry of the list.

    Args:
        run: folder of the generator's run, or its file.
        name: of the entry.
        trained_on, licence: see :class:`Trained`.
        parser: as in :func:`find`; required where the generator reads a map.
        folder: of the list; by default the first of :func:`places`, never the folder of an installed package.
        first: prefer it to all others; otherwise a new entry is the last.

    Raises:
        CheckpointError: a file cannot be used.
        ConfigError: the generator reads a map and there is no parser or one of another merge, the name cannot be that
            of a folder, or it is that of weights from which others of the list begin.
        DataError: another process is at it, or the system refuses to write. Whatever it is, all is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     again = add(find().generator, "again", "as before", "as before", folder=Path(place))
    ...     again.name, [entry.name for entry in listed(Path(place))]
    ('again', ['again'])
    """
    folder = folder or places()[0]
    if not plain_name(name):
        raise ConfigError(f"{name!r} cannot be the name of a folder", "Use letters, digits and hyphens")
    found = find(run, parser)
    _, config, _ = load_generator(found.generator)
    repairer(config, found.generator)
    reads_map = config.reads_map
    if reads_map and found.parser is None:
        raise ConfigError("this generator reads a parsing map, and no parser is named", "Name its parser", run)
    sources = {"generator": found.generator}
    if reads_map and found.parser is not None:
        check_merge(load_parser(found.parser)[1], config, found.parser)
        sources["parser"] = found.parser
    if above := [other.name for other in listed(folder) if other.smaller == name]:
        raise ConfigError(f"{above[0]} begin from {name}, and not from others", "Take another name")
    with claimed(folder):
        new, entries = folder / f".{name}.new", listed(folder)  # with what another process has added meanwhile
        beneath = _entry_of(config.smaller, entries)
        at = [i for i, other in enumerate(entries) if other.name == name] or [len(entries)]
        entries = [other for other in entries if other.name != name]
        shutil.rmtree(new, ignore_errors=True)  # what a process that was killed has left
        new.mkdir(parents=True)
        try:
            sums = {p: halve(source, new / f"{p}.safetensors", bool(beneath)) for p, source in sources.items()}
            entry = Trained(name, trained_on, licence, **sums, smaller=beneath.name if beneath else None)
            load_generator(new / "generator.safetensors")  # beside the others, where it finds what it begins from
            entries.insert(0 if first else at[0], entry)
            with _swapped(new, folder / name):
                write_json(folder / "index.json", {"weights": [asdict(e) for e in entries]})
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return entry


def _entry_of(smaller: SmallerRun | None, entries: list[Trained]) -> Trained | None:
    """Which entry a smaller network is, if any."""
    if smaller is None:
        return None
    sums = smaller.generator["sha256"], smaller.parser["sha256"] if smaller.parser else None
    return next((entry for entry in entries if (entry.generator, entry.parser) == sums), None)


@contextmanager
def _swapped(new: Path, place: Path) -> Iterator[None]:
    """Put a folder in the place of another; if what is done then fails, the old one comes back."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    was_there = place.exists()
    if was_there:
        os.replace(place, old)
    try:
        os.replace(new, place)
        yield
    except BaseException:
        if place.exists():
            os.replace(place, new)
        if was_there:
            os.replace(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def halved(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in half precision; as it is if it holds whole numbers, or one above 65504, which half cannot hold.

    >>> halved(torch.tensor([1.0])).dtype, halved(torch.tensor([1e6])).dtype
    (torch.float16, torch.float32)
    """
    small = tensor.half() if tensor.is_floating_point() else tensor
    return small if bool(small.isfinite().all()) else tensor


def halve(source: Path, out: Path, without_smaller: bool = False) -> str:
    """Write weights in half precision (:func:`halved`), with their training record.

    Args:
        source, out: ``.safetensors`` files.
        without_smaller: leave out the smaller network that they begin from.

    Returns:
        the sha256 of the new file.

    Raises:
        CheckpointError: ``source`` cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     source, out = Path(place) / "run.safetensors", Path(place) / "half.safetensors"
    ...     weights.save(source, {"bias": torch.zeros(2)}, {})
    ...     len(halve(source, out)), weights.load(out)[0]["bias"].dtype
    (64, torch.float16)
    """
    tensors, about = weights.load(source)
    kept = (name for name in tensors if not (without_smaller and name.startswith(SMALLER)))
    record: dict[str, Any] = {k: v for k, v in about.items() if k != "sha256"}
    weights.save(out, {name: halved(tensors[name]) for name in kept}, record | {"stored": "float16"})
    return str(read_json(out.with_suffix(".json"))["sha256"])
