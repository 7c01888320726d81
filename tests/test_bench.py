"""The bench: its two sides agree, its record is whole, and it refuses to time what differs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from faceinpaint.comparison.findings import claims
from faceinpaint.comparison.records import Inference
from faceinpaint.models.facial_style import FacialStyle
from faceinpaint.training.feed import Feed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import bench as module
from bench import GROUPS, BenchError, Plan, bench, rounds, show, with_loops

CPU = torch.device("cpu")
PLAN = Plan(CPU, quick=True)


@pytest.mark.slow
def test_the_quick_bench_writes_a_whole_record_and_shows_it(tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench.json"
    done = subprocess.run(
        [sys.executable, module.__file__, "--quick", "--out", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert record["kind"] == "bench"
    assert record["quick"] is True
    assert record["threads"] == torch.get_num_threads()
    assert {"device", "versions", "commit", "date", "seconds", "claim"} <= record.keys()
    told = " ".join(row["name"] for row in record["rows"])
    for part in (
        "region normalisation", "extra memory", "style pooling", "generator", "training step of context-encoder",
        "training step of contextual-attention", "training step of gated-conv", "training step of facial-style",
        "training facial-style", "PSNR, SSIM, L1", "peak memory",
    ):  # fmt: skip
        assert part in told
    for row in record["rows"]:
        assert row["ours"] >= 0
        assert (row["target"] is None) == (row["met"] is None)
        assert row["error"] is None or row["error"] < 1e-4
    assert {e["method"] for e in record["inference"]} == {"facial-style", "contextual-attention", "gated-conv"}
    assert sum(e["share"] for e in record["modules"]) == pytest.approx(1)
    assert sum(e["flops"] for e in record["modules"]) == record["inference"][0]["flops"]
    show(record, Console(file=(shown := io.StringIO()), width=200))
    assert "style network" in shown.getvalue()


def test_each_group_of_rows_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUPS", dict.fromkeys(GROUPS, lambda plan: iter(())))
    told: list[str] = []
    record = bench("cpu", quick=True, progress=told.append)
    assert record["rows"] == []
    assert told == [*GROUPS, "inference"]


def test_a_generator_with_loops_computes_the_same_and_has_the_same_gradients() -> None:
    torch.manual_seed(0)
    ours, loops = FacialStyle(4), FacialStyle(4)
    loops.load_state_dict(ours.state_dict())
    with_loops(loops)
    given = [x.double() if x.is_floating_point() else x for x in module._inputs(2, 32, CPU)]
    images = [g.double()(*given).image for g in (ours, loops)]
    torch.testing.assert_close(*images)
    found = [
        torch.autograd.grad(image.square().mean(), list(g.parameters()))
        for image, g in zip(images, (ours, loops), strict=True)
    ]
    torch.testing.assert_close(*found)


def test_files_give_the_same_batches_as_memory(tmp_path: Path) -> None:
    feed = Feed(*module._training_set(PLAN.preset, 8), 4)
    files = module._Files(feed, tmp_path, 5)
    batches = list(torch.utils.data.DataLoader(files, 4))
    assert len(batches) == 5
    for step, batch in enumerate(batches):
        for ours, theirs in zip(feed(step), batch, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_what_differs_is_not_timed() -> None:
    a = torch.ones(3)
    assert module._difference([a], [a * (1 + 5e-5)], "x") == pytest.approx(5e-5, rel=0.01)
    for wrong in (a * 1.01, a * float("nan")):
        with pytest.raises(BenchError, match="sums: the two sides differ"):
            module._difference([a], [wrong], "sums")


def test_sides_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    times = rounds([lambda: calls.append("a"), lambda: calls.append("b")], CPU, 0)
    assert calls == ["a", "b"] * 4
    assert [len(t) for t in times] == [3, 3]


def test_ratios_are_medians_of_rounds() -> None:
    assert module._better([1, 1, 2], [2, 5, 6]) == 3


def test_memory_of_a_failing_process_is_an_error() -> None:
    with pytest.raises(BenchError, match="measuring the memory of norm:none failed"):
        module.memory("norm:none", 1, 1, 16, CPU)


@pytest.mark.slow
def test_region_normalisation_takes_less_extra_memory_than_two_feature_maps() -> None:
    ours, loop = (module.memory(f"norm:{side}", 2, 32, 256, CPU) for side in ("ours", "loop"))
    assert ours <= 2
    assert loop > 2 * ours


def test_the_claim_compares_every_width_with_the_widths_of_the_papers() -> None:
    entries = [
        Inference(name, width, size=256, parameters=1, flops=flops, ms=1.0)
        for name, width, flops in (
            ("facial-style", 16, 5), ("facial-style", 64, 15),
            ("contextual-attention", 8, 1), ("contextual-attention", 32, 10), ("gated-conv", 48, 20),
        )
    ]  # fmt: skip
    text = ". ".join(claims(entries))
    assert "width 16: true" in text
    assert "width 64: not true" in text
    assert "1.50 times the FLOPs and 1.00 times the time of contextual-attention" in text
