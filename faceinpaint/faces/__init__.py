"""Where faces come from: one sample type, one way to read a picture, one adapter for each source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faceinpaint.errors import DataError


@dataclass(frozen=True)
class FaceSet:
    """Faces with their parsing maps: the one sample type of the library.

    Attributes:
        images: (N, S, S, 3) uint8 RGB; may be memory-mapped, so index before changing anything.
        labels: (N, S, S) uint8, official CelebAMask-HQ class ids 0..18 (:data:`faceinpaint.regions.CLASSES`).
        ids: one name per face, unique within the set, a plain file stem.
        sha256: one hex digest per face: of the picture file (real) or of the pixels (drawn).
        source: one line for results records, such as ``"drawn faces (toy), seed 0"``.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        n, size = len(self.ids), self.images.shape[1]
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
        place = {name: i for i, name in enumerate(self.ids)}
        chosen = [place.get(w, -1) if isinstance(w, str) else int(w) for w in which]
        for wanted, i in zip(which, chosen, strict=True):
            if not 0 <= i < len(self):
                raise DataError(
                    f"face {wanted!r} is not among the {len(self)} faces of {self.source}",
                    "Use the same faces as the list was made from",
                )
        run = bool(chosen) and chosen == list(range(chosen[0], chosen[0] + len(chosen)))
        rows = slice(chosen[0], chosen[0] + len(chosen)) if run else np.array(chosen, dtype=np.int64)
        return FaceSet(
            self.images[rows],
            self.labels[rows],
            tuple(self.ids[i] for i in chosen),
            tuple(self.sha256[i] for i in chosen),
            self.source,
        )
