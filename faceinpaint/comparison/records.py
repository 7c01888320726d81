"""Results records: what a measurement leaves on disk, typed, checked field by field when it is read.

A record is a JSON object known by its ``kind``: an "evaluation" is one row of the table (:class:`Record`), a "parser"
says how well the parser guesses (:class:`ParserRecord`), "like" what another photograph of the same person is worth
(:class:`LikeRecord`). Tables, sentences and figures are made from these alone.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from faceinpaint.errors import DataError
from faceinpaint.models.start import STARTS
from faceinpaint.training.methods import METHODS

VERSION = 1
"""Of the layout of a record."""

VIEWS = ("composited", "raw")
"""What is measured of a repair: the network's pixels inside the hole alone (the headline), or all of them."""

Map = Literal["true", "predicted"]
MAPS = (*get_args(Map), None)
"""Where the parsing maps of a row come from, in the order of the table: read off the undamaged photograph (an oracle),
guessed from the damaged one, or none."""

LOGS = "logs.json"
"""Beside results records: the thinned logs of their trainings."""


@dataclass(frozen=True)
class Metric:
    """How a metric of pictures is written.

    Attributes:
        name: in tables and sentences.
        digits: after the point, in tables.
        unit: of the number, once it is multiplied by ``factor``.
        better: 1 if more is better, -1 if less is.
        spoken: digits in a sentence.
    """

    name: str
    digits: int
    unit: str = ""
    factor: float = 1
    better: int = 1
    spoken: int = 3

    @property
    def title(self) -> str:
        """Of a column."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


METRICS = {
    "psnr": Metric("PSNR", 2, "dB", spoken=2),
    "ssim": Metric("SSIM", 4),
    "l1": Metric("L1", 3, "%", 100, -1),
    "lpips": Metric("LPIPS", 4, better=-1),
}
"""Those that tables, sentences and figures show."""


class _Json:
    """A dataclass that is written to JSON and read from it, every field checked against its type."""

    @classmethod
    def from_json(cls, content: Any, where: str = "") -> Self:
        """Read what :meth:`to_json` wrote; fields that are not known are passed over.

        Args:
            content: the object as JSON gives it.
            where: its place in the whole, for messages.

        Raises:
            ValueError: a field is missing or of another type; the message names it.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"{where or 'it'} is {_short(content)}, not an object")
        hints, given = get_type_hints(cls), {}
        for f in dataclasses.fields(cls):  # type: ignore[arg-type]
            name = f"{where}.{f.name}" if where else f.name
            if f.name in content:
                given[f.name] = _typed(content[f.name], hints[f.name], name)
            elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                raise ValueError(f"it lacks {name}")
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; fields that may be missing are left out where they hold nothing."""
        return {
            f.name: _plain(value)
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if (value := getattr(self, f.name)) is not None or f.default is dataclasses.MISSING
        }


def _plain(value: Any) -> Any:
    if isinstance(value, _Json):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: _plain(held) for name, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, list | tuple) else value


def _typed(value: Any, hint: Any, where: str) -> Any:
    """A value of JSON as the type wants it.

    Raises:
        ValueError: it is of another type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        (inner,) = (a for a in arguments if a is not type(None))
        return None if value is None else _typed(value, inner, where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {_short(value)}, not {' or '.join(map(repr, arguments))}")
        return value
    if isinstance(hint, type) and issubclass(hint, _Json):
        return hint.from_json(value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_typed(held, arguments[0], f"{where}[{i}]") for i, held in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {name: _typed(held, arguments[1], f"{where}.{name}") for name, held in value.items()}
    if hint is float and type(value) in (int, float):
        return value  # as it is, so that it is written again as it was
    if type(value) is not hint:
        raise ValueError(f"{where} is {_short(value)}, not {getattr(origin or hint, '__name__', hint)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


# --- parts of a record ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary(_Json):
    """A metric over pictures: mean, its 95% interval (None where nothing was measured), how many pictures, and how many
    beside them were repaired without any error (PSNR infinite)."""

    n: int
    perfect: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Distances(_Json):
    """Distances between the sets of repaired and of true pictures, by AlexNet's features; ``kid`` is of old records."""

    fd: float
    n: int
    kid_between_faces: float | None = None
    kid: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; of a single face there is no distance between faces, and that is written down."""
        return ({} if self.kid is not None else {"kid_between_faces": self.kid_between_faces}) | super().to_json()


@dataclass(frozen=True)
class Scores(_Json):
    """FID and KID by clean-fid, and whether the Inception file was the published one."""

    fid: float
    kid: float
    n: int
    sha256: str
    published: bool


@dataclass(frozen=True)
class Test(_Json):
    """The test: where faces and holes come from, how many pairs, and their checksum."""

    __test__: ClassVar[bool] = False  # not a test case, whatever pytest thinks of its name

    faces: str
    holes: str
    pairs: int
    pairs_sha256: str


@dataclass(frozen=True)
class Network(_Json):
    """A frozen feature network, as :meth:`faceinpaint.backbones.Backbone.record` tells of it."""

    weights: str
    network: str = ""
    sha256: str = ""
    trained: bool = True


@dataclass(frozen=True)
class Region(_Json):
    """Mean absolute error of the hole pixels of a region, in [0, 1], and their number."""

    l1: float | None
    hole_pixels: int


@dataclass(frozen=True)
class Data(_Json):
    """What was trained on."""

    faces: str
    holes: str
    face_count: int
    hole_count: int


@dataclass(frozen=True)
class Training(_Json):
    """The training record of weights, as it lies beside them.

    Attributes:
        content: all of it, as it is on disk.
        config: see :class:`faceinpaint.training.run.Config`.
        earlier: numbers of images that were asked for before, if the run was taken further.
        begin: of the weights that it began with, the same; None if they were random.
        parser: sha256, images and config of the parser that guessed the maps; None if they were the true ones.
    """

    content: Mapping[str, Any] = field(repr=False)
    config: Mapping[str, Any]
    data: Data
    images: int
    seconds: float
    device: str
    sha256: str = ""
    backbone: Network | None = None
    earlier: tuple[int, ...] = ()
    begin: Mapping[str, Any] | None = None
    parser: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        try:
            _ = self.began
        except (LookupError, TypeError) as error:
            raise ValueError(f"training.begin does not tell what it began with ({error})") from None

    @classmethod
    def from_json(cls, content: Any, where: str = "") -> Self:
        """As of every part; what a run began with was once called ``start``."""
        if isinstance(content, Mapping):
            older = {"begin": content["start"]} if content.get("start") else {}
            return super().from_json({**older, **content, "content": content}, where)
        return super().from_json(content, where)

    def to_json(self) -> dict[str, Any]:
        """As it is on disk."""
        return dict(self.content)

    @property
    def asked(self) -> dict[str, Any]:
        """What the run was asked for, as :func:`faceinpaint.training.run.differences` compares it."""
        return {part: self.content.get(part) for part in ("config", "data", "backbone")}

    @property
    def seed(self) -> int | None:
        """Of the training."""
        return self.config.get("seed")

    @property
    def start(self) -> str:
        """What the hole held before a network looked (:mod:`faceinpaint.models.start`)."""
        return str((self.config.get("preset") or {}).get("start", "blank"))  # as before there were starts

    @property
    def options(self) -> Mapping[str, Any]:
        """Of model and losses, those that differ from the default."""
        return self.config.get("options") or {}

    @property
    def began(self) -> dict[int, int]:
        """Images that the weights it began with had seen, by size, the first size first; empty if they were random."""
        before, seen = self.begin, list[tuple[int, int]]()
        while before:
            seen.insert(0, (before["config"]["preset"]["size"], before["images"]))
            before = before.get("begin") or before.get("start")
        return {size: sum(images for side, images in seen if side == size) for size, _ in seen}


Groups = Mapping[str, Mapping[str, Summary]]
"""By "all" or the name of a bin of hole fraction, then by metric."""


@dataclass(frozen=True)
class Record(_Json):
    """One row of the table, measured.

    Attributes:
        key: short unique name; the file is called so. title: in the table.
        method: of :data:`faceinpaint.training.methods.METHODS`.
        map: one of :data:`MAPS`. merge: how classes become regions.
        training: of the weights; None for fills that learn nothing. parser: of the parser's.
        images: by view. faces: mean of each face by metric, in the order of the ids; None in old records.
        sets: by view, then by group. inception: by view.
        networks: the frozen ones of LPIPS and of the distances.
    """

    key: str
    title: str
    method: str
    map: Map | None
    preset: str
    size: int
    training: Training | None
    test: Test
    images: Mapping[str, Groups]
    sets: Mapping[str, Mapping[str, Distances]]
    inception: Mapping[str, Scores] | None
    networks: Mapping[str, Network | None]
    date: str
    commit: str | None
    parameters: int | None
    flops: int | None
    merge: str = "regions"
    parser: Training | None = None
    faces: Mapping[str, tuple[float | None, ...]] | None = None
    regions: Mapping[str, Region] = field(default_factory=dict)
    seconds: float = 0.0
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["evaluation"] = "evaluation"
    version: int = VERSION

    @classmethod
    def from_json(cls, content: Any, where: str = "") -> Self:
        """As of every part; the version may not be missing."""
        if isinstance(content, Mapping) and "version" not in content:
            raise ValueError("it lacks version")
        return super().from_json(content, where)

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError(f"it is a record of layout {self.version}")
        if self.method not in METHODS:
            raise ValueError(f"its method {self.method!r} is unknown")
        if self.start not in (None, *STARTS):
            raise ValueError(f"training.config.preset.start is {self.start!r}")
        for name, part in (("images", self.images), ("sets", self.sets)):
            for view in VIEWS:
                if "all" not in part.get(view, {}):
                    raise ValueError(f"it lacks {name}.{view}.all")
        for view in VIEWS:
            for metric in ("psnr", "ssim", "l1"):
                if metric not in self.images[view]["all"]:
                    raise ValueError(f"it lacks images.{view}.all.{metric}")
        if not self.networks.get("distance"):
            raise ValueError("it lacks networks.distance")

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return super().to_json() | {"parser": None if self.parser is None else self.parser.to_json()}

    @property
    def whole(self) -> Mapping[str, Summary]:
        """Metrics of composited output over all pairs."""
        return self.images["composited"]["all"]

    @property
    def published(self) -> bool:
        """Whether what was measured with an Inception file was measured with the published one."""
        return all(found.published for found in (self.inception or {}).values())

    @property
    def start(self) -> str | None:
        """What the hole held before the network looked; None for fills that learn nothing."""
        return self.training.start if self.training else None

    @property
    def made_at(self) -> int:
        """Side of the pictures that were repaired; less than ``size`` where repairs were enlarged."""
        at = self.training.config.get("preset", {}).get("size") if self.training else None
        return int(at or self.size)

    @property
    def map_told(self) -> str:
        """Where the parsing maps came from, as tables say it."""
        if self.map == "predicted" and self.training and self.training.parser:
            return "guessed, as in training"
        return {"predicted": "guessed"}.get(self.map or "", self.map or "-")

    @property
    def place(self) -> tuple[int, int, int, int, str, str]:
        """Where it stands in the table: what learns nothing first, then by what the hole held."""
        start = (None, *STARTS).index(self.start)
        return self.size, start, list(METHODS).index(self.method), MAPS.index(self.map), self.preset, self.key


Part = Literal["known", "hole"]


@dataclass(frozen=True)
class Overlap(_Json):
    """How far guessed and true regions are the same.

    Attributes:
        mean: of ``regions`` without "other"; None if the pictures show none.
        accuracy: share of the pixels that are right.
        regions: intersection over union of each region that is guessed or there.
    """

    mean: float | None
    accuracy: float
    regions: Mapping[str, float]


@dataclass(frozen=True)
class ParserRecord(_Json):
    """How well a parser guesses.

    Attributes:
        iou: for known pixels and for those of the hole.
    """

    training: Training
    iou: Mapping[Part, Overlap]
    test: Test
    parameters: int
    seconds: float
    device: str
    date: str
    versions: Mapping[str, str]
    commit: str | None
    kind: Literal["parser"] = "parser"
    version: int = VERSION
    key: str = "parser"


@dataclass(frozen=True)
class Inference(_Json):
    """What one repair by one generator costs: an entry of the record of ``make bench``.

    Attributes:
        flops: counted, two for a multiplication and addition. ms: measured, of one photograph.
        options: of the generator, those that are not its default.
    """

    method: str
    width: int
    size: int
    parameters: int
    flops: int
    ms: float
    options: Mapping[str, Any] = field(default_factory=dict)


REFERENCES = ("stranger", "mirrored")
"""Whose undamaged picture lends styles: another test face's, or that of the face itself, mirrored."""


@dataclass(frozen=True)
class Lender(_Json):
    """Weights that were measured with references.

    Attributes:
        regions: by name, by "all" or the name of a bin of hole fraction, by measure ("colour", the distance of mean
            colours in [-1, 1] RGB, or "lpips"): "none" without a reference, and for each of :data:`REFERENCES` the
            change from that. Of pairs that are lent the style of the region, and of its lost pixels alone.
        whole: psnr (in the hole) and lpips of all pairs without a reference.
    """

    training: Training
    regions: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Summary]]]]
    whole: Mapping[str, Summary]


