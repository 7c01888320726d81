"""Sets of faces and of holes: the two sample types of the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from faceinpaint.errors import DataError


@dataclass(frozen=True)
class FaceSet:
    """Faces with their parsing maps: the one sample type of the library.

    Attributes:
        images: (N, S, S, 3) uint8 RGB; may be memory-mapped read-only, so copy before changing anything.
        labels: (N, S, S) uint8, official CelebAMask-HQ class ids 0..18 (:data:`faceinpaint.regions.CLASSES`).
        ids: one name per face, unique within the set, a plain file stem.
        sha256: one hex digest per face: of the picture file (real) or of the pixels (drawn).
        source: one line for results records, such as ``"drawn faces (toy), seed 0"``.

    Raises:
        DataError: the shapes and counts do not belong together.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        n, size = len(self.ids), self.images.shape[1] if self.images.ndim == 4 else -1
        for name, array in (("pictures", self.images), ("maps", self.labels)):
            if array.dtype != np.uint8:
                raise DataError(f"{name} are {array.dtype}, not uint8", "Give whole numbers 0 to 255")
        if (
            self.images.shape != (n, size, size, 3)
            or self.labels.shape != (n, size, size)
            or len(self.sha256) != n
            or len(set(self.ids)) != n
        ):
            raise DataError(
                f"pictures {self.images.shape}, maps {self.labels.shape}, {len(set(self.ids))} different ids and "
                f"{len(self.sha256)} checksums do not belong together",
                "Give N square pictures, N maps of the same size, N different ids and N checksums",
            )

    @property
    def size(self) -> int:
        """Side S of the pictures in pixels."""
        return self.images.shape[1]

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, which: Sequence[str] | Sequence[int] | np.ndarray) -> FaceSet:
        """The faces with these ids or indices, in this order; a run of neighbours stays memory-mapped.

        Raises:
            DataError: an id or index is not in the set.
        """
        rows, chosen = pick(which, self.ids, f"face of {self.source}")
        return FaceSet(
            self.images[rows],
            self.labels[rows],
            tuple(self.ids[i] for i in chosen),
            tuple(self.sha256[i] for i in chosen),
            self.source,
        )


def hole_fraction(hole: np.ndarray) -> float:
    """Share of hole pixels, 0 to 1, of one hole mask (H, W) with 1 = hole."""
    return float(np.count_nonzero(hole)) / hole.size


@dataclass(frozen=True)
class HoleSet:
    """Holes to train or test on.

    Attributes:
        holes: (M, S, S) uint8, 1 = hole; may be memory-mapped read-only.
        ids: one name per hole, unique within the set.
        sha256: one hex digest per hole: of the file (file sets) or of the pixels (drawn).
        source: one line for results records, such as ``"drawn holes, train, seed 0"``.
        fractions: (M,) float64 share of hole pixels at size S; computed if not given.
        notes: remarks made while the files were prepared, such as a polarity that looks inverted.

    Raises:
        DataError: the counts do not belong together.
    """

    holes: np.ndarray
    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    source: str
    fractions: np.ndarray = field(default=None)  # type: ignore[arg-type]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.fractions is None:
            # Hole by hole: a memory-mapped set may be larger than memory.
            object.__setattr__(self, "fractions", np.array([hole_fraction(h) for h in self.holes]))
        m, size = len(self.ids), self.holes.shape[-1]
        if self.holes.dtype != np.uint8:
            raise DataError(f"holes are {self.holes.dtype}, not uint8", "Give 0 for known, 1 for hole")
        if (
            self.holes.shape != (m, size, size)
            or len(self.sha256) != m
            or len(set(self.ids)) != m
            or self.fractions.shape != (m,)
        ):
            raise DataError(
                f"holes {self.holes.shape}, {len(set(self.ids))} different ids, {len(self.sha256)} checksums and "
                f"{len(self.fractions)} fractions do not belong together",
                "Give M square holes, M different ids and M checksums",
            )

    @property
    def size(self) -> int:
        """Side S of the holes in pixels."""
        return self.holes.shape[-1]

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, which: Sequence[str] | Sequence[int] | np.ndarray) -> HoleSet:
        """The holes with these ids or indices, in this order.

        Raises:
            DataError: an id or index is not in the set.
        """
        rows, chosen = pick(which, self.ids, f"hole of {self.source}")
        return HoleSet(
            self.holes[rows],
            tuple(self.ids[i] for i in chosen),
            tuple(self.sha256[i] for i in chosen),
            self.source,
            self.fractions[rows],
            self.notes,
        )


def pick(
    which: Sequence[str] | Sequence[int] | np.ndarray, ids: Sequence[str], what: str
) -> tuple[slice | np.ndarray, list[int]]:
    """Ids or indices -> (rows to index an array with, the same as a list of ints).

    The rows are a slice where that is possible, so that a memory-mapped array is not read into memory.

    Raises:
        DataError: an id or index does not exist; ``what`` says of which set.
    """
    place = {name: i for i, name in enumerate(ids)}
    chosen = [place.get(w, -1) if isinstance(w, str) else int(w) for w in which]
    for wanted, i in zip(which, chosen, strict=True):
        if not 0 <= i < len(ids):
            raise DataError(f"{wanted!r} is no {what} ({len(ids)} in all)", "Use the set that the list was made from")
    if chosen and chosen == list(range(chosen[0], chosen[0] + len(chosen))):
        return slice(chosen[0], chosen[0] + len(chosen)), chosen
    return np.array(chosen, dtype=np.int64), chosen
