"""The fixed test pairs: which face is repaired with which hole, checked by checksums."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from faceinpaint.data import cache as caches
from faceinpaint.data.masks import BIN_NAMES, bin_of
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.errors import DataError
from faceinpaint.files import write_text


class Pair(NamedTuple):
    """One line of the test protocol: this face with this hole; ``bin`` is one of :data:`BIN_NAMES`."""

    face_id: str
    face_sha256: str
    hole_id: str
    hole_sha256: str
    fraction: float
    bin: str


def make_pairs(faces: FaceSet, holes: HoleSet, seed: int = 0) -> list[Pair]:
    """Each face once in each bin, with a hole of that bin; sorted by bin, then in the order of the faces.

    Within a bin all holes are shuffled and dealt out, and again when they are used up, so their numbers of uses
    differ by one at most. The same sets and seed give the same list.

    Raises:
        DataError: a bin has no hole.
    """
    bins = np.array([-1 if (b := bin_of(f)) is None else b for f in holes.fractions])
    empty = [name for b, name in enumerate(BIN_NAMES) if not (bins == b).any()]
    if empty:
        raise DataError(
            f"{holes.source}: no hole of fraction {', '.join(empty)} among {len(holes)}",
            "Use a hole set that covers every bin from 0.01 to 0.6",
        )
    pairs = []
    for b, name in enumerate(BIN_NAMES):
        rng = np.random.Generator(np.random.PCG64([seed, b]))
        members = np.flatnonzero(bins == b)
        rounds = -(-len(faces) // len(members))
        dealt = np.concatenate([rng.permutation(members) for _ in range(rounds)])
        for f in range(len(faces)):
            h = int(dealt[f])
            pairs.append(
                Pair(
                    faces.ids[f],
                    faces.sha256[f],
                    holes.ids[h],
                    holes.sha256[h],
                    float(holes.fractions[h]),
                    name,
                )
            )
    return pairs


def write_pairs(path: str | Path, pairs: Sequence[Pair]) -> None:
    """Write a pair list as CSV with one header line; to a temporary name first, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Pair._fields)
    # repr keeps every digit: a rounded fraction could fall on the other side of a bin's edge.
    writer.writerows([*pair[:4], repr(float(pair.fraction)), pair.bin] for pair in pairs)
    write_text(path, text.getvalue())


def read_pairs(path: str | Path) -> list[Pair]:
    """Read and check a pair list written by :func:`write_pairs`.

    Raises:
        DataError: naming the line: wrong header, an id that is empty or not a plain name, a checksum that is not
            one, a fraction that is no number or not of the stated bin, a face twice in one bin, or one id with two
            checksums; or the file is missing or has no pairs.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark at the beginning
        rows = list(csv.reader(text.splitlines(), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the pair list cannot be read ({error})", "Check the file", path) from None
    header = ",".join(Pair._fields)
    if not rows or tuple(rows[0]) != Pair._fields:
        raise DataError(f"line 1: the header is not {header}", "Make the list with write_pairs", path)
    pairs: list[Pair] = []
    seen: set[tuple[str, str]] = set()
    checksums: dict[tuple[str, str], str] = {}
    for line, row in enumerate(rows[1:], 2):
        try:
            pair = _parse_pair(row)
        except ValueError as error:
            raise DataError(f"line {line}: {error}", "Mend the line or make the list again", path) from None
        if (pair.face_id, pair.bin) in seen:
            raise DataError(
                f"line {line}: face {pair.face_id!r} is in bin {pair.bin} twice", "Remove one of them", path
            )
        seen.add((pair.face_id, pair.bin))
        for key, value in ((("face", pair[0]), pair[1]), (("hole", pair[2]), pair[3])):
            if checksums.setdefault(key, value) != value:
                raise DataError(f"line {line}: {key[0]} {key[1]!r} has two checksums", "Make the list again", path)
        pairs.append(pair)
    if not pairs:
        raise DataError("the pair list is empty", "Make the list again", path)
    return pairs


def _parse_pair(row: list[str]) -> Pair:
    """One row of the CSV, checked by itself.

    Raises:
        ValueError: what is wrong with it.
    """
    if len(row) != len(Pair._fields):
        raise ValueError(f"{len(row)} fields, not {len(Pair._fields)}")
    face_id, face_sha256, hole_id, hole_sha256, fraction, name = row
    for value in (face_id, hole_id):
        if not caches.plain_name(value):
            raise ValueError(f"{value!r} is not a plain id")
    for value in (face_sha256, hole_sha256):
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise ValueError(f"{value!r} is not a SHA-256 checksum")
    if name not in BIN_NAMES:
        raise ValueError(f"unknown bin {name!r}")
    try:
        share = float(fraction)
    except ValueError:
        raise ValueError(f"fraction {fraction!r} is not a number") from None
    if bin_of(share) != BIN_NAMES.index(name):
        raise ValueError(f"fraction {fraction} is not in bin {name}")
    return Pair(face_id, face_sha256, hole_id, hole_sha256, share, name)


def check_pairs(pairs: Sequence[Pair], faces: FaceSet, holes: HoleSet) -> list[tuple[int, int]]:
    """Make sure that faces and holes are the very ones the pair list was made from.

    Returns:
        Index of the face and index of the hole of each pair.

    Raises:
        DataError: an id is missing, a checksum differs, or a hole has another fraction at this size.
    """
    remedy = "Use the data the list was made from, or make a new list"
    face_at = {name: i for i, name in enumerate(faces.ids)}
    hole_at = {name: i for i, name in enumerate(holes.ids)}
    found = []
    for pair in pairs:
        f, h = face_at.get(pair.face_id), hole_at.get(pair.hole_id)
        if f is None:
            raise DataError(f"face {pair.face_id!r} of the pair list is not in {faces.source}", remedy)
        if h is None:
            raise DataError(f"hole {pair.hole_id!r} of the pair list is not in {holes.source}", remedy)
        if faces.sha256[f] != pair.face_sha256:
            raise DataError(f"face {pair.face_id!r} of {faces.source} is another picture", remedy)
        if holes.sha256[h] != pair.hole_sha256:
            raise DataError(f"hole {pair.hole_id!r} of {holes.source} is another hole", remedy)
        if holes.fractions[h] != pair.fraction:
            raise DataError(
                f"hole {pair.hole_id!r} covers {holes.fractions[h]:.4f} at {holes.size} pixels, the list says "
                f"{pair.fraction:.4f}",
                "Use the size that the list was made for, or make a new list",
            )
        found.append((f, h))
    return found


@dataclass(frozen=True)
class TestSet:
    """The fixed pairs with the pictures that they name.

    Attributes:
        faces, holes: sets that hold every face and hole of the pairs.
        pairs: see :func:`faceinpaint.data.pairs.make_pairs`.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name

    faces: FaceSet
    holes: HoleSet
    pairs: Sequence[Pair]

    def about(self) -> dict[str, Any]:
        """What a results record says of the test."""
        return {
            "faces": self.faces.source,
            "holes": self.holes.source,
            "pairs": len(self.pairs),
            "pairs_sha256": self.digest(),
        }

    def digest(self) -> str:
        """sha256 over ids and checksums of all pairs: equal for equal tests."""
        lines = (f"{p.face_id},{p.face_sha256},{p.hole_id},{p.hole_sha256}\n" for p in self.pairs)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
