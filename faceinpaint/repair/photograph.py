"""Repair a photograph of your own: what a user calls.

A photograph has no parsing map and is not framed as the generator has seen faces. So: find the face
(:mod:`faceinpaint.repair.framing`), bring it to the generator's size, predict the map from the damaged face
(:mod:`faceinpaint.models.parser`), repair, bring the repair back to full size, hide the seam
(:mod:`faceinpaint.repair.membrane`), and change hole pixels only.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.facial_style import FacialStyle, Reference, lent_share, region_sizes
from faceinpaint.models.parser import parse, parse_surely
from faceinpaint.models.start import Started, within
from faceinpaint.pixels import from_bytes, to_bytes
from faceinpaint.regions import merge_classes, n_regions, to_official
from faceinpaint.repair import trained
from faceinpaint.repair.colour import Line, line_of
from faceinpaint.repair.doubt import FEW, certainty_of, doubt, unsure
from faceinpaint.repair.finder import SURE, look_closely
from faceinpaint.repair.framing import (
    Box,
    Frame,
    around_hole,
    check_box,
    check_frame,
    nowhere,
    owners,
    settled,
    sights_near,
)  # fmt: skip
from faceinpaint.repair.membrane import membrane
from faceinpaint.repair.repaired import Face, Repair
from faceinpaint.training.run import Config, check_merge, load_generator, load_parser, repairer

SEEN_AT = 128
"""Side in pixels at which is counted how much of a face is left."""

AGAIN, APART = 160, 0.1
"""Side in pixels at which a repaired face is looked at again, and how far from the middle of its frame the face may be
seen then, in sides."""

OUTSIDE = ("refuse", "classical")
"""What becomes of hole pixels that lie in no face."""

Boxes = Sequence[Sequence[float]] | str | None
"""Faces by hand, (x, y, width, height) or with the tilt each; "whole" for a photograph that is framed already; None to
find them."""


@dataclass(frozen=True)
class Likeness:
    """What another photograph says of a person: the face as the networks see it, S the largest of them, undamaged.

    Attributes:
        frame: where it lies in that photograph.
        image: (1, 3, S, S) in [-1, 1]. regions: its parsing map (1, S, S) uint8, predicted.

    >>> Likeness(Frame.whole(64, 64), torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64).byte()).frame.side
    64
    """

    frame: Frame
    image: Tensor
    regions: Tensor

    def at(self, size: int) -> Likeness:
        """The same as networks of this size see it, which is no larger."""
        if size == self.image.shape[-1]:
            return self
        image = nn.functional.interpolate(self.image, (size, size), mode="area")
        regions = nn.functional.interpolate(self.regions[None].float(), (size, size))[0].to(torch.uint8)
        return Likeness(self.frame, image, regions)


class Guess(NamedTuple):
    """What the parser makes of a frame, P its size.

    Attributes:
        regions: region ids (P, P) uint8.
        hole: (P, P) bool.
        certainty: how certain it is of the hole, 0 at most; see :func:`faceinpaint.repair.doubt.certainty_of`.

    >>> Guess(np.zeros((64, 64), np.uint8), np.zeros((64, 64), bool), -0.1).certainty
    -0.1
    """

    regions: np.ndarray
    hole: np.ndarray
    certainty: float


class Repairer:
    """Generator and parser, loaded once to repair many photographs.

    Args:
        generator: a trained generator, with its configuration.
        parser: a trained parser with its own, or None.
        about: one line on the weights.
        device: where the networks run.
        checksum: of the weights.

    >>> from faceinpaint.data.masks import drawn_holes
    >>> from faceinpaint.data.toy import draw
    >>> (photo, parsing), hole = draw(4, 128), drawn_holes(1, 128).holes[0]
    >>> done = Repairer.load().repair(photo, hole, parsing, boxes="whole")
    >>> bool((done.pixels == photo)[hole == 0].all()), len(done.faces)
    (True, 1)
    """

    def __init__(
        self, generator: nn.Module, config: Config, parser: tuple[nn.Module, Config] | None = None, about: str = "",
        device: str | torch.device = "cpu", checksum: str = "",
    ) -> None:  # fmt: skip
        self.about, self.device, self.config, self.checksum = about, device, config, checksum
        self._larger: trained.Found | None = None
        self.generator = generator.to(device)
        repairer(config, about)
        self.reads_map = config.reads_map
        self.parser, self.parser_size = None, config.preset.size
        if parser is not None and self.reads_map:
            network, how = parser
            check_merge(how, config)
            self.parser, self.parser_size = network.to(device), how.preset.size

    @classmethod
    def load(
        cls, weights: str | Path | None = None, parser: str | Path | None = None, device: str | torch.device = "cpu"
    ) -> Repairer:
        """Weights of the repository, or those of a name, file or run (:func:`faceinpaint.repair.trained.find`).

        Where none are named, a face that is nearer in size to the next larger weights of the list is repaired with
        those: they are loaded when the first such face comes.

        Raises:
            CheckpointError: the weights cannot be used, or there are none.
            ConfigError: generator and parser do not fit together, or the weights are a parser's.
        """
        found = trained.find(weights, parser)
        generator, config, record = load_generator(found.generator)
        repairer(config, found.generator)
        checksum, guesser = str(record["sha256"]), None
        if found.parser:
            network, how, record = load_parser(found.parser)
            checksum, guesser = f"{checksum} {record['sha256']}", (network, how)
        tool = cls(generator, config, guesser, found.about, device, checksum)
        larger = trained.larger(found) if weights is None and parser is None else None
        if larger and larger.entry:
            tool._larger = larger
            tool.about += f"; faces above {tool._limit:.0f} pixels by {larger.entry}"
            tool.checksum = f"{checksum} {larger.entry.generator} {larger.entry.parser}"
        return tool

    @property
    def _limit(self) -> float:
        """Side in pixels that lies as far from one size as from the other, as a factor."""
        return float(np.sqrt(self.config.preset.size * self._larger.size)) if self._larger else np.inf

    @functools.cached_property
    def _finer(self) -> Repairer:
        assert self._larger is not None
        return Repairer.load(self._larger.generator, self._larger.parser, self.device)

    def fitting(self, frame: Frame) -> Repairer:
        """What repairs the face in a frame: itself, or the larger weights if their size is nearer to the face's.

        Small faces are left to the small networks: enlarged, they are more blurred than any that the others know.

        >>> Repairer.load("celebahq-128").fitting(Frame.whole(512, 512)).config.preset.size
        128
        """
        return self if frame.side <= self._limit else self._finer

    def repair(
        self, photo: np.ndarray, hole: np.ndarray, parsing: np.ndarray | None = None, *, boxes: Boxes = None,
        outside: str = "refuse", like: np.ndarray | Likeness | None = None,
    ) -> Repair:  # fmt: skip
        """Fill the hole of a photograph. Arguments and errors as for :func:`inpaint`; of several photographs of a
        person, the :meth:`likeness` is best read once."""
        photo = np.asarray(photo)
        pixels, hole = _checked(photo, np.asarray(hole))
        height, width = hole.shape
        if isinstance(like, np.ndarray):
            like = self.likeness(like)
        if parsing is not None:
            parsing = _checked_map(parsing, hole)
        elif self.reads_map and self.parser is None:
            raise DataError(
                "this generator looks at a parsing map, and there is neither a map nor a parser to predict it",
                "Give a parsing map of the face, or name a parser",
            )
        if outside not in OUTSIDE:
            raise ConfigError(f"unknown answer {outside!r} to holes outside faces", f"Use one of {', '.join(OUTSIDE)}")
        if not hole.any():
            return Repair(photo.copy(), (), 0)

        unit = 257 if pixels.dtype == np.uint16 else 1
        colours, line = _colours(pixels, hole)
        rows, columns = np.nonzero(hole)
        places, doubts = self._places(colours, hole, boxes)
        owner = owners([frame for frame, _ in places], rows, columns)
        left = int((owner < 0).sum())
        if left and (outside == "refuse" or hole.all()):  # a smooth fill has nothing to go by, either
            raise nowhere(places, doubts, left / len(owner), hole.mean())
        if like is not None:
            _check_one_person(np.unique(owner[owner >= 0]).size)
        of_pixel = np.full(hole.shape, -1, np.int32)
        of_pixel[rows, columns] = owner
        filled, faces = colours.copy(), []  # each face sees the holes of all: a repair is nothing known
        for i in np.unique(owner[owner >= 0]):
            frame, box = places[i]
            faces.append(self.fitting(frame)._face(colours, hole, parsing, frame, box, like))
            where = frame.place(height, width)
            own = of_pixel[where] == i
            filled[where][own] = _seamless(faces[-1], colours[where], hole[where], where)[own]
        if left:
            filled = membrane(filled, of_pixel + ~hole >= 0)
        filled *= unit
        if line is not None:
            filled[hole] = line.held(filled[hole], np.iinfo(pixels.dtype).max)
        notes = () if boxes is None and parsing is None else _remarks(faces, self.config.merge)
        return Repair(_with_colours(pixels, hole, filled).reshape(photo.shape), tuple(faces), left, notes)

    def _places(
        self, colours: np.ndarray, hole: np.ndarray, boxes: Boxes
    ) -> tuple[list[tuple[Frame, Box | None]], list[str]]:
        """The frames of the faces, with their boxes, and why others were not taken."""
        if boxes is not None:
            return _places(hole, boxes), []
        good, doubts = self.find(colours, hole)
        return [(Frame.around(box), box) for box in good], doubts

    def find(self, colours: np.ndarray, hole: np.ndarray) -> tuple[list[Box], list[str]]:
        """Faces that the detector sees and the parser does not doubt, and why others were not taken.

        If there is none of them, a face is looked for where the hole is: so much of it may be missing that it is not
        seen.

        Args:
            colours: (H, W, 3) float32 0..255, zero in the hole.
            hole: (H, W) bool.

        >>> Repairer.load().find(np.full((64, 64, 3), 128, np.float32), np.eye(64, dtype=bool))
        ([], [])
        """
        good, doubts = [], []
        for sight in sights_near(np.rint(colours).astype(np.uint8), hole):
            box, why = self._judged(colours, hole, Box.of(sight), sight.score)
            if why is None:
                good.append(box)
            else:
                doubts.append(f"{box} might be one, but {why}")
        if not good and self._has_opinion and hole.any() and not hole.all():
            box, why = self._judged(colours, hole, around_hole(hole), 0.0)
            good = [box] if why is None else []
        return good, doubts

    @property
    def _has_opinion(self) -> bool:
        """Whether there is a parser that knows all regions."""
        return self.parser is not None and self.config.merge == "regions"

    def _judged(self, colours: np.ndarray, hole: np.ndarray, box: Box, score: float) -> tuple[Box, str | None]:
        """The box of a face that was seen, settled if the detector is not sure, and why it is doubted, or None.

        A score of 0 is that of a box at which nothing was seen.
        """
        if not self._has_opinion:
            frame = Frame.around(box)
            mask = _shrunk(frame.cut(colours), frame.cut((~hole).astype(np.float32)), SEEN_AT)[1]
            return box, unsure(score, mask)
        seen = self.guess(colours, hole, Frame.around(box))
        if score >= SURE or seen.hole.mean() < FEW:
            return box, unsure(score, seen.hole) or doubt(seen.regions, seen.hole)
        places, why = [self.settle(colours, hole, box)] + [(box, seen)] * (score > 0), None
        for box, seen in places:
            why = doubt(seen.regions, seen.hole)
            why = why or unsure(score, seen.hole, self.look_again(colours, hole, box), seen.certainty)
            if why is None:
                break
        return box, why

    def settle(self, colours: np.ndarray, hole: np.ndarray, box: Box) -> tuple[Box, Guess]:
        """A box moved to where the parser is most certain of what it guesses in the hole, and that guess.

        Of a face of which much is missing the detector sees roughly where it lies.

        Args:
            colours: (H, W, 3) float32 0..255, zero in the hole.
            hole: (H, W) bool.
            box: of the face, as it was seen.

        Raises:
            ConfigError: there is no parser.
        """

        @functools.cache
        def guess(box: Box) -> Guess:
            return self.guess(colours, hole, Frame.around(box))

        box = settled(box, lambda other: guess(other).certainty)
        return box, guess(box)

    def look_again(self, colours: np.ndarray, hole: np.ndarray, box: Box) -> float:
        """How likely the detector takes what is repaired at a box for a face that lies there; 0 if it sees none.

        Arguments as for :meth:`settle`."""
        frame = Frame.around(box)
        wide = Frame(frame.x, frame.y, 2 * frame.side, frame.tilt)  # the frame and as much again around it, upright
        small, mask = _shrunk(wide.cut(colours), wide.cut((~hole).astype(np.float32)), 2 * AGAIN)
        middle = Box.framed(AGAIN, AGAIN, AGAIN)
        done = self.repair(np.rint(small).astype(np.uint8), mask, boxes=[middle], outside="classical").pixels
        near = [s.score for s in look_closely(done) if np.hypot(*np.subtract(s.frame[:2], AGAIN)) < APART * AGAIN]
        return max(near, default=0.0)

    def guess(self, colours: np.ndarray, hole: np.ndarray, frame: Frame) -> Guess:
        """What the parser makes of a frame.

        Args:
            colours: (H, W, 3) float32 0..255, zero in the hole.
            hole: (H, W) bool.
            frame: what of the photograph it looks at.

        Raises:
            ConfigError: there is no parser.
        """
        if self.parser is None:
            raise ConfigError("these weights have no parser", "Name one")
        small, mask = _shrunk(frame.cut(colours), frame.cut((~hole).astype(np.float32)), self.parser_size)
        regions, likely = (found[0].cpu().numpy() for found in parse_surely(self.parser, *self._tensors(small, mask)))
        return Guess(regions, mask, certainty_of(likely, mask))

    def likeness(self, photo: np.ndarray, *, boxes: Boxes = None) -> Likeness:
        """Read another photograph of a person: its face is found, framed and parsed as that of any photograph.

        Args:
            photo: as for :func:`inpaint`, undamaged.
            boxes: its face by hand, or "whole".

        Raises:
            DataError: the array is not that of a photograph, or there is no face on it, or more than one.
            ConfigError: the generator takes no styles, or there is no parser.

        >>> from faceinpaint.data.toy import draw
        >>> Repairer.load().likeness(draw(4, 128)[0], boxes="whole").regions.shape
        torch.Size([1, 256, 256])
        """
        if not isinstance(within(self.generator), FacialStyle) or self.parser is None:
            without = "reads no parsing map" if not self.reads_map else "has no parser beside it"
            raise ConfigError(
                f"this {self.config.method} {without}, and takes no styles from another photograph",
                "Load weights of facial-style with their parser, or leave the other photograph out",
            )
        pixels, hole = _checked(photo, np.zeros(photo.shape[:2], bool))
        colours, _ = _colours(pixels, hole)
        places, doubts = self._places(colours, hole, boxes)
        if len(places) != 1:
            problem = "no face was found" + (f" ({'; '.join(doubts)})" if doubts else "")
            if places:
                problem = f"{len(places)} faces were found ({'; '.join(str(box) for _, box in places)})"
            raise DataError(problem, "Give a photograph that shows the face of the same person, and no other")
        size = self._larger.size if self._larger else self.config.preset.size
        small, mask, regions = self._framed(colours, hole, None, places[0][0], size)
        return Likeness(places[0][0], self._tensors(small, mask)[0], regions)

    def _framed(
        self, colours: np.ndarray, hole: np.ndarray, parsing: np.ndarray | None, frame: Frame, size: int
    ) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """What a frame shows at a generator's size: pixels and hole as :func:`_shrunk` gives them, and the map."""
        seen, known = frame.cut(colours), frame.cut((~hole).astype(np.float32))
        regions = torch.zeros(1, size, size, dtype=torch.uint8, device=self.device)
        if self.config.merge == "none":
            regions += 1
        elif parsing is not None:
            cut = Image.fromarray(frame.cut(parsing, nearest=True)).resize((size, size), Image.Resampling.NEAREST)
            regions = torch.from_numpy(merge_classes(np.asarray(cut), self.config.merge))[None].to(self.device)
        elif self.parser is not None:
            found = parse(self.parser, *self._tensors(*_shrunk(seen, known, self.parser_size)))
            regions = nn.functional.interpolate(found[None].float(), (size, size), mode="nearest")[0].to(torch.uint8)
        return *_shrunk(seen, known, size), regions

    @torch.no_grad()
    def _face(
        self, colours: np.ndarray, hole: np.ndarray, parsing: np.ndarray | None, frame: Frame, box: Box | None,
        like: Likeness | None,
    ) -> Face:  # fmt: skip
        """Repair what a frame shows, at the generator's size. ``colours`` (H, W, 3) float32 0..255, zero in holes."""
        size = self.config.preset.size
        small, small_hole, regions = self._framed(colours, hole, parsing, frame, size)
        image, mask = self._tensors(small, small_hole)
        reference: tuple[Reference, ...] = ()
        if like is not None:
            like, n = like.at(size), n_regions(self.config.merge)
            share = lent_share(regions, mask, n) * (region_sizes(like.regions, n) > 0)
            reference = (Reference(like.image, like.regions, share),)
        out = self.generator(image, mask, regions, *reference).image[0].float()
        if not out.isfinite().all():
            raise DataError("the generator gives values that are not finite", "Use other weights")
        output = to_bytes(out).permute(1, 2, 0).cpu().numpy()
        return Face(
            frame, box, np.rint(small).astype(np.uint8), small_hole.astype(np.uint8),
            regions[0].cpu().numpy() if self.reads_map else None, output,
            reference[0].share[0].cpu().numpy() if reference else None,
        )  # fmt: skip

    @torch.no_grad()
    def styles(self, face: Face) -> Tensor:
        """Style matrix of a repaired face, (256, n + 1): a column for each region, the last for the whole face.

        Raises:
            ConfigError: the generator is not the patent's and has no styles.
        """
        fit = self if len(face.image) == self.config.preset.size else self.fitting(face.frame)
        network = within(fit.generator)
        if not isinstance(network, FacialStyle) or face.regions is None:
            raise ConfigError(f"a {self.config.method} has no style matrix", "Load weights of facial-style")
        image, hole = self._tensors(face.image.astype(np.float32), face.hole != 0)
        seen = fit.generator.fill(image, hole) if isinstance(fit.generator, Started) else image * (1 - hole)
        return network.styles(seen, hole, torch.from_numpy(face.regions)[None].to(self.device))[0].float().cpu()

    def _tensors(self, small: np.ndarray, hole: np.ndarray) -> tuple[Tensor, Tensor]:
        image = from_bytes(torch.from_numpy(small).permute(2, 0, 1)[None])
        return image.to(self.device), torch.from_numpy(hole.astype(np.float32))[None, None].to(self.device)


