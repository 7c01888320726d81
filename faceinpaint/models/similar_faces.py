"""Similar faces as reference: what the k most similar faces of a set look like is shown to the network.

The kind of CN109961407B, which the patent names among its prior art: a damaged face is repaired with the help of faces
that resemble what is left of it. No code of it is public, so how faces are compared and what paints are chosen here:

1. A frozen network (SqueezeNet, up to its fourth fire module) looks at the damaged face and at all faces of the set.
2. Each place of its features counts by how much of it is known; the distance is the mean of the squared differences.
3. The k nearest are averaged, each weighted by one over its distance. Faces are aligned as the data set has them, by
   the eyes; nothing is warped.
4. The mean face is three more channels of the network that paints, which is that of
   :mod:`faceinpaint.models.structure_first`.

The set is a part of the weights: whoever is given them has the faces. A face is never its own reference, neither in
training, where it stands in the set, nor in a test: one whose known pixels are those of the damaged face is left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models import Output, check_halvings
from faceinpaint.models.structure_first import EncoderDecoder
from faceinpaint.pixels import from_bytes

SIDE = 64
"""Faces of the set are kept at this size at most: their mean is smooth anyway."""

TAP = "fire4"
"""Features that are compared: 7x7 places of 256 channels at 64 pixels."""

THUMB = 16
"""Side of the pictures by which a face is known to be the damaged one itself."""


class SimilarFaces(nn.Module):
    """The generator: ``generator(image, hole) -> Output``, once :meth:`remember` has given it faces.

    Args:
        width: channels of the first convolution.
        size: side of the pictures.
        references: room for faces; the first of the training set are taken.
        nearest: how many of them are averaged, k.
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output is added
            to it, without tanh.

    Raises:
        ConfigError: there is no room for one face more than are averaged.

    >>> network = SimilarFaces(width=4, size=64, references=8, nearest=2)
    >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).image.shape
    torch.Size([1, 3, 64, 64])
    """

    faces: Tensor
    held: Tensor

    def __init__(
        self, width: int = 64, *, size: int = 256, references: int = 2048, nearest: int = 5, from_start: bool = False
    ) -> None:
        from faceinpaint.backbones import SqueezeNet  # here: who repairs with another method loads no such network

        super().__init__()
        if not 1 <= nearest < references:
            raise ConfigError(f"{nearest} faces cannot be the nearest of {references}", "Use more references")
        self.nearest, self.from_start = nearest, from_start
        side = min(size, SIDE)
        self.register_buffer("faces", torch.zeros(references, 3, side, side, dtype=torch.uint8))
        self.register_buffer("held", torch.zeros(references, dtype=torch.bool))
        self.look = SqueezeNet()
        self.look.features = nn.Sequential(*list(self.look.features)[: SqueezeNet.layer_of[TAP] + 1])
        self.look.requires_grad_(False)
        self.paint = EncoderDecoder(7, 3, width)  # picture, hole, mean of the similar faces
        self._seen: tuple[Tensor, ...] = ()

    def remember(self, faces: np.ndarray, weights: str | Path = "auto") -> None:
        """Take the first faces of a training set as references, and the frozen network's weights.

        Args:
            faces: (N, S, S, 3) uint8 RGB; as many as there is room for are taken.
            weights: see :func:`faceinpaint.backbones.load_backbone`.

        Raises:
            DataError: there are not more faces than are averaged.
        """
        from faceinpaint.backbones import load_backbone

        count = min(len(self.faces), len(faces))
        if count <= self.nearest:
            raise DataError(f"{count} faces have no {self.nearest} similar ones", "Give more, or a smaller `nearest`")
        taken = torch.from_numpy(faces[:count].copy()).permute(0, 3, 1, 2)
        side = self.faces.shape[-1]
        if taken.shape[-1] != side:
            taken = F.interpolate(taken.float(), size=(side, side), mode="area").round().byte()
        self.faces[:count] = taken.to(self.faces.device)
        self.held.zero_()[:count] = True
        source = load_backbone(self.look.name, weights)
        cut = nn.Sequential(*list(source.features)[: len(self.look.features)])
        for name, tensor in cut.state_dict().items():
            self.look.features.state_dict()[name].copy_(tensor)
        self._seen = ()

    def cut(self, count: int) -> None:
        """Forget all faces but the first ones.

        Raises:
            DataError: there are not more left than are averaged.
        """
        if count <= self.nearest:
            raise DataError(f"{count} faces have no {self.nearest} similar ones", "Keep more, or a smaller `nearest`")
        self.held[count:] = False
        self._seen = ()

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Repair photographs.

        Args:
            image: photograph (B, 3, H, W) in [-1, 1], sides multiples of 4, from 32 up; what lies under the hole is
                blanked first, unless it is a start.
            hole: (B, 1, H, W), 1 = hole.
            regions: ignored; there so that every generator is called alike.

        Returns:
            :class:`~faceinpaint.models.Output` with the picture.

        Raises:
            DataError: a side is not a multiple of 4.
        """
        check_halvings(image, 2, least=64)
        shown = image if self.from_start else torch.where(hole > 0.5, 0, image)
        found = self.paint(torch.cat([shown, hole, self.similar(shown, hole)[0]], dim=1))
        return Output(shown + found if self.from_start else torch.tanh(found))

    @torch.no_grad()
    def similar(self, shown: Tensor, hole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The similar faces of damaged ones.

        Args:
            shown: photographs (B, 3, H, W) with whatever stands in the hole, which counts for little.
            hole: (B, 1, H, W), 1 = hole.

        Returns:
            their weighted mean (B, 3, H, W) in [-1, 1], grey where there is none;
            which they are, (B, k), nearest first, -1 without a set;
            their distances (B, k): mean squared difference of features of length 1, infinite for none.
        """
        features, *thumbs = self._index()
        if not len(features):
            none = torch.full((len(shown), self.nearest), torch.inf, device=shown.device)
            return torch.zeros_like(shown), torch.full_like(none, -1, dtype=torch.long), none
        small = F.interpolate(shown.float(), size=self.faces.shape[-2:], mode="area")
        query = self._features(small)
        known = F.adaptive_avg_pool2d(1 - hole.float(), (query.shape[2], query.shape[3]))
        known = known / known.sum((2, 3), keepdim=True).clamp(min=1e-6)
        # sum of known * (query - reference)^2 over channels and places; both have length 1 at each place
        alike = (known * query).flatten(1) @ features.flatten(1).T
        distance = (2 - 2 * alike).clamp(min=1e-6)
        distance = torch.where(_itself(small, hole, thumbs), torch.inf, distance)
        near, which = distance.topk(self.nearest, largest=False)
        weight = torch.where(near.isinf(), 0, 1 / near)
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-6)
        mean = (weight[:, :, None, None, None] * from_bytes(self.faces[which])).sum(1)
        mean = F.interpolate(mean, size=shown.shape[-2:], mode="bilinear") if mean.shape != shown.shape else mean
        return mean.to(shown.dtype), which, near

    def _index(self) -> tuple[Tensor, ...]:
        """Features of all faces, their thumbnails, and those of their mirror images; made once for a set."""
        if not self._seen or self._seen[0].device != self.faces.device:
            parts = from_bytes(self.faces[self.held]).split(64)  # the first ones: numbers stay
            made = (self._features, _thumbs, lambda part: _thumbs(part.flip(-1)))
            self._seen = tuple(torch.cat([make(part) for part in parts]) for make in made)
        return self._seen

    def _features(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, side, side) -> features of length 1 at each place, float32."""
        with torch.autocast(pictures.device.type, enabled=False):
            found = self.look(pictures.to(self.look.mean), (TAP,))[TAP]
        return F.normalize(found.float(), dim=1)


def _thumbs(pictures: Tensor) -> Tensor:
    """(B, 3, h, w) -> thumbnails (B, 3, cells)."""
    return F.adaptive_avg_pool2d(pictures.float(), THUMB).flatten(2)


def _itself(small: Tensor, hole: Tensor, references: list[Tensor]) -> Tensor:
    """Which references are the damaged face itself, as it is or mirrored, (B, references).

    Compared by thumbnails, in cells that no hole touches. If none is whole, no face can be told from any other, and all
    are left out.
    """
    whole = F.adaptive_max_pool2d((hole > 0).float(), small.shape[-2:])
    whole = F.adaptive_max_pool2d(whole, THUMB).flatten(1) == 0
    shown = _thumbs(small)
    same = torch.zeros(len(small), len(references[0]), dtype=torch.bool, device=small.device)
    for i, cells in enumerate(whole):
        for held in references:
            off = (held[:, :, cells] - shown[i][None, :, cells]).abs().flatten(1)
            same[i] |= (off < 2 / 255).all(1)  # rounded to bytes, at sizes above 64
    return same
