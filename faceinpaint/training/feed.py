"""Batches for training: which faces and holes a step sees follows from the seed and the number of the step alone."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F

from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.facial_style import Reference
from faceinpaint.options import Data
from faceinpaint.pixels import from_bytes
from faceinpaint.regions import CLASSES, MIRRORED, region_table
from faceinpaint.training.objectives import Batch


class Feed:
    """Batches of faces, holes and parsing maps, from arrays in memory (or memory-mapped) to the device.

    On a GPU the whole set moves there once, as bytes, or stays on the host, where each batch is then gathered into
    page-locked memory, from which the GPU fetches it without keeping the program waiting. Faces are mirrored at random,
    left and right swapped in their maps, holes mirrored and turned. Every face comes once an epoch; holes are drawn at
    random.

    Args:
        faces, holes: the training set, both of the same size in pixels.
        batch: images a step over all processes.
        seed: of order and mirroring.
        merge: how classes become regions.
        device: where batches are made.
        rank, world: this process and their number; each takes its share of every batch.
        data: where the set lies, see :class:`faceinpaint.presets.Preset`.
        large_holes: share of the holes that is drawn from the larger half.

    Raises:
        ConfigError: the batch cannot be shared out evenly.
        DataError: sizes differ, or there is nothing to train on.
    """

    def __init__(
        self, faces: FaceSet, holes: HoleSet, batch: int, seed: int = 0, merge: str = "regions",
        device: torch.device | str = "cpu", rank: int = 0, world: int = 1, data: Data = "device",
        large_holes: float = 0.0,
    ) -> None:  # fmt: skip
        if not len(faces) or not len(holes):
            raise DataError("there is nothing to train on", "Give at least one face and one hole")
        if faces.images.shape[1:3] != holes.holes.shape[1:]:
            raise DataError(
                f"faces are {faces.size} pixels wide, holes {holes.holes.shape[2]}", "Prepare both at the same size"
            )
        if int(faces.labels.max()) >= len(CLASSES):
            raise DataError(
                f"a parsing map holds class {int(faces.labels.max())}, known are 0 to {len(CLASSES) - 1}",
                "Give maps with one class id per pixel",
            )
        if batch % world:
            raise ConfigError(
                f"a batch of {batch} cannot be shared by {world} processes", "Choose a multiple of their number"
            )
        with warnings.catch_warnings():
            # A memory-mapped set is read-only, of which torch warns; nothing writes to it here.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self.arrays = tuple(torch.from_numpy(np.asarray(a)) for a in (faces.images, faces.labels, holes.holes))
        self.device = torch.device(device)
        if data == "device":
            self.arrays = tuple(a.to(self.device) for a in self.arrays)
        table = region_table(merge)
        self.tables = torch.from_numpy(np.stack([table, table[list(MIRRORED)]])).to(self.device)  # as it is, mirrored
        self.batch, self.seed, self.share = batch, seed, slice(rank * batch // world, (rank + 1) * batch // world)
        self.large_holes = large_holes
        self.large = np.argsort(holes.fractions, kind="stable")[len(holes) // 2 :]
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def plan(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of a step's whole batch: face indices, hole indices, eight-valued turns, and uniform numbers."""
        count = len(self.arrays[0])
        faces = np.empty(self.batch, np.int64)
        for i, position in enumerate(range(step * self.batch, (step + 1) * self.batch)):
            epoch, place = divmod(position, count)
            if epoch != self._order[0]:
                self._order = (epoch, np.random.default_rng([self.seed, 1, epoch]).permutation(count))
            faces[i] = self._order[1][place]
        rng = np.random.default_rng([self.seed, 2, step])
        holes = rng.integers(len(self.arrays[2]), size=self.batch)
        turns, chance = rng.integers(16, size=self.batch), rng.random(self.batch, dtype=np.float32)
        larger = rng.random(self.batch) < self.large_holes  # last: without it, the rest is drawn as it always was
        return faces, np.where(larger, self.large[rng.integers(len(self.large), size=self.batch)], holes), turns, chance

    def __call__(self, step: int) -> Batch:
        """This process's share of the batch of a step."""
        faces_at, holes_at, turns, chance = (torch.from_numpy(a[self.share]) for a in self.plan(step))
        picked = zip(self.arrays, (faces_at, faces_at, holes_at), strict=True)
        image, label, hole = (self._sent(array[at.to(array.device)]) for array, at in picked)
        turns, chance = turns.to(self.device), chance.to(self.device)
        mirror = (turns & 1).bool()
        image = image.permute(0, 3, 1, 2)
        image = torch.where(mirror[:, None, None, None], image.flip(-1), image)
        label = torch.where(mirror[:, None, None], label.flip(-1), label)
        hole = hole[:, None]
        for bit, turned in ((2, lambda h: h.flip(-1)), (4, lambda h: h.flip(-2)), (8, lambda h: h.transpose(-1, -2))):
            hole = torch.where((turns & bit).bool()[:, None, None, None], turned(hole), hole)
        return Batch(
            from_bytes(image),
            hole.to(torch.float32),
            self.tables[mirror.long()[:, None, None], label.long()],
            chance[:, None, None, None],
        )

    def _sent(self, picked: torch.Tensor) -> torch.Tensor:
        """A part of a batch on the device that computes."""
        if self.device.type == "cuda" and picked.device.type == "cpu":
            picked = picked.pin_memory()
        return picked.to(self.device, non_blocking=True)


SHIFTED, TINTED = 0.125, 0.15
"""How far another view of a face is moved, in sides of the picture, and how much brighter or darker each of its colours
is; at most."""


def another_view(batch: Batch) -> Reference:
    """The undamaged faces as references, so as to learn without an album what another photograph tells.

    Each is mirrored, moved (its edge goes on where nothing was) and tinted, and half of them, by ``batch.chance``, lend
    nothing. Nothing can be copied from such a picture: of a reference only styles are used, and a style has no place.

    Returns:
        images and maps, and as the share 1 for a face that has a reference, else 0, (B, 1).

    >>> batch = Batch(torch.zeros(1, 3, 8, 8), None, torch.ones(1, 8, 8).byte(), torch.full((1, 1, 1, 1), 0.25))
    >>> another_view(batch).share
    tensor([[1.]])
    """
    chance = batch.chance.flatten()
    # Further numbers follow from that one, so that they too are the same whatever the number of devices.
    dice = [torch.Generator().manual_seed(seed) for seed in (chance * 2**24).long().tolist()]
    moved, colour = torch.stack([torch.rand(5, generator=one) for one in dice]).to(chance.device).split((2, 3), dim=1)
    turn = torch.tensor([[-1.0, 0.0], [0.0, 1.0]], device=chance.device).expand(len(chance), 2, 2)
    where = torch.cat([turn, 2 * SHIFTED * (2 * moved[..., None] - 1)], dim=2)
    grid = F.affine_grid(where, list(batch.image.shape), align_corners=False)

    def seen(planes: torch.Tensor) -> torch.Tensor:
        return F.grid_sample(planes, grid, mode="nearest", padding_mode="border", align_corners=False)

    light = 1 + TINTED * (2 * colour[:, :, None, None] - 1)
    image = ((seen(batch.image) + 1) * light - 1).clamp(-1, 1)
    regions = seen(batch.regions[:, None].float())[:, 0].to(batch.regions.dtype)
    return Reference(image, regions, (chance < 0.5).float()[:, None])
