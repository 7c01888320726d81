"""The whole comparison at a tiny scale: every row, the same records however often it was interrupted."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from faceinpaint.comparison import reproduce as module
from faceinpaint.comparison.evaluate import count_flops
from faceinpaint.comparison.records import Record, read_logs, read_records
from faceinpaint.comparison.reproduce import (
    ABLATIONS,
    CLASSICAL,
    EQUAL_COST,
    PLANS,
    PRINTED,
    ROWS,
    STARTED,
    WITHOUT_STYLES,
    RowPlan,
    is_default,
    reproduce,
)
from faceinpaint.comparison.table import brief, comparison
from faceinpaint.data.masks import drawn_test_holes
from faceinpaint.data.pairs import TestSet, make_pairs, read_pairs, write_pairs
from faceinpaint.data.sources import Sources
from faceinpaint.errors import CheckpointError, ConfigError, DataError, WeightsError
from faceinpaint.files import sha256_of
from faceinpaint.options import Reading
from faceinpaint.presets import PRESETS, Preset, preset
from faceinpaint.training import train as training
from faceinpaint.training.methods import AS_PRINTED, METHODS
from faceinpaint.training.run import Config


def tiny(**changes: Any) -> Preset:
    small = {
        "size": 32, "images": 8, "batch": 4, "faces": 6, "holes": 6, "pairs_per_bin": 2, "width": 4, "style_width": 4,
        "critic_width": 4, "parser_width": 4, "baseline_scale": 0.06, "checkpoint_every": 4, "sample_every": 100,
    }  # fmt: skip
    return preset("smoke", **(small | changes))


DRAWN = Sources(weights="seed")
FEW = tuple(row for row in ROWS if row.key in ("mean-fill", "context-encoder", "gated-conv"))


def run(out: Path, **changes: Any) -> tuple[list[Path], str]:
    """Paths of the table's files, and what was shown."""
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    paths = reproduce(changes.pop("preset", tiny()), out, **({"sources": DRAWN, "console": console} | changes))
    return paths, shown.getvalue()


