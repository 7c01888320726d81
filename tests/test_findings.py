"""Sentences of the book: what they say follows the records, whichever way these point."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made import record as made_up

from faceinpaint.comparison import findings
from faceinpaint.comparison.findings import ORACLE, ORACLE_STARTED
from faceinpaint.comparison.records import Lender, LikeRecord, Record, Summary
from faceinpaint.errors import DataError

RESULTS = Path(__file__).resolve().parent.parent / "data" / "results"

KEYS = [
    "mean-fill", "telea", "context-encoder", "contextual-attention", "gated-conv", *ORACLE,
]  # fmt: skip
LEVELS = {
    "mean-fill": 15.0, "telea": 18.0, "context-encoder": 19.0, "contextual-attention": 20.0, "gated-conv": 21.0,
    "facial-style": 25.0, "facial-style-predicted": 22.0, "facial-style-none": 21.0,
}  # fmt: skip
METHOD = {key: "facial-style" if key in ORACLE else key for key in LEVELS}
MAP = dict.fromkeys(LEVELS) | dict(zip(ORACLE, ("true", "predicted", None), strict=True))


def record(*row, **changes) -> Record:
    return Record.from_json(made_up(*row, **changes))


def group(width=0.01, preset="cpu", faces="CelebAMask-HQ, test", **levels) -> findings.Group:
    """A group with these mean PSNRs, and intervals of this relative half width."""
    made = []
    for number, (key, level) in enumerate((LEVELS | {k.replace("_", "-"): v for k, v in levels.items()}).items()):
        one = made_up(key, METHOD[key], MAP[key], level, preset=preset)
        one["test"] |= {"faces": faces}
        if one["training"]:
            one["training"] |= {"sha256": str(number)}
        for bins in one["images"].values():
            for metrics in bins.values():
                for x in metrics.values():
                    x |= {"low": x["mean"] * (1 - width), "high": x["mean"] * (1 + width)}
        made.append(Record.from_json(one))
    return findings.Group("a", tuple(made))


def test_ahead_and_behind_follow_the_records():
    ahead, behind = (findings.against_others(group(facial_style=level)) for level in (25.0, 20.0))
    assert "4.00 dB ahead of DF2" in ahead
    assert "their intervals do not overlap" in ahead
    assert "6 of 6 sizes" in ahead
    assert "1.00 dB behind DF2" in behind
    assert "0 of 6 sizes" in behind


def test_sizes_of_hole_in_which_a_row_is_ahead_follow_the_measure():
    ours, *others = (record(key, "telea", None, level) for key, level in (("a", 25.0), ("b", 24.0), ("c", 20.0)))
    assert findings.sizes_ahead(ours, others) == (6, 6)
    assert findings.sizes_ahead(others[0], [ours, others[1]]) == (0, 6)
    assert findings.sizes_ahead(ours, [replace(ours, key="twin")]) == (0, 6), "level is not ahead"
    assert findings.sizes_ahead(ours, others, "msssim") == (0, 0), "never measured"

    def with_l1(row: Record, value: float) -> Record:
        view = {b: one | {"l1": Summary(48, 0, value, None, None)} for b, one in row.images["composited"].items()}
        return replace(row, images=row.images | {"composited": view})

    better, worse = with_l1(ours, 1.0), with_l1(others[0], 2.0)
    assert findings.sizes_ahead(better, [worse], "l1") == (6, 6), "less is better"
    assert findings.sizes_ahead(worse, [better], "l1") == (0, 6)


def test_a_score_is_of_pictures_or_of_sets():
    one = group().by_key["facial-style"]
    assert findings.score(one) == one.images["composited"]["all"]["psnr"]
    assert findings.score(one, "fd").mean == one.sets["composited"]["all"].fd == findings.mean(one, "fd")
    assert findings.score(one, "fd", "no such bin") is None
    assert findings.score(one, "msssim") is None


def test_an_uncertain_lead_is_called_so():
    assert "their intervals overlap" in findings.against_others(group(width=0.2))


def by_face(one, values):
    return replace(one, faces={"psnr": tuple(values)})


def test_rows_are_compared_face_by_face_where_the_records_allow_it():
    hard, easy = [10.0, 20.0, 30.0, None, 40.0], [10.5, 20.4, 30.6, 25.0, 40.5]
    one, other = by_face(record("a", "telea"), hard), by_face(record("b", "telea"), easy)
    mean, low, high = findings.difference(one, other)
    assert mean == pytest.approx(-0.5)
    assert -0.6 <= low < mean < high <= -0.4  # faces that are 10 dB apart do not widen it
    assert findings.certain(one, other)
    assert "face by face: \u22120." in findings.face_by_face(one, other)
    level = by_face(record("b", "telea"), [10.5, 19.5, 30.5, 25.0, 39.5])
    assert not findings.certain(one, level)
    assert "chance among faces may have made it" in findings.face_by_face(one, level)


def test_rows_of_two_tests_are_not_compared_face_by_face():
    one, other = (by_face(record(key, "telea"), [1.0, 2.0]) for key in "ab")
    other = replace(other, test=replace(other.test, pairs_sha256="another"))
    assert findings.difference(one, other) is None
    assert findings.difference(one, record("b", "telea")) is None


def test_networks_below_the_classical_fill_are_counted():
    assert (
        "Above Telea (classical), which learns nothing, are 3 of the 3 trained rivals, and the method itself."
        in findings.against_others(group())
    )
    assert "are none of the 3 trained rivals, and the method itself." in findings.against_others(group(telea=24.0))
    assert "are none of the 3 trained rivals, but not the method itself." in findings.against_others(group(telea=30.0))


def test_the_order_is_compared_with_the_printed_one():
    assert "the order that the patent prints" in findings.order(group())
    assert "not the patent's order" in findings.order(group(gated_conv=19.5))


@pytest.mark.parametrize(
    ("true", "guessed", "none", "verdict"),
    [
        (25, 22, 21, "In PSNR, about 75% of the gain is the oracle"),
        (25, 20, 21, "In PSNR, all of the gain is the oracle"),
        (25, 25.5, 21, "In PSNR, none of the gain is the oracle"),
        (20, 20, 21, "Even the true map does not help"),
        (21.1, 20, 21, "can be told from chance"),
    ],
)
def test_the_oracles_share_in_every_case(true, guessed, none, verdict):
    levels = {"facial_style": true, "facial_style_predicted": guessed, "facial_style_none": none}
    assert verdict in findings.oracle(group(**levels))


@pytest.mark.parametrize(
    ("alone", "verdict", "told"),
    [
        (24.95, "nothing that can be told from chance", "0.15 dB less than its seeds on average"),
        (24.0, "1.10 dB", "1.10 dB less"),
        (26.0, "harm", "0.90 dB more"),
    ],
)
def test_what_styles_of_single_regions_bring(alone, verdict, told):
    levels = {"default": 25.0, "default-1": 25.2, "fusion-global": alone, "norm-instance": 24.4}
    rows = [record(key, "facial-style", "true", level) for key, level in levels.items()]
    rows = [replace(row, test=replace(row.test, faces="CelebAMask-HQ, test"), preset="cpu") for row in rows]
    said = findings.single_styles(findings.Group("a", tuple(rows[:3])))
    assert said.startswith(f"**Styles of single regions bring {verdict}:**")
    assert told in said
    more = findings.single_styles(findings.Group("a", tuple(rows)))
    assert more == said + " With no scale and shift at all it has 0.70 dB less."
    assert findings.single_styles(findings.Group("a", (rows[0], rows[2]))) == "", "one seed proves nothing"


def test_without_the_oracle_the_direction_follows_too():
    assert "1.00 dB ahead of DF2" in findings.without_oracle(group())
    assert "1.00 dB behind DF2" in findings.without_oracle(group(facial_style_predicted=20.0))
    assert "level with DF2" in findings.without_oracle(group(facial_style_predicted=21.0))


@pytest.mark.parametrize(
    ("preset", "faces", "result"),
    [("cpu", "CelebAMask-HQ", True), ("smoke", "CelebAMask-HQ", False), ("cpu", "drawn faces (toy)", False)],
)
def test_only_a_longer_run_on_photographs_is_a_result(preset, faces, result):
    made = group(preset=preset, faces=faces)
    assert made.is_result == result
    assert ("no result" in findings.caveat(made)) != result
    assert ("photographs" in made.title) == ("CelebA" in faces)


def test_missing_rows_are_said_to_be_missing():
    few = findings.Group("few", group().records[:3])
    for sentence in (findings.against_others, findings.order, findings.oracle, findings.without_oracle):
        assert "not among these records" in sentence(few) or "Not all four" in sentence(few)


def test_groups_put_results_first_and_pass_over_other_files(tmp_path):
    for folder, made in {"smoke/records": group(preset="smoke", faces="drawn faces"), "real": group()}.items():
        (tmp_path / folder).mkdir(parents=True)
        for one in made.records:
            (tmp_path / folder / f"{one.key}.json").write_text(json.dumps(one.to_json()))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kill.json").write_text('{"kind": "soak"}')
    found = findings.groups(tmp_path, KEYS, ["facial-style"])
    assert [g.name for g in found] == ["real", "smoke"]
    assert [r.key for r in found[0].records] == KEYS
    assert findings.groups(tmp_path, KEYS, ["another"]) == []
    assert findings.groups(tmp_path / "nowhere", KEYS) == []
    broken = tmp_path / "real" / "telea.json"
    broken.write_text(broken.read_text()[:300])
    with pytest.raises(DataError, match=r"telea\.json"):  # not a folder less in the book
        findings.groups(tmp_path, KEYS)


def test_runs_that_are_no_result_are_not_compared():
    made = group(preset="smoke")
    for sentence in (findings.against_others, findings.order, findings.oracle, findings.without_oracle):
        assert sentence(made) == findings.NO_COMPARISON
    told = findings.caveat(made)
    assert "no result" in told
    assert "**" not in told


def test_the_number_of_faces_is_said_where_records_tell():
    few = findings.Group("few", (by_face(record("a", "telea", preset="smoke"), [1.0, 2.0, 3.0]),))
    assert few.faces == 3
    assert "measured on 3 " in findings.caveat(few)
    assert findings.Group("none", (record("a", "telea"),)).faces == 0


def ablation(key, level):
    return record(key, "facial-style", "true", level)


def test_an_option_is_compared_with_the_mean_of_the_seeds():
    rows = [ablation(key, level) for key, level in zip(findings.SEEDS, (20.0, 21.0, 22.0), strict=True)]
    made = findings.Group("a", (*rows, ablation("fusion-local", 20.5), ablation("other-zero", 15.0)))
    assert findings.change(made, "fusion-local") == pytest.approx((-0.5, 2.0))
    assert findings.change(made, "no such row") is None
    assert "(within seeds)" in findings.effect([made], ["fusion-local"])
    told = findings.effect([made], ["other-zero"])
    assert "*a*" in told
    assert "\u22126.00 dB" in told
    assert "\u22126.00 dB (within seeds)" not in told
    assert findings.effect([made], ["pooling-valid"]) == "not measured yet"
    again = findings.Group("a", (*made.records, ablation("other-zero-1", 18.5)))
    assert findings.change(again, "other-zero") == pytest.approx((-4.25, 3.5)), "the mean and spread of its own seeds"


def test_a_guessed_map_is_compared_with_the_true_one():
    assert findings.change(group(), "facial-style-predicted") == pytest.approx((-3.0, 0.0))


def test_a_guessed_map_is_compared_with_the_true_one_that_begins_alike() -> None:
    renamed = dict(zip(ORACLE, ORACLE_STARTED, strict=True))
    higher = group(facial_style=30.0, facial_style_predicted=29.5, facial_style_none=29.0)
    started = [replace(r, key=renamed[r.key]) for r in higher.records if r.key in renamed]
    both = findings.Group("a", (*group().records, *started))
    assert findings.change(both, "facial-style-predicted") == pytest.approx((-3.0, 0.0))
    assert findings.change(both, "facial-style-membrane-guessed") == pytest.approx((-0.5, 0.0))
    told = findings.effect([both], ["facial-style-predicted", "facial-style-membrane-guessed"])
    assert "the patent's method with a guessed map: \u22123.00 dB" in told
    assert "the method from the membrane with guessed maps: \u22120.50 dB" in told


def test_switches_are_told_of_by_groups_that_have_what_they_are_compared_with(tmp_path: Path) -> None:
    held = findings.switched(RESULTS)
    assert {"ablations-64", "celebahq-64"} <= {g.name for g in held}
    assert all(g.is_result and g.by_key.keys() & {"default", *g.ours[:1]} for g in held)
    shutil.copytree(RESULTS / "smoke", tmp_path / "smoke")
    assert [g.name for g in findings.switched(tmp_path)] == ["smoke"], "where there is nothing better"


def test_the_answer_has_three_sentences_that_follow_the_records():
    told = findings.answer(group())
    assert "4.00 dB ahead of DF2" in told
    assert "its best row is 1.00 dB ahead of DF2 (the patent's method with a guessed map" in told
    assert told.endswith("about 75% of the gain is the oracle.**")
    worse = findings.answer(group(facial_style=20.0, facial_style_predicted=19.0, facial_style_none=20.5))
    assert "1.00 dB behind DF2" in worse
    assert "0.50 dB behind DF2 (the patent's method without a map" in worse
    assert findings.answer(group(preset="smoke")) == findings.NO_COMPARISON
    few = findings.Group("few", group().records[:3])
    assert "not among these records" in findings.answer(few)


def test_rows_from_the_membrane_are_ours_where_they_are() -> None:
    printed = group()
    renamed = dict(zip(ORACLE, ORACLE_STARTED, strict=True))
    started = [replace(r, key=renamed[r.key]) for r in printed.records if r.key in renamed]
    both = findings.Group("a", (*printed.records, *started))
    assert printed.ours == ORACLE
    assert both.ours == ORACLE_STARTED
    assert printed.tells_oracle
    assert both.tells_oracle
    assert findings.Group("a", (*printed.records, *started[:2])).ours == ORACLE
    assert not findings.Group("a", tuple(started[:2])).tells_oracle
    assert findings.oracle(printed) == findings.oracle(both)
    assert findings.said(both.by_key[both.ours[1]]) == "the method from the membrane with guessed maps"


def lender(**changes: tuple[float, float]) -> Lender:
    """Weights whose figures a reference changes by these intervals, all alike."""

    def of(low: float, high: float) -> Summary:
        return Summary(n=40, perfect=0, mean=(low + high) / 2, low=low, high=high)

    figures = {"none": of(0.2, 0.3)} | {name: of(*change) for name, change in changes.items()}
    regions = {name: {"all": {"colour": figures, "lpips": figures}} for name in ("eyes", "hair")}
    return Lender(
        training=record("ours", "facial-style").training,
        regions=regions,
        whole={"psnr": of(20, 22), "lpips": of(0.0, 0.1)},
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stranger", "mirrored", "verdict"),
    [
        ((-0.01, 0.01), (-0.03, -0.01), "helps with the weights in use"),
        ((-0.03, -0.01), (-0.03, -0.01), "hardly helps"),  # anybody's picture does as much
        ((0.01, 0.03), (-0.01, 0.01), "does not help"),
        ((-0.01, 0.01), (-0.01, 0.01), "does not help"),
        ((0.01, 0.03), (0.01, 0.03), "does not help"),
    ],
)
def test_another_photograph_helps_if_it_must_be_of_the_same_person(
    stranger: tuple[float, float], mirrored: tuple[float, float], verdict: str
) -> None:
    training = record("ours", "facial-style").training
    assert training is not None
    made = LikeRecord(
        weights={"shipped": lender(stranger=stranger, mirrored=mirrored)}, parser=training, faces="test", holes="test",
        pairs=40, size=128, little=0.1, much=0.5, seconds=1.0, device="CPU", date="", versions={}, commit=None,
    )  # fmt: skip
    said = findings.another_photograph(made)
    assert f"another photograph {verdict}.**" in said
    figures = ", ".join(
        f"{region} {measure} (\u22128%)" for region in ("eyes", "hair") for measure in ("colour", "LPIPS")
    )
    better = figures if mirrored[1] < 0 else "none"
    assert f"4 figures were compared. The mirrored picture of the face itself improves {better} and" in said
    assert said.count("**") == 2 + 2 * 2 * 2 * ((stranger != (-0.01, 0.01)) + (mirrored != (-0.01, 0.01)))
    assert LikeRecord.from_json(json.loads(json.dumps(made.to_json()))) == made
