"""What results records say, in words: sentences whose numbers and directions are computed, never typed.

A sentence says *ahead*, *behind* or *level* as the records have it, so that the book reads right whatever came out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from faceinpaint.comparison.records import (
    METRICS,
    REFERENCES,
    Inference,
    Lender,
    LikeRecord,
    Record,
    Summary,
    Training,
    content_of,
    kind_of,
    read_records,
)  # fmt: skip
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.metrics import bootstrap_interval

ORACLE = ("facial-style", "facial-style-predicted", "facial-style-none")
"""The three rows of one method with three maps: the true one, one guessed from the damaged face, none."""

ORACLE_STARTED = ("facial-style-membrane", "facial-style-membrane-guessed", "facial-style-membrane-none")
"""The same of the method that begins from the membrane; its guessed maps are guessed in training, too."""

PLAIN = "plain-unet"
"""A network of the method's cost without facial styles, trained by the same recipe."""

PRINTED_ORDER = ("context-encoder", "contextual-attention", "gated-conv", "facial-style")
"""Rows of the patent's Table 1, from the lowest PSNR to the highest."""


@dataclass(frozen=True)
class Group:
    """Records of one folder, measured on one test.

    Attributes:
        name: of the folder; of the one above if the folder is called ``records``.
        records: in the order of the table.
    """

    name: str
    records: tuple[Record, ...]

    @property
    def drawn(self) -> bool:
        """Whether the test faces are drawn by the library."""
        return "drawn faces" in self.records[0].test.faces

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return self.records[0].size

    @property
    def preset(self) -> str:
        """At which the last rows were made: fills stand first, and learn at none."""
        return self.records[-1].preset

    @property
    def title(self) -> str:
        """Such as "photographs, 64 x 64, preset cpu"."""
        kind = "drawn faces" if self.drawn else "photographs"
        return f"{kind}, {self.size} x {self.size}, preset {self.preset}"

    @property
    def by_key(self) -> dict[str, Record]:
        """Records by their key."""
        return {record.key: record for record in self.records}

    @property
    def ours(self) -> tuple[str, str, str]:
        """Keys of the method with three maps: those from the membrane where all are there, else those as printed."""
        return ORACLE_STARTED if self.by_key.keys() >= set(ORACLE_STARTED) else ORACLE

    @property
    def mixed(self) -> bool:
        """Whether the three rows are those as printed while the method also has a row from a start."""
        return self.ours == ORACLE and any(r.method == "facial-style" and r.start != "blank" for r in self.records)

    @property
    def tells_oracle(self) -> bool:
        """Whether all three rows are there."""
        return self.by_key.keys() >= set(self.ours)

    @property
    def trained(self) -> list[Training]:
        """What the records say of each training, each training once."""
        found = {r.training.sha256: r.training for r in self.records if r.training}
        return list(found.values())

    @property
    def faces(self) -> int:
        """How many test faces were measured, as far as a record tells; each stands in several pairs."""
        return max((len(v) for r in self.records for v in (r.faces or {}).values()), default=0)

    @property
    def is_result(self) -> bool:
        """Whether more may be read from it than that everything runs: photographs, and not the smallest preset."""
        return not self.drawn and self.preset != "smoke"


def groups(results: str | Path, keys: Iterable[str] | None = None, need: Iterable[str] = ()) -> list[Group]:
    """Records below a folder, by folder and test; what is a result first, then large before small, long before short.

    Args:
        results: searched with all folders below it. Files of other kinds are passed over.
        keys: which rows belong to a group; all if nothing is said.
        need: rows without which a group is left out.

    Raises:
        DataError: a record is damaged.
    """
    wanted, needed = None if keys is None else set(keys), set(need)
    found: dict[tuple[str, int, str], list[Record]] = {}
    top = Path(results)
    for folder in sorted({path.parent for path in top.rglob("*.json")}):
        # What is no JSON is an error, and not a folder that is missing in the book.
        files = [f for f in sorted(folder.glob("*.json")) if kind_of(content_of(f)) == "evaluation"]
        name = folder.parent.name if folder.name == "records" else folder.name
        for record in read_records(files) if files else ():
            if wanted is None or record.key in wanted:
                place = name, record.size, record.test.pairs_sha256
                found.setdefault(place, []).append(record)
    made = [Group(name, tuple(records)) for (name, *_), records in found.items()]
    whole = [group for group in made if needed <= group.by_key.keys()]

    def order(group: Group) -> tuple[Any, ...]:
        pairs, length = group.records[0].test.pairs, max((t.images for t in group.trained), default=0)
        return not group.is_result, group.drawn, -group.size, -pairs, -length, group.name

    return sorted(whole, key=order)