def state(out: Path) -> dict[str, tuple[int, bytes]]:
    """When each record and trained weight was written, and what it holds."""
    files = [*(out / "records").iterdir(), *(out / "runs").rglob("generator.*")]
    return {str(p.relative_to(out)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def timeless(content: Any) -> Any:
    """A record without what may differ from day to day."""
    if isinstance(content, dict):
        return {k: timeless(v) for k, v in content.items() if k not in ("seconds", "date", "commit")}
    return content


def records(out: Path) -> dict[str, Any]:
    return {p.name: timeless(json.loads(p.read_text())) for p in sorted((out / "records").iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], str]:
    """Everything made once, all rows."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, *run(out)


@pytest.fixture
def made(whole: tuple[Path, list[Path], str], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(whole[0], tmp_path / "out"))


def test_every_row_is_trained_measured_and_shown(whole: tuple[Path, list[Path], str]) -> None:
    out, paths, shown = whole
    plots = [f"{metric}_by_bin.svg" for metric in ("psnr", "ssim", "l1")] + ["error_by_region.svg"]
    names = [path.name for path in paths]
    assert names[:7] == ["table.md", "table.csv", "table.html", *plots]
    assert all(path.parent == out for path in paths)
    assert {p.stem for p in (out / "records").iterdir()} == {row.key for row in ROWS} | {"parser", "logs"}
    trained = {row.key for row in ROWS if row not in CLASSICAL} | {"parser"}
    assert {p.name for p in (out / "runs").iterdir()} == trained
    assert set(names[7:]) == {f"losses_{name}.svg" for name in trained}
    logs = read_logs([out / "records"])
    for name, rows in logs.items():
        log = [json.loads(line) for line in (out / "runs" / name / "log.jsonl").read_text().splitlines()]
        assert rows == [pytest.approx(row, rel=1e-3) for row in log]  # so short a log is not thinned
    assert logs.keys() == trained
    found = read_records([out / "records"])
    assert [r.title for r in found] == [row.title for row in ROWS]
    assert [r.map for r in found] == [row.map for row in ROWS]
    assert {r.test.pairs for r in found} == {12}
    assert len({r.test.pairs_sha256 for r in found}) == 1
    assert (out / "table.md").read_text().startswith(comparison(found).markdown())
    for row in ROWS:
        assert row.title in shown
    assert "random" in shown or "seeded" in shown  # what networks the figures were seen through
    pairs = read_pairs(out / "test_pairs.csv")
    assert len(pairs) == 12


def test_in_a_log_file_the_table_is_markdown_and_on_a_terminal_it_is_drawn(
    whole: tuple[Path, list[Path], str],
) -> None:
    out, _, shown = whole
    made = brief(read_records([out / "records"]))
    assert made.markdown() in shown, "each row is one line, however wide"
    narrow, drawn = io.StringIO(), io.StringIO()
    module.show(made, Console(file=narrow, width=40))
    assert narrow.getvalue().strip() == made.markdown().strip()
    module.show(made, Console(file=drawn, width=200, force_terminal=True))
    assert "| --- |" not in drawn.getvalue()
    assert all(row[0] in drawn.getvalue() for row in made.rows)


def test_rows_are_trained_alike_and_never_on_what_they_are_tested_on(whole: tuple[Path, list[Path], str]) -> None:
    out = whole[0]
    found = {r.key: r.to_json() for r in read_records([out / "records"])}
    trained = [r["training"] for r in found.values() if r["training"]]
    assert len(trained) == len(PRINTED) + len(STARTED) == 10
    for about in trained:
        assert about["images"] == 8
        assert about["data"] == trained[0]["data"]
    for plans, start in ((PRINTED, "blank"), (STARTED, "membrane")):
        for row in plans:
            about = found[row.key]["training"]
            assert Config.from_dict(about["config"], out).preset == tiny(start=start)
    guessed = found["facial-style-membrane-guessed"]
    assert guessed["parser"]["config"]["method"] == "parser"
    assert guessed["training"]["parser"]["sha256"] == guessed["parser"]["sha256"]  # the same in training and test
    assert "parser" not in found["facial-style-membrane"]["training"]
    assert found["facial-style-membrane-none"]["training"]["config"]["merge"] == "none"
    assert found["facial-style"]["training"]["config"]["options"] == AS_PRINTED
    assert {pair.face_id for pair in read_pairs(out / "test_pairs.csv")} == {"toy-test-00000", "toy-test-00001"}


def test_called_again_it_makes_nothing_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(made)
    monkeypatch.setattr(module, "evaluate", None)
    monkeypatch.setattr(module, "evaluate_parser", None)
    paths, _ = run(made)
    assert state(made) == before
    assert all(path.exists() for path in paths)


def test_a_record_that_is_gone_is_made_again_and_no_other(whole: tuple[Path, list[Path], str], made: Path) -> None:
    before = state(made)
    (made / "records" / "gated-conv.json").unlink()
    run(made)
    after = state(made)
    changed = {name for name in after if after[name][0] != before[name][0]}
    assert changed == {"records/gated-conv.json"}
    assert records(made) == records(whole[0])


def _at(call: int, function: Callable[..., Any], error: type[BaseException]) -> Callable[..., Any]:
    """The function, until its given call."""
    left = [call]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise error
        return function(*args, **kwargs)

    return wrapped


def test_interrupted_anywhere_it_goes_on_to_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "whole", rows=FEW)
    out = tmp_path / "out"
    for target, name, function, call in (
        (training._Run, "step", training._Run.step, 2),  # within the first training
        (module, "train", module.train, 2),  # between two
        (module, "evaluate", module.evaluate, 2),  # within the measuring
        (module.table, "write", module.table.write, 1),  # before the table
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, _at(call, function, KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run(out, rows=FEW)
        assert not (out / "table.md").exists()
    run(out, rows=FEW)
    assert records(out) == records(tmp_path / "whole")
    for name in ("context-encoder", "gated-conv"):
        one, other = (folder / "runs" / name / "generator.safetensors" for folder in (out, tmp_path / "whole"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "changes", [{"preset": tiny(images=4)}, {"seed": 1}, {"preset": tiny(pairs_per_bin=3)}, {"preset": tiny(faces=7)}]
)
def test_another_reproduction_in_the_same_folder_is_refused_and_spoils_nothing(
    changes: dict[str, Any], made: Path
) -> None:
    before = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    with pytest.raises((ConfigError, CheckpointError)):
        run(made, **changes)
    after = {p: p.read_bytes() for p in made.rglob("*") if p.is_file() and p in before}
    assert after == before


def test_with_more_images_every_run_goes_on_and_every_row_of_it_is_measured_again(made: Path) -> None:
    before = state(made)
    trained = {name: json.loads((made / "records" / f"{name}.json").read_text()) for name in ("gated-conv", "parser")}
    run(made, preset=tiny(images=16))
    after = state(made)
    fills = {f"records/{row.key}.json" for row in CLASSICAL}
    records = {name for name in before if name.startswith("records/")}
    assert {name for name in records if after[name] != before[name]} == records - fills
    for name, old in trained.items():
        new = json.loads((made / "records" / f"{name}.json").read_text())["training"]
        assert (old["training"]["images"], new["images"], new["earlier"]) == (8, 16, [8])
    again = state(made)
    run(made, preset=tiny(images=16))
    assert state(made) == again


def test_records_of_other_weights_are_refused(made: Path) -> None:
    path = made / "records" / "gated-conv.json"
    held = json.loads(path.read_text())
    held["training"]["config"]["seed"] = 5
    path.write_text(json.dumps(held))
    with pytest.raises(ConfigError, match="other weights") as caught:
        run(made)
    assert caught.value.path == path


def test_a_damaged_record_is_refused_with_its_field(made: Path) -> None:
    path = made / "records" / "gated-conv.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": {"images": 1}}))
    with pytest.raises(DataError, match=r"lacks training\.config") as caught:
        run(made)
    assert caught.value.path == path


def test_a_setting_that_no_row_reads_is_refused_whoever_calls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no row of ablations reads the setting 'parser_width'") as caught:
        reproduce(preset("smoke", parser_width=12), tmp_path / "out", rows=ABLATIONS[:1])
    assert "style_width" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_seen_through_another_network_rows_are_measured_again(made: Path) -> None:
    path = made / "records" / "mean-fill.json"
    held = json.loads(path.read_text())
    held["networks"]["distance"]["sha256"] = "0" * 64
    path.write_text(json.dumps(held))
    before = state(made)
    run(made)
    after = state(made)
    assert {name for name in after if after[name][0] != before[name][0]} == {"records/mean-fill.json"}
    assert json.loads(path.read_text())["networks"]["distance"]["sha256"] != "0" * 64


def test_measured_with_another_parser_or_inception_rows_are_measured_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def measured(row: Any, *arguments: Any, inception: Path | None, **named: Any) -> Record:
        asked.append(row.key)
        held = json.loads((made / "records" / f"{row.key}.json").read_text())
        score = {"fid": 1.0, "kid": 1.0, "n": 12, "sha256": sha256_of(inception), "published": False}
        return Record.from_json(held | {"parser": row.parser_about, "inception": {"composited": score, "raw": score}})

    def again(inception: Path | None) -> list[str]:
        asked.clear()
        run(made, sources=Sources(weights="seed", inception=inception))
        return sorted(asked)

    monkeypatch.setattr(module, "evaluate", measured)
    inception, every = tmp_path / "inception.pt", sorted(row.key for row in ROWS)
    inception.write_bytes(b"one")
    assert again(None) == []
    assert again(inception) == every
    assert again(inception) == []
    assert again(None) == []  # what has FID is kept
    inception.write_bytes(b"another")
    assert again(inception) == every
    path = made / "records" / "facial-style-membrane-guessed.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"parser": held["parser"] | {"sha256": "0" * 64}}))
    assert again(inception) == ["facial-style-membrane-guessed"]
    path = made / "records" / "parser.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": held["training"]}))
    again(inception)
    assert json.loads(path.read_text())["training"] == held["parser"]
    inception.unlink()
    with pytest.raises(WeightsError, match="no Inception file"):
        again(inception)


def test_rows_that_are_the_default_of_the_preset_are_left_out(tmp_path: Path) -> None:
    left = {
        name: {row.key for row in ABLATIONS if is_default(row, PRESETS[name])}
        for name in ("smoke", "cpu", "gpu", "paper")
    }
    assert left == {
        "smoke": {"reading-r1"},
        "cpu": {"reading-r1"},
        "gpu": {"reading-r1", "style-ups-3"},
        "paper": {"reading-r1", "style-ups-3", "heads-separate"},
    }
    assert not any(is_default(row, preset("gpu")) for row in ROWS)
    rows = [row for row in ABLATIONS if row.key in ("style-ups-3", "heads-separate")]
    _, shown = run(tmp_path / "out", rows=rows, preset=tiny(style_ups=3, parser_width=PRESETS["smoke"].parser_width))
    assert "left out: style-ups-3, which is the default at this preset" in shown
    assert {p.stem for p in (tmp_path / "out" / "records").iterdir()} == {"heads-separate", "logs"}
    with pytest.raises(ConfigError, match="no row is left"):
        run(tmp_path / "none", rows=rows[1:], preset=tiny(style_ups=3, parser_width=PRESETS["smoke"].parser_width))


def test_pairs_of_other_faces_are_refused_before_anything_is_trained(
    whole: tuple[Path, list[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = read_pairs(whole[0] / "test_pairs.csv")
    write_pairs(tmp_path / "wrong.csv", [pairs[0]._replace(face_id="somebody"), *pairs[1:]])
    monkeypatch.setattr("faceinpaint.comparison.reproduce.train", lambda *a, **k: pytest.fail("it was trained first"))
    with pytest.raises(DataError, match="somebody"):
        run(tmp_path / "out", rows=FEW, sources=Sources(weights="seed", pairs=tmp_path / "wrong.csv"))
    assert not (tmp_path / "out" / "test_pairs.csv").exists()  # the right list is not refused for it


def test_faces_on_both_sides_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    faces, _ = DRAWN.training(tiny(), tmp_path / "cache")
    assert not caplog.records
    holes = drawn_test_holes(len(faces), 32)
    both = TestSet(faces, holes, make_pairs(faces, holes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sources, "test", lambda *a, **k: both)
        run(tmp_path / "out", rows=FEW[:1])
    assert f"{len(faces)} of the test faces are trained on as well" in caplog.text


def test_pairs_can_be_given(whole: tuple[Path, list[Path], str], tmp_path: Path) -> None:
    pairs = read_pairs(whole[0] / "test_pairs.csv")[3:]
    write_pairs(tmp_path / "pairs.csv", pairs)
    run(tmp_path / "out", rows=FEW[:1], sources=Sources(weights="seed", pairs=tmp_path / "pairs.csv"))
    (found,) = read_records([tmp_path / "out" / "records"])
    assert found.test.pairs == 9
    assert read_pairs(tmp_path / "out" / "test_pairs.csv") == pairs


def test_the_seed_reaches_everything(tmp_path: Path) -> None:
    rows = (RowPlan("one", "One", "context-encoder"), RowPlan("two", "Two", "context-encoder", seed=1))
    run(tmp_path, rows=rows, seed=4)
    one, two = (json.loads((tmp_path / "records" / f"{row.key}.json").read_text()) for row in rows)
    assert (one["training"]["config"]["seed"], two["training"]["config"]["seed"]) == (4, 5)
    assert one["training"]["sha256"] != two["training"]["sha256"]
    assert "seed 4" in one["test"]["holes"]


@pytest.mark.parametrize("rows", PLANS.values(), ids=PLANS)
def test_plans_name_each_row_once_and_every_option_exists(rows: tuple[RowPlan, ...]) -> None:
    keys = [row.key for row in rows]
    assert len(set(keys)) == len(keys)
    runs = {row.run or row.key for row in rows}
    for row in rows:
        chosen = METHODS[row.method]
        if chosen.generator_loss is not None:
            Config(row.method, tiny(size=64), row.options, row.merge).generator()
        else:
            assert not row.options
        if row.run:
            assert row.run in runs & set(keys)
    assert ROWS[0].method == "mean-fill"
    changed = [row for row in ABLATIONS if row.options]
    assert all(len(row.options) == 1 for row in changed)
    assert [row.config(PRESETS["cpu"]).preset.critic_sees for row in ABLATIONS].count("hole-and-map") == 1
    assert [row.config(PRESETS["cpu"]).preset.large_holes for row in ABLATIONS if row.settings] == [0.0, 0.5]


@pytest.mark.parametrize("scale", ["smoke", "cpu"])
def test_other_readings_are_so_wide_that_they_cost_the_same(scale: str) -> None:
    at = PRESETS[scale]
    ours = count_flops(Config("facial-style", at).generator().eval(), at.size)
    readings = {row.options["reading"]: row for row in ABLATIONS if "reading" in row.options}
    assert readings.keys() == {"R1", "R2", "R3"}
    for name, row in readings.items():
        config = row.config(at)
        assert count_flops(config.generator().eval(), at.size) == pytest.approx(ours, rel=0.25), name
        assert (config.options["width"] == at.width) == (name == at.reading)


@pytest.mark.parametrize("reading", ["R1", "R2", "R3"])
def test_the_plain_network_costs_what_the_method_costs(reading: Reading) -> None:
    """At the preset that both rows are trained at, as nearly as whole widths allow; without styles and repairs."""
    (plain,) = (row for row in WITHOUT_STYLES if row.method == "facial-style")
    at = preset("cpu", reading=reading, width=EQUAL_COST[reading])
    config = plain.config(at)
    costs = {
        width: count_flops(dataclasses.replace(config, options={"norm": "none", "width": width}).generator(), at.size)
        for width in range(at.width + 4, at.width + 14)
    }
    wanted = count_flops(Config("facial-style", at).generator(), at.size)
    assert config.options == {"norm": "none", "width": min(costs, key=lambda width: abs(costs[width] - wanted))}
    bare = config.generator()
    within = 0.02 if reading == "R2" else 0.025  # a channel more or less is 6 to 8%
    assert count_flops(bare, at.size) == pytest.approx(wanted, rel=within)
    if reading == PRESETS["cpu"].reading:
        assert at == PRESETS["cpu"]
        assert count_flops(bare, at.size) >= wanted  # if anything, the plain one has the advantage
    assert {name.split(".")[1] for name, _ in bare.named_parameters()} == {"encoder", "decoder"}
    assert not config.reads_map