@dataclass(frozen=True)
class LikeRecord(_Json):
    """What another photograph of the same person is worth, as ``tools/like.py`` measures it.

    Attributes:
        weights: "shipped", and "trained with references" if there are such. parser: that guessed all maps.
        little, much: shares of a region known at which its style is lent wholly, and not at all.
    """

    weights: Mapping[str, Lender]
    parser: Training
    faces: str
    holes: str
    pairs: int
    size: int
    little: float
    much: float
    seconds: float
    device: str
    date: str
    versions: Mapping[str, str]
    commit: str | None
    kind: Literal["like"] = "like"
    version: int = VERSION


R = TypeVar("R", Record, ParserRecord)


# --- reading --------------------------------------------------------------------------------------------------------


def content_of(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"it is not JSON ({error})", "Evaluate again, or remove the file", file) from None


def kind_of(content: Any) -> str | None:
    """Which kind of record it is; None if it is none."""
    kind = content.get("kind") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None


def read_record(file: Path) -> Record:
    """One row of the table.

    Raises:
        DataError: the file is no JSON or no such record, or it is damaged; the field is named.
    """
    return _read(file, Record)


def read_parsers(place: str | Path) -> dict[Path, ParserRecord]:
    """Records of parsers in a folder (searched through) or a file, by their files, in the order of these.

    Raises:
        DataError: one is damaged; the field is named.
    """
    place = Path(place)
    files = sorted(place.rglob("*.json")) if place.is_dir() else [place] if place.exists() else []
    return {file: _read(file, ParserRecord) for file in files if kind_of(content_of(file)) == "parser"}


