"""Trained weights that come with the repository: which there are, on what they were trained, whether they are whole.

``data/weights/index.json`` lists them in the order of preference; each is a folder with ``generator.safetensors``,
``parser.safetensors`` and the JSON files beside them. They hold half precision, which halves the files; networks
compute in single precision as ever.
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

from faceinpaint import weights
from faceinpaint.data.cache import plain_name
from faceinpaint.errors import CheckpointError, ConfigError
from faceinpaint.files import read_json, write_json
from faceinpaint.training.run import check_merge, load_generator, load_parser, repairer

FOLDER = Path(__file__).resolve().parents[2] / "data" / "weights"
"""Where the repository keeps them; a copy of the library installed without the repository has none."""


@dataclass(frozen=True)
class Trained:
    """One entry of the list.

    Attributes:
        name: of the entry and of its folder.
        trained_on: pictures, size and number, in one line.
        licence: of the weights, which follows from that of the pictures.
        generator, parser: sha256 of the two files; no parser where the generator reads no map.
    """

    name: str
    trained_on: str
    licence: str
    generator: str
    parser: str | None = None

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
    """

    generator: Path
    parser: Path | None
    about: str
    entry: Trained | None = None


def listed(folder: Path | None = None) -> list[Trained]:
    """The entries of the list, the preferred one first; none without a list.

    Raises:
        CheckpointError: the list is damaged.
    """
    path = (folder or FOLDER) / "index.json"
    if not path.is_file():
        return []
    entries = read_json(path).get("weights")
    fields = {"name", "trained_on", "licence", "generator", "parser"}
    good = isinstance(entries, list) and all(
        isinstance(e, dict)
        and e.keys() == fields
        and all(isinstance(e[f], str) or (f == "parser" and e[f] is None) for f in fields)
        and plain_name(e["name"])
        for e in entries
    )
    if not isinstance(entries, list) or not good:
        raise CheckpointError("the list of weights is damaged", "Restore it from the repository", path)
    return [Trained(**entry) for entry in entries]


def find(name: str | Path | None = None, parser: str | Path | None = None, folder: Path | None = None) -> Found:
    """The files of weights.

    Args:
        name: of an entry of the list; or ``generator.safetensors``, or the folder of a run that holds it; or None for
            the first entry of the list.
        parser: the parser's file or folder, where it is not the one that lies beside the generator
            (``parser.safetensors``, or the run ``../parser`` as `faceinpaint reproduce` leaves it).
        folder: of the list, if not the repository's.

    Raises:
        CheckpointError: there are none, or a file is not the one that the list names.
    """
    folder = folder or FOLDER
    named = None if parser is None else weights.trained_file(parser)
    entries = {entry.name: entry for entry in listed(folder)}
    if name is None and not entries:
        raise CheckpointError(
            "no trained weights come with this copy of the library",
            "Name the folder of a run, or install from a checkout of the repository: pip install -e .",
            folder,
        )
    entry = next(iter(entries.values())) if name is None else entries.get(str(name))
    if entry is not None:
        files = folder / entry.name / "generator.safetensors", folder / entry.name / "parser.safetensors"
        for path, sha256 in zip(files, (entry.generator, entry.parser), strict=True):
            if sha256 is not None and read_json(path.with_suffix(".json")).get("sha256") != sha256:
                raise CheckpointError("these are not the weights of the list", "Restore them from the repository", path)
        return Found(files[0], named or (files[1] if entry.parser else None), str(entry), entry)
    path = Path(str(name))
    if not path.exists():
        known = f", or one of {', '.join(entries)}" if entries else ""
        raise CheckpointError("there are no such weights", f"Name a file or the folder of a run{known}", path)
    generator = weights.trained_file(path)
    beside = generator.with_name("parser.safetensors"), generator.parent.parent / "parser" / "generator.safetensors"
    return Found(generator, named or next((p for p in beside if p.is_file()), None), str(path))


def add(
    run: str | Path, name: str, trained_on: str, licence: str, *, parser: str | Path | None = None,
    folder: Path | None = None, first: bool = False,
) -> Trained:  # fmt: skip
    """Put the weights of a run into the list, in half precision; an entry of the same name is replaced in its place.

    Args:
        run: folder of the generator's run, or its file.
        name: of the entry.
        trained_on, licence: see :class:`Trained`.
        parser: as in :func:`find`; required where the generator reads a map.
        folder: of the list, if not the repository's.
        first: prefer it to all others; otherwise a new entry is the last.

    Raises:
        CheckpointError: a file cannot be used.
        ConfigError: the generator reads a map and there is no parser or one of another merge, or the name cannot be
            that of a folder. Then the list and its weights are as they were.
    """
    folder = folder or FOLDER
    if not plain_name(name):
        raise ConfigError(f"{name!r} cannot be the name of a folder", "Use letters, digits and hyphens")
    found = find(run, parser, folder)
    _, config, _ = load_generator(found.generator)
    reads_map = repairer(config, found.generator).uses_map and config.merge != "none"
    if reads_map and found.parser is None:
        raise ConfigError("this generator reads a parsing map, and no parser is named", "Name its parser", run)
    sources = {"generator": found.generator}
    if reads_map and found.parser is not None:
        check_merge(load_parser(found.parser)[1], config, found.parser)
        sources["parser"] = found.parser
    entries = listed(folder)
    places = [i for i, other in enumerate(entries) if other.name == name]
    entries = [other for other in entries if other.name != name]
    new = folder / f".{name}.new"
    shutil.rmtree(new, ignore_errors=True)  # what a process that was killed has left
    new.mkdir(parents=True)
    try:
        sums = {part: halve(source, new / f"{part}.safetensors") for part, source in sources.items()}
        entry = Trained(name, trained_on, licence, **sums)
        entries.insert(0 if first else places[0] if places else len(entries), entry)
        with _swapped(new, folder / name):
            write_json(folder / "index.json", {"weights": [asdict(e) for e in entries]})
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return entry


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
    """A tensor in half precision; as it is if it holds whole numbers, or one above 65504, which half cannot hold."""
    small = tensor.half() if tensor.is_floating_point() else tensor
    return small if bool(small.isfinite().all()) else tensor


def halve(source: Path, out: Path) -> str:
    """Write weights in half precision (:func:`halved`), with their training record.

    Returns:
        the sha256 of the new file.

    Raises:
        CheckpointError: ``source`` cannot be read.
    """
    tensors, about = weights.load(source)
    record: dict[str, Any] = {k: v for k, v in about.items() if k != "sha256"}
    weights.save(out, {name: halved(tensor) for name, tensor in tensors.items()}, record | {"stored": "float16"})
    return str(read_json(out.with_suffix(".json"))["sha256"])