def switched(results: str | Path) -> list[Group]:
    """Groups that tell what a switch changes: they have the row that it is compared with.

    Those that are no result are left out where there is one.
    """
    found = [group for group in groups(results) if group.by_key.keys() & {"default", group.ours[0]}]
    return [group for group in found if group.is_result] or found


# --- sentences ------------------------------------------------------------------------------------------------------


def score(record: Record, metric: str = "psnr", group: str = "all") -> Summary | None:
    """Mean and 95% interval of composited output, or None where it was not measured; a distance has no interval."""
    if metric == "fd":
        sets = record.sets["composited"].get(group)
        return None if sets is None else Summary(sets.n, 0, sets.fd, None, None)
    found = record.images["composited"].get(group, {}).get(metric)
    return found if found and found.mean is not None else None


def mean(record: Record, metric: str = "psnr", group: str = "all") -> float | None:
    """The mean alone."""
    found = score(record, metric, group)
    return found.mean if found else None


def said(record: Record) -> str:
    """How a sentence calls a row."""
    names = {
        "facial-style": "the patent's method with the true map",
        "facial-style-predicted": "the patent's method with a guessed map",
        "facial-style-none": "the patent's method without a map",
        "facial-style-membrane": "the method from the membrane with the true map",
        "facial-style-membrane-guessed": "the method from the membrane with guessed maps",
        "facial-style-membrane-none": "the method from the membrane without a map",
    }
    started = " from the membrane" if record.key.endswith("-membrane") else ""
    return names.get(record.key, record.title + started)


def caveat(group: Group) -> str:
    """What a reader must know before reading anything from these records."""
    images = sorted({t.images for t in group.trained})
    minutes = [t.seconds / 60 for t in group.trained]
    seen = " or ".join(f"{n:,}" for n in images) or "no"
    took = _between(min(minutes), max(minutes)) if minutes else "no time"
    if group.is_result:
        seeds = sorted({str(t.seed) for t in group.trained})
        one = "one seed, and no interval contains what another seed would change"
        varied = one if len(seeds) == 1 else f"{len(seeds)} seeds"
        return (
            f"Photographs of {group.size} x {group.size} pixels, {seen} training images a method, "
            f"{varied}. "
            "This is a small run on a CPU's budget; at full size and full length the order may be another."
            if group.preset == "cpu"
            else f"Photographs of {group.size} x {group.size} pixels, {seen} training images a method."
        )
    what = "drawn faces" if group.drawn else "photographs"
    tested = f" It is measured on {group.faces} {what}." if group.faces else ""
    return (
        f"These are runs of {took} each, on {what}: every network has seen {seen} pictures and has hardly begun to "
        f"learn.{tested} They show that everything runs. They are no result, and say nothing about which method is "
        "better."
    )


NO_COMPARISON = "The rows are not compared: a run as short as this would rank chance."
"""What every sentence that compares rows says of records that are no result."""


def _between(low: float, high: float) -> str:
    """A time in minutes."""
    first, last = (max(1, round(x)) for x in (low, high))
    return f"about {last} minute{'s' if last > 1 else ''}" if first == last else f"{first} to {last} minutes"


def apart(one: Record, other: Record, metric: str = "psnr") -> str:
    """How a row stands to another: "1.20 dB ahead of", "0.31 dB behind" or "level with", and how sure that is."""
    a, b = mean(one, metric), mean(other, metric)
    if a is None or b is None:
        return "not measured against"
    told = METRICS[metric]
    difference = told.better * (a - b)
    if round(abs(difference), told.spoken) == 0:
        return "level with"
    how = "ahead of" if difference > 0 else "behind"
    return f"{abs(difference):.{told.spoken}f} {told.unit or told.name} {how}"