def inpaint(
    photo: np.ndarray, hole: np.ndarray, parsing: np.ndarray | None = None,
    weights: str | Path | Repairer | None = None, *, parser: str | Path | None = None, boxes: Boxes = None,
    outside: str = "refuse", like: np.ndarray | Likeness | None = None, device: str | torch.device = "cpu",
) -> np.ndarray:  # fmt: skip
    """Fill the hole of a photograph with one face or several.

    Each face is found, brought to the size that the generator knows, repaired, and the hole of the photograph filled
    from the repair, at full size and without a seam. Known pixels are returned as they are, bit for bit.

    Args:
        photo: upright, (H, W) grey, or (H, W, C) with C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; uint8 or uint16.
            What lies under the hole is not looked at.
        hole: (H, W), nonzero = hole.
        parsing: (H, W) official class ids 0..18; predicted from the damaged face if not given.
        weights: a name of the list in ``data/weights``, ``generator.safetensors``, the folder of its run, or a
            :class:`Repairer`, which is loaded once for many photographs; None for the first of the list.
        parser: the parser's weights, if they do not lie beside the generator's.
        boxes: faces by hand, in pixels: (x, y, width, height) from the brows to below the mouth and from temple to
            temple, or with the tilt in degrees as a fifth number; "whole" if the photograph is framed as CelebA-HQ
            frames a face; None to find them.
        outside: what to do with hole pixels that lie in no face: "refuse", or fill them by "classical" means, the
            smoothest continuation of what lies around them.
        like: another photograph of the same person, with no other face on it. Of regions of which little is left
            (:func:`faceinpaint.models.facial_style.lent_share`) it lends the style.
        device: where the networks run.

    Returns:
        of the shape and type of ``photo``.

    Raises:
        DataError: an array is not of the stated shape, type or range; no face is found where the hole is; a parsing
            map is needed, and there is neither one nor a parser; or ``like`` shows no face or several, or the hole
            lies in no face or in several, and there is a ``like``.
        CheckpointError: the weights cannot be used, or there are none.
        ConfigError: boxes, ``outside`` or the weights are not what is stated, or take no styles from ``like``.

    >>> from faceinpaint.data.masks import drawn_holes
    >>> from faceinpaint.data.toy import draw
    >>> (photo, parsing), hole = draw(4, 128), drawn_holes(1, 128).holes[0]
    >>> inpaint(photo, hole, parsing, boxes="whole").shape
    (128, 128, 3)
    """
    tool = weights if isinstance(weights, Repairer) else Repairer.load(weights, parser, device)
    return tool.repair(photo, hole, parsing, boxes=boxes, outside=outside, like=like).pixels