def _read(file: Path, kind: type[R]) -> R:
    try:
        return kind.from_json(content_of(file))
    except ValueError as error:
        raise DataError(
            f"the record is damaged or incomplete: {error}", "Evaluate again, or remove the file", file
        ) from None


def read_records(places: Sequence[str | Path], needed: bool = True) -> list[Record]:
    """Results records of files and folders (searched through), in the order of the table; other kinds are passed over.

    Raises:
        DataError: a place does not exist, a record is damaged (the field is named) or of another layout, or none is
            found although one is ``needed``.
    """
    files: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            files += sorted(place.rglob("*.json"))
        elif place.exists():
            files.append(place)
        else:
            raise DataError("there is no such file or folder", "Name a results record or a folder of them", place)
    # Configurations and weights lie in the same folders.
    records = [_read(file, Record) for file in files if kind_of(content_of(file)) == "evaluation"]
    if needed and not records:
        raise DataError("no results record is there", "Run `faceinpaint evaluate` first", places[0] if places else None)
    return sorted(records, key=lambda record: record.place)


def read_logs(places: Iterable[str | Path]) -> dict[str, list[dict[str, float]]]:
    """Thinned logs by training, from every ``logs.json`` in folders of records; empty where there is none.

    Raises:
        DataError: one is damaged.
    """
    logs: dict[str, list[dict[str, float]]] = {}
    for file in [f for place in places if Path(place).is_dir() for f in sorted(Path(place).rglob(LOGS))]:
        try:
            for name, rows in json.loads(file.read_text(encoding="utf-8"))["logs"].items():
                logs[name] = [{key: float(value) for key, value in row.items()} for row in rows]
        except (ValueError, OSError, RecursionError, LookupError, TypeError, AttributeError) as error:
            problem = f"it cannot be read ({type(error).__name__}: {error})"
            raise DataError(problem, "Reproduce again, or remove the file", file) from None
    return logs