def difference(one: Record, other: Record, metric: str = "psnr") -> tuple[float, float, float] | None:
    """Mean of ``one - other`` over the faces of their test and its 95% interval; None where it cannot be told.

    Both rows were measured on the same pairs, so what makes a face hard for both cancels. The interval says what
    other faces would change; what another seed of training would change it does not say.
    """
    if one.test.pairs_sha256 != other.test.pairs_sha256:
        return None
    a, b = ((record.faces or {}).get(metric) for record in (one, other))
    if a is None or b is None:
        return None
    apart = [x - y for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    return (sum(apart) / len(apart), *bootstrap_interval(apart)) if apart else None


def face_by_face(one: Record, other: Record, metric: str = "psnr") -> str:
    """What :func:`difference` says, in words."""
    found = difference(one, other, metric)
    if found is None:
        return f"their intervals {'do not overlap' if certain(one, other, metric) else 'overlap'}"
    digits = METRICS[metric].spoken
    low, high = (_signed(end, digits) for end in found[1:])
    sure = "" if certain(one, other, metric) else ", so chance among faces may have made it"
    return f"95% interval of the difference, face by face: {low} to {high}{sure}"


def certain(one: Record, other: Record, metric: str = "psnr") -> bool:
    """Whether chance among test faces did not make the difference of two rows.

    The interval of the difference leaves out zero; in a record without values of single faces, which cannot be
    compared so well, the intervals of the two means have nothing in common.
    """
    found = difference(one, other, metric)
    if found is not None:
        return found[1] > 0 or found[2] < 0
    a, b = score(one, metric), score(other, metric)
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low > b.high or b.low > a.high


def best(records: Iterable[Record], metric: str = "psnr", group: str = "all") -> Record | None:
    """The best of these rows, if any was measured."""
    sign = METRICS[metric].better
    measured = [(sign * found, r) for r in records if (found := mean(r, metric, group)) is not None]
    return max(measured, key=lambda pair: pair[0])[1] if measured else None


def answer(group: Group) -> str:
    """Is the method better, by how much, and what of it is the oracle's, in three sentences."""
    if not group.is_result:
        return NO_COMPARISON
    ours = group.by_key.get(group.ours[0])
    rival = best([r for r in group.records if r.method != "facial-style" and r.training])
    usable = best([r for r in group.records if r.method == "facial-style" and r.map != "true"])
    if ours is None or rival is None:
        return "The rows that answer are not among these records."
    first = (
        f"Told where eyes and hair *were*, the patent's method is {apart(ours, rival)} {said(rival)}, the best of its "
        f"rivals, on photographs of {group.size} x {group.size} pixels ({face_by_face(ours, rival)})."
    )
    if usable is None:
        return first
    second = (
        f"Nobody who repairs a photograph can know that: without it, its best row is {apart(usable, rival)} "
        f"{said(rival)} ({said(usable)}; {face_by_face(usable, rival)})."
    )
    third = oracle(group).rpartition("). ")[2]
    third = f"Of {'the method as printed' if group.mixed else 'what the map brings'}: {third}"
    return " ".join(filter(None, [first, second, third, recipe(group)]))


def recipe(group: Group) -> str:
    """How much of what is gained on the method as printed is the training's, and how much the facial styles'.

    A plain U-Net of the same cost, trained alike, tells: it has no styles. Empty where the three rows are not there.
    """
    rows = [group.by_key.get(key) for key in (ORACLE[1], PLAIN, ORACLE_STARTED[1])]
    before, bare, after = (mean(row) if row else None for row in rows)
    if not group.is_result or before is None or bare is None or after is None or after <= before:
        return ""
    whose = "training recipe's" if 2 * (bare - before) > after - before else "facial styles'"
    seen = [f"{row.training.images:,}" for row in rows if row and row.training]
    return (
        f"**Most of the gain is the {whose}:** with guessed maps the method as printed has {before:.2f} dB after "
        f"{seen[0]} training images. A plain U-Net of the same cost, without facial styles, trained by the recipe has "
        f"{bare:.2f} after {seen[1]}, and the method trained by it {after:.2f} after {seen[2]}."
    )


def against_others(group: Group) -> str:
    """The patent's method with the true map against every other method: how far, how sure, for which holes."""
    if not group.is_result:
        return NO_COMPARISON
    ours = group.by_key.get(group.ours[0])
    others = [r for r in group.records if r.method != "facial-style"]
    networks = [r for r in others if r.training]
    rival = best(networks or others)
    own, other = (mean(row) if row else None for row in (ours, rival))
    if ours is None or rival is None or own is None or other is None:
        return "The row of the patent's method is not among these records."
    sentences = [
        f"With the true map the patent's method has {own:.2f} dB; the best of its rivals, "
        f"{said(rival)}, has {other:.2f}. So it is **{apart(ours, rival)} {said(rival)}**"
        + f" ({face_by_face(ours, rival)})."
    ]
    won, of = sizes_ahead(ours, others)
    if of:
        sentences.append(f"It is ahead of all other rows in {won} of {of} sizes of holes.")
    judge = best([ours, *networks], "lpips")
    if judge is not None:
        sentences.append(f"By LPIPS the best of them all is {said(judge)}.")
    fill = best([r for r in others if not r.training])
    if fill is not None and networks:
        above = [r for r in (ours, *networks) if (best([fill, r]) or fill) is r]
        rivals, whether = sum(r is not ours for r in above), "and" if ours in above else "but not"
        sentences.append(
            f"Above {fill.title}, which learns nothing, are {rivals or 'none'} of the {len(networks)} trained rivals, "
            f"{whether} the method itself."
        )
    return " ".join(sentences)


def sizes_ahead(ours: Record, others: Iterable[Record], metric: str = "psnr") -> tuple[int, int]:
    """In how many sizes of holes a row is ahead of all the others, and in how many it was measured."""
    rows = [*others, ours]  # of two that are level the first is the best
    bins = [b for b in BIN_NAMES if score(ours, metric, b)]
    return sum(best(rows, metric, b) is ours for b in bins), len(bins)


def order(group: Group) -> str:
    """The four methods of the patent's table by PSNR, beside the order that the patent prints."""
    if not group.is_result:
        return NO_COMPARISON
    rows = {key: row for key in PRINTED_ORDER if (row := group.by_key.get(key)) is not None}
    means = {key: found for key, row in rows.items() if (found := mean(row)) is not None}
    if len(means) < len(PRINTED_ORDER):
        return "Not all four methods of the patent's table are among these records."
    ranked = sorted(PRINTED_ORDER, key=means.__getitem__)
    names, printed = (", ".join(group.by_key[key].title for key in keys) for keys in (ranked, PRINTED_ORDER))
    same = ranked == list(PRINTED_ORDER)
    return f"From the lowest PSNR to the highest the four are {names}: " + (
        "**the order that the patent prints.**" if same else f"**not the patent's order**, which is {printed}."
    )


def oracle(group: Group) -> str:
    """How much of what the parsing map gains is gained by the true one alone, and what is left without it."""
    if not group.is_result:
        return NO_COMPARISON
    if not group.tells_oracle:
        return "The three rows that tell are not among these records."
    true, guessed, none = (group.by_key[key] for key in group.ours)
    best_case, in_use, without = (mean(row) for row in (true, guessed, none))
    if best_case is None or in_use is None or without is None:
        return "The three rows that tell have no PSNR."
    gain, kept = best_case - without, in_use - without
    numbers = (
        f"{'As printed, against' if group.mixed else 'Against'} no map at all, the true map changes PSNR by "
        f"{_signed(gain)} dB ({face_by_face(true, none)}) and the guessed one by {_signed(kept)} dB "
        f"({face_by_face(guessed, none)})."
    )
    if not certain(true, none):
        verdict = "**No gain from the map can be told from chance here.**"
    elif gain < 0:
        verdict = "**Even the true map does not help here.**"
    elif kept <= 0:
        verdict = "**In PSNR, all of the gain is the oracle:** with a map that one could have, nothing of it is left."
    elif kept >= gain:
        verdict = "**In PSNR, none of the gain is the oracle:** a guessed map does as well."
    else:
        verdict = f"**In PSNR, about {1 - kept / gain:.0%} of the gain is the oracle.**"
    return f"{numbers} {verdict}"


def without_oracle(group: Group) -> str:
    """The patent's method with a guessed map against the other networks, which get no map either."""
    if not group.is_result:
        return NO_COMPARISON
    ours = group.by_key.get(group.ours[1])
    rival = best([r for r in group.records if r.method != "facial-style" and r.training])
    if ours is None or rival is None or score(ours) is None:
        return "The row with a guessed map is not among these records."
    return (
        f"With a guessed map, which is what one would have in use, it is {apart(ours, rival)} {said(rival)} "
        f"({face_by_face(ours, rival)})."
    )


def claims(entries: Sequence[Inference]) -> list[str]:
    """Whether the patent's claim of less computation than attention ([0112], [0114]) holds, a line for each width."""
    paper = {"contextual-attention": 32, "gated-conv": 48}
    widest = max(e.width for e in entries if e.method == "contextual-attention")
    others = [e for e in entries if e.method in paper and (e.width == paper[e.method] or widest < 32)]
    lines = []
    for e in (e for e in entries if e.method == "facial-style"):
        label = ", ".join([f"width {e.width}", *(f"{k} {v}" for k, v in e.options.items())])
        said = [
            f"{e.flops / o.flops:.2f} times the FLOPs and {e.ms / o.ms:.2f} times the time of {o.method}"
            for o in others
        ]
        held = all(e.flops < o.flops for o in others)
        lines.append(f"{label}: {'true' if held else 'not true'} of FLOPs ({'; '.join(said)})")
    return lines


# --- what another photograph is worth ---------------------------------------------------------------------------------

LENT = {"colour": "colour", "lpips": "LPIPS"}


def another_photograph(record: LikeRecord) -> str:
    """Whether the styles of another photograph of the same person help, in sentences and a table for each weights.

    A change counts if its 95% interval is on one side of zero. The verdict is that of
    :func:`worth_of_another_photograph`.
    """
    said = []
    for name, lender in record.weights.items():
        strangers, its_own = (
            f"improves {', '.join(better) or 'none'} and worsens {', '.join(worse) or 'none'}"
            for better, worse in (_counted(lender, reference) for reference in REFERENCES)
        )
        said.append(
            f"With {_weights(name, lender)}, {_figures(lender)} figures were compared. The mirrored picture of the "
            f"face itself {its_own}. That of a stranger {strangers}."
        )
    verdict = worth_of_another_photograph(record)
    whole = "; ".join(
        f"{_plain(lender.whole['psnr'], 2)} dB in the hole and LPIPS {_plain(lender.whole['lpips'], 4)} with "
        f"{_weights(name, lender)}"
        for name, lender in record.weights.items()
    )
    test = f"{record.pairs} test pairs at {record.size} x {record.size}. "
    lines = [f"{test}{' '.join(said)} **By these figures another photograph {verdict}.** Without a reference: {whole}."]
    for name, lender in record.weights.items():
        lines += ["", f"With {_weights(name, lender)}:", "", *_lent_table(lender)]
    return "\n".join(lines)


def worth_of_another_photograph(record: LikeRecord) -> str:
    """What such a photograph does: "helps with ...", "hardly helps" or "does not help".

    It helps if more than half of the figures become better by the face's own picture and more than by a stranger's,
    since what that does too is not the person's.
    """
    helped, hardly = [], False
    for name, lender in record.weights.items():
        strange, own = (_counted(lender, r)[0] for r in REFERENCES)
        hardly = hardly or bool(own)
        if len(own) > max(_figures(lender) / 2, len(strange)):
            helped.append(_weights(name, lender))
    return f"helps with {' and with '.join(helped)}" if helped else "hardly helps" if hardly else "does not help"


def _figures(lender: Lender) -> int:
    """How many figures of all pairs there are."""
    return sum(len(LENT) for of in lender.regions.values() if "all" in of)


def _weights(name: str, lender: Lender) -> str:
    if name == "shipped":
        return "the weights in use"
    return f"the same, trained further on {lender.training.images:,} images, half of them with a reference"


def _counted(lender: Lender, reference: str) -> tuple[list[str], list[str]]:
    """Which figures of all pairs a reference makes better, and which worse, each with its share of what it was."""
    better, worse = list[str](), list[str]()
    for region, of in lender.regions.items():
        for measure, title in LENT.items() if "all" in of else ():
            change, plain = of["all"][measure][reference], of["all"][measure]["none"]
            if side := _side(change):
                told = f"{region} {title} ({_signed(100 * (change.mean or 0) / (plain.mean or 1), 0)}%)"
                (better if side < 0 else worse).append(told)
    return better, worse


def _side(change: Summary) -> int:
    """Of zero on which the interval of a change lies: -1 or 1; 0 if it holds zero."""
    if change.low is None or change.high is None:
        return 0
    return (change.low > 0) - (change.high < 0)


def _lent_table(lender: Lender) -> list[str]:
    """Rows by region and bin; changes that count are bold."""
    titles = ["colour distance", *REFERENCES, "LPIPS", *REFERENCES]
    lines = [f"| region | hole | pairs | {' | '.join(titles)} |", "| --- | --- |" + " ---: |" * 7]
    for region, groups in lender.regions.items():
        for group, of in groups.items():
            cells = [region, group, str(of["lpips"]["none"].n)]
            for measure, digits in (("colour", 3), ("lpips", 4)):
                cells.append(_plain(of[measure]["none"], digits))
                for reference in REFERENCES:
                    change = of[measure][reference]
                    text = _signed(change.mean or 0.0, digits)
                    cells.append(f"**{text}**" if _side(change) else text)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _plain(value: Summary, digits: int) -> str:
    return "-" if value.mean is None else f"{value.mean:.{digits}f}"


# --- what one option changes ------------------------------------------------------------------------------------------

SEEDS = ("default", "default-1", "default-2")
"""Rows of the ablations that differ in their seed alone."""


def change(group: Group, key: str, metric: str = "psnr") -> tuple[float, float] | None:
    """How a row differs from the default of its records, each the mean of its seeds, and how far seeds lie apart.

    The default of another row of the patent's method, such as the one with a guessed map, is the row with the true map
    that begins alike, which has no spread. None where the records do not tell.
    """
    true = next((rows[0] for rows in (ORACLE, ORACLE_STARTED) if key in rows), None)
    sides = ((key,) if key in SEEDS else (key, f"{key}-1"), (true,) if true else SEEDS)
    rows = ([group.by_key[key] for key in keys if key in group.by_key] for keys in sides)
    ours, base = ([found for row in side if (found := mean(row, metric)) is not None] for side in rows)
    if not ours or not base:
        return None
    return fmean(ours) - fmean(base), max(max(side) - min(side) for side in (ours, base))


def single_styles(group: Group) -> str:
    """What a style for each region brings, in place of that of the whole face alone; empty where it is not measured."""
    changed, spread = change(group, "fusion-global") or (0.0, 0.0)
    bare, _ = change(group, "norm-instance") or (0.0, 0.0)
    if not group.is_result or not spread:  # one seed proves nothing
        return ""
    sure, less = (f"{abs(changed):.2f} dB", "less") if changed < 0 else ("harm", "more")
    verdict = sure if abs(changed) > spread else "nothing that can be told from chance"
    return (
        f"**Styles of single regions bring {verdict}:** with the style of the whole face for all regions the method "
        f"has {abs(changed):.2f} dB {less} than its seeds on average, which lie up to {spread:.2f} dB apart."
    ) + (f" With no scale and shift at all it has {-bare:.2f} dB less." if bare < -spread else "")


def effect(groups: Iterable[Group], keys: Iterable[str]) -> str:
    """What options change in PSNR and LPIPS of composited output, in every group of records that has them."""
    keys, said_of = list(keys), []
    for group in groups:
        lines = [line for key in keys if (line := _change_in_words(group, key))]
        if lines:
            said_of.append(f"*{group.name}*: {'; '.join(lines)}")
    return ". ".join(said_of) or "not measured yet"


def _change_in_words(group: Group, key: str) -> str:
    parts = []
    for metric in ("psnr", "lpips"):
        found, told = change(group, key, metric), METRICS[metric]
        if found is not None:
            chance = " (within seeds)" if abs(found[0]) <= found[1] else ""
            parts.append(f"{_signed(found[0], told.digits)} {told.unit or told.name}{chance}")
    if not parts:
        return ""
    return f"{said(group.by_key[key])}: {', '.join(parts)}"


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