# --- the steps ------------------------------------------------------------------------------------------------------


def _checked(photo: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, C) and (H, W) bool."""
    pixels = photo[..., None] if photo.ndim == 2 else photo
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or photo.dtype not in (np.uint8, np.uint16):
        raise DataError(f"the photograph is {photo.shape} {photo.dtype}", "Give (H, W[, 1 to 4]), uint8 or uint16")
    if not photo.size:
        raise DataError("the photograph has no pixels", "Give one that has")
    if hole.shape != pixels.shape[:2]:
        raise DataError(f"the hole mask is {hole.shape}, the photograph {pixels.shape[:2]}", "Give both the same size")
    if hole.dtype.kind not in "biuf" or not np.isfinite(hole).all():
        raise DataError("the hole mask holds values that are not numbers", "Give 0 for known, 1 for hole")
    return pixels, hole != 0


def _colours(pixels: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, Line | None]:
    """(H, W, 3) float32 0..255, zero in the hole, and the line that the known colours keep to, None if none does.

    Nothing sees under the hole, nor what is hidden under full transparency: it is nobody's colour.
    """
    colours = np.repeat(pixels[..., :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]
    known = ~hole if pixels.shape[2] in (1, 3) else ~hole & (pixels[..., -1] > 0)
    line = line_of(colours[known], np.iinfo(pixels.dtype).max) if known.any() else None
    colours = np.where(known[..., None], colours, 0).astype(np.float32) / (257 if pixels.dtype == np.uint16 else 1)
    if not (known | hole).all():
        colours = np.where((known | hole)[..., None], colours, membrane(colours, known))
    return colours, line


def _check_one_person(count: int) -> None:
    """Refuse another photograph of a person where it is not one face that is repaired."""
    if count == 0:
        raise DataError(
            "no face is repaired, only what lies outside, and another photograph lends nothing to that",
            "Leave the other photograph out (--like), or give the box of the face (--box x,y,width,height[,tilt])",
        )
    if count > 1:
        raise DataError(
            f"the hole lies in {count} faces, and the other photograph shows one person",
            "Repair one face after the other, each with a hole of its own",
        )


def _checked_map(parsing: np.ndarray, hole: np.ndarray) -> np.ndarray:
    if parsing.shape != hole.shape:
        raise DataError(f"the parsing map is {parsing.shape}, the photograph {hole.shape}", "Give both the same size")
    if parsing.dtype.kind not in "iu":
        raise DataError(f"the parsing map is {parsing.dtype}", "Give whole numbers, one class id per pixel")
    return to_official(parsing, "celebamask-hq")  # refuses what is no class id


def _places(hole: np.ndarray, boxes: Sequence[Sequence[float]] | str) -> list[tuple[Frame, Box | None]]:
    """The frames of faces given by hand, with their boxes."""
    if isinstance(boxes, str):
        if boxes != "whole":
            raise ConfigError(f"unknown box {boxes!r}", 'Give x,y,width,height in pixels, or "whole"')
        return [(Frame.whole(*hole.shape), None)]
    faces = [check_box(tuple(np.atleast_1d(box))) for box in boxes]
    for box in faces:
        check_frame(box, *hole.shape)
    return [(Frame.around(box), box) for box in faces]


def _remarks(faces: Sequence[Face], merge: str) -> tuple[str, ...]:
    """What makes faces doubtful of which the box or the map was given by hand."""
    maps = [(face.box, face.regions, face.hole) for face in faces if face.box and merge == "regions"]
    doubts = [(box, doubt(regions, hole)) for box, regions, hole in maps if regions is not None]
    return tuple(f"{box} may be no face, or its map not this one: {why}" for box, why in doubts if why)


def _shrunk(seen: np.ndarray, known: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What the generator sees: (size, size, 3) float32 0..255, zero in the hole, and the hole (size, size) bool.

    A small pixel is the mean of what is known of it, and a hole where nothing is: so the hole keeps its extent, and
    what is known at its edge is seen.

    Args:
        seen: (side, side, 3) float32 0..255, zero in the hole.
        known: (side, side) float32, 1 where known, between 0 and 1 where a known pixel was mixed with an unknown one.
    """
    share = _resized(known, size, Image.Resampling.BOX)
    hole, whole = share <= 1e-6, share >= 1 - 1e-6
    planes = []
    for plane in (*np.moveaxis(seen, 2, 0), known):  # sharper where all is known
        mean, fine = (_resized(plane, size, how) for how in (Image.Resampling.BOX, Image.Resampling.LANCZOS))
        planes.append(np.where(whole, fine, mean))
    colours = np.stack(planes[:3], axis=2) / np.where(hole, 1, planes[3])[..., None]
    return np.where(hole[..., None], 0, colours).clip(0, 255).astype(np.float32), hole


def _resized(plane: np.ndarray, size: int, method: Image.Resampling) -> np.ndarray:
    """One plane (H, W) of float32 -> (size, size), antialiased."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), method))


def _seamless(face: Face, colours: np.ndarray, hole: np.ndarray, where: tuple[slice, slice]) -> np.ndarray:
    """The generator's output as it lies in the photograph, moved so that it meets the known pixels at the hole's edge.

    Args:
        colours: (h, w, 3) float32 0..255, the photograph in the rows and columns ``where``.
        hole: (h, w) bool there.
    """
    full = np.stack([_resized(face.output[..., c], face.frame.side, Image.Resampling.BICUBIC) for c in range(3)], 2)
    fill = face.frame.put_back(full, where)
    rows, columns = np.ogrid[where]
    step = membrane(colours - fill, ~hole & (face.frame.distance(rows, columns) <= 1))
    return (fill + step).clip(0, 255)


def _with_colours(pixels: np.ndarray, hole: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The photograph (H, W, C) with colours (H, W, 3) in its hole, in its own number of channels and type."""
    planes = colours if pixels.shape[2] > 2 else colours @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if pixels.shape[2] in (2, 4):
        planes = np.concatenate([planes, membrane(pixels[..., -1:], ~hole)], axis=2)
    return np.where(hole[..., None], np.rint(planes).clip(0, np.iinfo(pixels.dtype).max), pixels).astype(pixels.dtype)
