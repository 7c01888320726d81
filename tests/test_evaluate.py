"""Evaluation: the numbers of a record are those of a plain loop, and a record says what it must."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from faceinpaint import metrics, weights
from faceinpaint.backbones import Backbone, load_backbone
from faceinpaint.comparison.evaluate import (
    PER_IMAGE,
    Row,
    _summary,
    count_flops,
    count_parameters,
    evaluate,
    evaluate_parser,
    row_of,
)
from faceinpaint.comparison.records import VIEWS, Record
from faceinpaint.comparison.table import comparison
from faceinpaint.data.masks import BIN_NAMES, drawn_test_holes
from faceinpaint.data.pairs import TestSet, make_pairs
from faceinpaint.data.sources import load_faces
from faceinpaint.errors import CheckpointError, ConfigError, DataError
from faceinpaint.models import Output
from faceinpaint.models.baselines import MeanFill
from faceinpaint.models.parser import FaceParser
from faceinpaint.models.start import enlarged
from faceinpaint.presets import preset
from faceinpaint.regions import REGIONS, merge_classes
from faceinpaint.training.run import Config, load_generator

P = preset("smoke", width=4, style_width=4, baseline_scale=0.06)


@pytest.fixture(scope="module")
def test() -> TestSet:
    """Three faces in each of six bins, at 64 pixels."""
    faces, holes = load_faces("toy", "test", 64, count=3), drawn_test_holes(3, 64)
    return TestSet(faces, holes, make_pairs(faces, holes))


@pytest.fixture(scope="module")
def alexnet() -> Backbone:
    return load_backbone("alexnet", "seed")


def row(generator: Any, **changes: Any) -> Row:
    return Row("ours", "Ours", "facial-style", generator, P, **changes)


def measured(generator: Any, test: TestSet, net: Backbone, **changes: Any) -> dict[str, Any]:
    """The record as JSON has it."""
    return evaluate(row(generator, **changes), test, lpips=net, features=net).to_json()


def told(images: int) -> dict[str, Any]:
    """A training record with the least that one holds."""
    data = {"faces": "f", "holes": "h", "face_count": 1, "hole_count": 1}
    return {"images": images, "config": {}, "data": data, "seconds": 1.0, "device": "CPU"}


def arrays(test: TestSet) -> list[tuple[np.ndarray, np.ndarray]]:
    """Face and hole of each pair, looked up by name."""
    faces, holes = (
        dict(zip(test.faces.ids, test.faces.images, strict=True)),
        dict(zip(test.holes.ids, test.holes.holes, strict=True)),
    )
    return [(faces[pair.face_id], holes[pair.hole_id]) for pair in test.pairs]


# -------------------------------------------------------------------------------------------------- numbers


def test_a_perfect_generator_scores_perfectly(test: TestSet, alexnet: Backbone) -> None:
    record = measured(lambda image, hole, regions: Output(image), test, alexnet)
    for view in VIEWS:
        whole = record["images"][view]["all"]
        assert whole["l1"] == {"n": 18, "perfect": 0, "mean": 0.0, "low": 0.0, "high": 0.0}
        assert whole["ssim"]["mean"] == pytest.approx(1)
        assert whole["psnr"] == {"n": 0, "perfect": 18, "mean": None, "low": None, "high": None}
        assert record["sets"][view]["all"]["fd"] == pytest.approx(0, abs=1e-6)
        assert record["sets"][view]["all"]["n"] == 18
    assert all(part["l1"] in (0.0, None) for part in record["regions"].values())
    json.dumps(record, allow_nan=False)


def test_mean_fill_is_measured_as_a_plain_loop_measures_it(test: TestSet, alexnet: Backbone) -> None:
    record = measured(MeanFill(), test, alexnet)
    values: dict[str, list[float]] = {name: [] for name in ("psnr", "ssim", "l1", "psnr_hole", "l1_hole")}
    for face, hole in arrays(test):
        inside = hole == 1
        filled = face.copy()
        colour = np.array([face[..., c][~inside].astype(np.float64).mean() for c in range(3)])
        filled[inside] = np.round(colour)
        error = np.abs(filled.astype(np.float64) - face)
        values["psnr"].append(peak_signal_noise_ratio(face, filled, data_range=255))
        values["ssim"].append(
            structural_similarity(
                face,
                filled,
                data_range=255,
                channel_axis=-1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
        values["l1"].append(error.mean() / 255)
        values["psnr_hole"].append(10 * np.log10(255**2 / (error[inside] ** 2).mean()))
        values["l1_hole"].append(error[inside].mean() / 255)
    bins = np.array([pair.bin for pair in test.pairs])
    for name, each in values.items():
        each = np.array(each)
        for view in VIEWS:  # this fill leaves known pixels alone
            groups = record["images"][view]
            assert groups["all"][name]["mean"] == pytest.approx(each.mean(), abs=1e-4)
            for bin_name in BIN_NAMES:
                assert groups[bin_name][name]["mean"] == pytest.approx(each[bins == bin_name].mean(), abs=1e-4)
                assert groups[bin_name][name]["n"] == 3
        of_faces = [each[[p.face_id == i for p in test.pairs]].mean() for i in test.faces.ids]
        assert min(of_faces) - 1e-4 <= groups["all"][name]["low"] <= groups["all"][name]["high"]
        assert groups["all"][name]["high"] <= max(of_faces) + 1e-4
    assert record["parameters"] == 0


def test_one_perfect_picture_is_counted_and_left_out_of_the_mean(test: TestSet, alexnet: Backbone) -> None:
    fill, perfect = MeanFill(), arrays(test)[0][0]
    target = torch.from_numpy(perfect).permute(2, 0, 1).float() / 127.5 - 1

    def generator(image: Tensor, hole: Tensor, regions: Tensor) -> Output:
        out = fill(image, hole).image
        return Output(torch.where((image == target).all(dim=(1, 2, 3), keepdim=True), image, out))

    whole = measured(generator, test, alexnet)["images"]["composited"]
    assert (whole["all"]["psnr"]["n"], whole["all"]["psnr"]["perfect"]) == (12, 6)
    plain = measured(fill, test, alexnet)["images"]["composited"]
    assert whole["all"]["l1"]["mean"] < plain["all"]["l1"]["mean"]
    assert np.isfinite(whole["all"]["psnr"]["mean"])


def test_raw_and_composited_differ_outside_the_hole_only(test: TestSet, alexnet: Backbone) -> None:
    record = measured(lambda image, hole, regions: Output(torch.zeros_like(image)), test, alexnet)
    pasted, raw = (record["images"][view]["all"] for view in VIEWS)
    for name in ("psnr_hole", "l1_hole"):
        assert pasted[name] == raw[name]
    assert pasted["l1"]["mean"] < raw["l1"]["mean"]
    assert pasted["psnr"]["mean"] > raw["psnr"]["mean"]
    assert record["sets"]["composited"]["all"]["fd"] < record["sets"]["raw"]["all"]["fd"]
    expected = np.mean([np.abs(128.0 - face).mean() / 255 for face, _ in arrays(test)])
    assert raw["l1"]["mean"] == pytest.approx(expected, abs=1e-6)


def test_distances_are_those_of_the_features_of_the_pictures(test: TestSet, alexnet: Backbone) -> None:
    record = measured(MeanFill(), test, alexnet)
    true = torch.from_numpy(np.stack([face for face, _ in arrays(test)])).permute(0, 3, 1, 2).float()
    hole = torch.from_numpy(np.stack([hole for _, hole in arrays(test)]))[:, None].float()
    filled = metrics.quantise(MeanFill()(true / 127.5 - 1, hole).image)
    x, y = (metrics.frechet_features(p, alexnet).double().numpy() for p in (filled, true))
    whole = record["sets"]["composited"]["all"]
    stats = [metrics.FeatureStats().update(f) for f in (x, y)]
    assert whole["fd"] == pytest.approx(metrics.frechet_distance(*stats), rel=1e-3)
    shows = [pair.face_id for pair in test.pairs]
    assert whole["kid_between_faces"] == pytest.approx(metrics.kid(x, y, shows=shows), rel=1e-3)
    assert record["sets"]["composited"]["0.1-0.2"]["n"] == 3


def test_error_of_each_region_is_the_loop_written_out(test: TestSet, alexnet: Backbone) -> None:
    record = measured(lambda image, hole, regions: Output(torch.zeros_like(image)), test, alexnet)
    labels = dict(zip(test.faces.ids, test.faces.labels, strict=True))
    for number, name in enumerate(("other", *REGIONS)):
        errors: list[float] = []
        for pair, (face, hole) in zip(test.pairs, arrays(test), strict=True):
            where = (merge_classes(labels[pair.face_id]) == number) & (hole == 1)
            errors += (np.abs(128.0 - face[where]).mean(axis=-1) / 255).tolist()
        assert record["regions"][name]["hole_pixels"] == len(errors)
        assert record["regions"][name]["l1"] == (pytest.approx(np.mean(errors), abs=1e-6) if errors else None)


def test_batches_of_another_size_change_nothing(test: TestSet, alexnet: Backbone) -> None:
    progress: list[int] = []
    one = evaluate(
        row(MeanFill()), test, lpips=alexnet, features=alexnet, batch=5, progress=lambda n, note: progress.append(n)
    ).to_json()
    assert progress == [5, 5, 5, 3]
    other = measured(MeanFill(), test, alexnet)
    for name in ("psnr", "ssim", "l1"):
        assert one["images"]["raw"]["all"][name]["mean"] == pytest.approx(
            other["images"]["raw"]["all"][name]["mean"], rel=1e-9
        )


# ---------------------------------------------------------------------------------- maps, networks, records


class Spy(nn.Module):
    """Fills with the mean colour and remembers the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor) -> Output:
        self.seen.append(regions)
        return MeanFill()(image, hole)


def scores(regions: Tensor) -> Tensor:
    """Scores (B, 9, H, W) of a parser that is sure of this map (B, H, W)."""
    return nn.functional.one_hot(regions, 9).permute(0, 3, 1, 2).float()


class Guess:
    """A parser that calls everything hair, and remembers."""

    def __init__(self) -> None:
        self.holes: list[Tensor] = []

    def __call__(self, image: Tensor, hole: Tensor) -> Output:
        self.holes.append(hole)
        return Output(scores(torch.full(image.shape[:1] + image.shape[2:], 7)))


def test_the_map_is_the_true_one_or_the_parsers(test: TestSet, alexnet: Backbone) -> None:
    labels = dict(zip(test.faces.ids, test.faces.labels, strict=True))
    expected = np.stack([labels[pair.face_id] for pair in test.pairs])
    for merge in ("regions", "none"):
        spy = Spy()
        record = measured(spy, test, alexnet, map="true", merge=merge)
        assert np.array_equal(torch.cat(spy.seen[:2]).numpy(), merge_classes(expected, merge))
        assert (record["map"], record["merge"], record["parser"]) == ("true", merge, None)
    spy, guess = Spy(), Guess()
    record = measured(spy, test, alexnet, map="predicted", parser=guess, parser_about=told(5))
    assert (torch.cat(spy.seen[:2]) == 7).all()
    assert len(torch.cat(guess.holes)) == 18
    assert (record["map"], record["parser"]) == ("predicted", told(5))


def test_a_row_may_be_repaired_at_half_the_size_and_enlarged(test: TestSet, alexnet: Backbone) -> None:
    """Generator and parser see the halved pictures; what is measured is the enlarged repair."""
    labels = dict(zip(test.faces.ids, test.faces.labels, strict=True))
    whole = np.stack([labels[pair.face_id] for pair in test.pairs])
    spy, guess = Spy(), Guess()
    record = measured(spy, test, alexnet, map="true", enlarged=True)
    assert np.array_equal(torch.cat(spy.seen[:2]).numpy(), merge_classes(whole[:, ::2, ::2]))
    measured(Spy(), test, alexnet, map="predicted", parser=guess, parser_about=told(5), enlarged=True)
    assert {tuple(hole.shape[1:]) for hole in guess.holes} == {(1, 32, 32)}
    image = torch.from_numpy(np.stack([face for face, _ in arrays(test)])).permute(0, 3, 1, 2) / 127.5 - 1
    hole = torch.from_numpy(np.stack([hole for _, hole in arrays(test)]))[:, None].float()
    done = enlarged(lambda small, gap: Spy()(small, gap, gap).image, image, hole)
    expected = metrics.psnr(metrics.quantise(done), metrics.quantise(image)).mean()
    assert record["images"]["composited"]["all"]["psnr"]["mean"] == pytest.approx(float(expected), abs=1e-4)
    assert record["images"]["raw"]["all"]["psnr"]["mean"] == pytest.approx(float(expected), abs=1e-4)


def test_lpips_is_measured_only_through_trained_weights(test: TestSet, alexnet: Backbone) -> None:
    record = measured(MeanFill(), test, alexnet)
    assert "lpips" not in record["images"]["composited"]["all"]
    assert record["networks"]["lpips"] is None
    assert record["networks"]["distance"]["trained"] is False

    trained = load_backbone("alexnet", "seed")
    trained.trained = True
    record = measured(MeanFill(), test, trained)
    assert set(record["images"]["raw"]["all"]) == set(PER_IMAGE)
    true = torch.from_numpy(np.stack([face for face, _ in arrays(test)])).permute(0, 3, 1, 2).float()
    hole = torch.from_numpy(np.stack([hole for _, hole in arrays(test)]))[:, None].float()
    filled = metrics.quantise(MeanFill()(true / 127.5 - 1, hole).image)
    expected = metrics.lpips(filled, true, trained).mean()
    assert record["images"]["raw"]["all"]["lpips"]["mean"] == pytest.approx(float(expected), rel=1e-4)


def test_a_record_is_plain_json_and_says_where_numbers_come_from(test: TestSet, alexnet: Backbone) -> None:
    record = measured(MeanFill(), test, alexnet, about=told(3))
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    assert (record["kind"], record["key"], record["preset"], record["size"]) == ("evaluation", "ours", "smoke", 64)
    assert record["training"] == told(3)
    assert record["test"]["pairs"] == 18
    assert record["test"]["faces"] == test.faces.source
    assert record["test"]["pairs_sha256"] == test.digest()
    assert {"python", "torch", "numpy"} <= record["versions"].keys()
    assert record["device"].startswith("CPU")
    assert len(record["date"]) == 10
    shorter = TestSet(test.faces, test.holes, test.pairs[:-1])
    assert shorter.digest() != test.digest() == TestSet(test.faces, test.holes, list(test.pairs)).digest()


def test_a_generator_that_gives_no_numbers_is_refused(test: TestSet, alexnet: Backbone) -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        measured(lambda image, hole, regions: Output(image * float("nan")), test, alexnet)


def test_one_pair_is_no_test(test: TestSet, alexnet: Backbone) -> None:
    with pytest.raises(DataError, match="two pairs"):
        measured(MeanFill(), TestSet(test.faces, test.holes, test.pairs[:1]), alexnet)


def test_a_single_face_has_no_distance_between_faces(test: TestSet, alexnet: Backbone) -> None:
    face = test.pairs[0].face_id
    alone = TestSet(test.faces, test.holes, [pair for pair in test.pairs if pair.face_id == face])
    record = measured(MeanFill(), alone, alexnet)
    whole = record["sets"]["composited"]["all"]
    assert whole["fd"] > 0
    assert whole["kid_between_faces"] is None
    made = comparison([Record.from_json(record)])
    assert dict(zip(made.headers, made.rows[0], strict=True))["KID-AlexNet (x1000)"] == ""


def test_a_record_keeps_the_mean_of_each_face(test: TestSet, alexnet: Backbone) -> None:
    record = measured(MeanFill(), test, alexnet)
    values = record["faces"]["psnr"]
    assert len(values) == len({pair.face_id for pair in test.pairs})
    # Every face stands in as many pairs as every other here, so the mean of means is the mean of the record.
    assert np.mean(values) == pytest.approx(record["images"]["composited"]["all"]["psnr"]["mean"], abs=1e-4)


def test_a_face_of_many_pairs_weighs_more_in_mean_and_interval_alike() -> None:
    values, faces = np.array([20.0] * 6 + [21, 22, 23, 24, 25, 26, 27, 28, 29]), np.array([0] * 6 + list(range(1, 10)))
    found = _summary(values, faces)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean == values.mean() < found.high
    assert found.low == 20.0 or found.low < 21.5  # a draw of that face alone


def test_the_parser_goes_where_the_generator_goes(test: TestSet, alexnet: Backbone) -> None:
    class Guess(FaceParser):
        seen: ClassVar[list[Any]] = []

        def to(self, *arguments: Any, **options: Any) -> Guess:
            self.seen.append(arguments)
            return self

    guessing = row(MeanFill(), map="predicted", parser=Guess(2).eval())
    evaluate(guessing, test, lpips=alexnet, features=alexnet, device=torch.device("cpu"))
    assert set(Guess.seen) == {(torch.device("cpu"),)}


def test_a_parser_of_other_regions_is_not_measured_as_one_of_these(test: TestSet) -> None:
    with pytest.raises(ConfigError, match="guesses classes"):
        evaluate_parser(FaceParser(2, 18), {"config": {"merge": "classes"}}, test)


def test_pairs_of_other_faces_are_refused(test: TestSet, alexnet: Backbone) -> None:
    other = TestSet(load_faces("toy", "test", 64, count=3, seed=1), test.holes, test.pairs)
    with pytest.raises(DataError, match=r"another picture|is not in"):
        measured(MeanFill(), other, alexnet)


class StandIn(nn.Module):
    """Has the shape of clean-fid's Inception program."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(13), nn.Flatten(), nn.Linear(3 * 23 * 23, 2048), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("cleanfid") is None, reason="clean-fid is not installed")
def test_with_an_inception_file_the_record_holds_its_distances(
    test: TestSet, alexnet: Backbone, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "inception.pt"
    torch.jit.script(StandIn().eval()).save(str(path))
    few = TestSet(test.faces, test.holes, test.pairs[-6:])
    record = evaluate(row(MeanFill()), few, lpips=alexnet, features=alexnet, inception=path).to_json()
    for view in VIEWS:
        found = record["inception"][view]
        assert found["n"] == 6
        assert found["fid"] > 0.001
        assert not found["published"]
        assert len(found["sha256"]) == 64
    # Mean fill leaves known pixels alone, so both views show the same pictures.
    assert record["inception"]["raw"] == record["inception"]["composited"]
    json.dumps(record, allow_nan=False)
    perfect = evaluate(
        row(lambda image, hole, regions: Output(image)), few, lpips=alexnet, features=alexnet, inception=path
    ).to_json()
    assert perfect["inception"]["raw"]["fid"] == pytest.approx(0, abs=1e-3)


# -------------------------------------------------------------------------------------------------- parser


class Known(nn.Module):
    """Knows the map of every picture by heart, but calls all hair skin."""

    def __init__(self, test: TestSet) -> None:
        super().__init__()
        self.maps = {
            image.tobytes(): merge_classes(label)
            for image, label in zip(test.faces.images, test.faces.labels, strict=True)
        }

    def forward(self, image: Tensor, hole: Tensor) -> Output:
        pixels = ((image + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        found = np.stack([self.maps[p.tobytes()] for p in pixels])
        return Output(scores(torch.from_numpy(np.where(found == 7, 1, found).astype(np.int64))))


def test_parser_scores_are_the_loop_written_out(test: TestSet) -> None:
    parser = Known(test)
    about = {
        "config": {}, "images": 9, "seconds": 1.0, "device": "CPU",
        "data": {"faces": "drawn", "holes": "drawn", "face_count": 1, "hole_count": 1},
    }  # fmt: skip
    record = evaluate_parser(parser, about, test, batch=4).to_json()
    json.dumps(record, allow_nan=False)
    assert (record["kind"], record["training"]) == ("parser", about)
    labels = dict(zip(test.faces.ids, test.faces.labels, strict=True))
    for part, wanted in (("known", 0), ("hole", 1)):
        true = np.concatenate(
            [merge_classes(labels[p.face_id])[h == wanted] for p, (_, h) in zip(test.pairs, arrays(test), strict=True)]
        )
        guess = np.where(true == 7, 1, true)
        for number, name in enumerate(("other", *REGIONS)):
            either, both = ((guess == number) | (true == number)).sum(), ((guess == number) & (true == number)).sum()
            if either:
                assert record["iou"][part]["regions"][name] == pytest.approx(both / either)
            else:
                assert name not in record["iou"][part]["regions"]
        assert record["iou"][part]["accuracy"] == pytest.approx((guess == true).mean())
        assert record["iou"][part]["regions"]["hair"] == 0


# ------------------------------------------------------------------------------------------------- counting


def test_parameters_and_operations_are_counted() -> None:
    class Conv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, image: Tensor, hole: Tensor, regions: Tensor) -> Output:
            return Output(self.conv(image))

    assert count_parameters(Conv()) == 84
    assert count_flops(Conv(), 32) == 2 * 32 * 32 * 3 * 27
    assert count_flops(MeanFill(), 32) == 0


# ------------------------------------------------------------------------------------------ trained weights


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A run's folder with fresh weights."""
    config = Config("context-encoder", P)
    weights.save(tmp_path / "generator.safetensors", config.generator().state_dict(), {"config": config.to_dict()})
    return tmp_path


def test_a_generator_is_found_by_folder_or_file(kept: Path) -> None:
    for place in (kept, str(kept), kept / "generator.safetensors"):
        network, config, about = load_generator(place)
        assert config == Config("context-encoder", P)
        assert about["config"] == config.to_dict()
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_a_row_of_twice_its_size_says_so(kept: Path) -> None:
    found, _ = row_of(str(kept), "64-enlarged", enlarged=True)
    assert (found.title, found.preset.size, found.side, found.enlarged) == ("CE, 64 enlarged", 128, 64, True)
    plain, _ = row_of(str(kept), "ce")
    assert (plain.title, plain.preset.size, plain.side, plain.enlarged) == ("CE", 64, 64, False)
    with pytest.raises(ConfigError, match="telea has no size of its own"):
        row_of("telea", "telea", enlarged=True)


def edit(kept: Path, **changes: Any) -> None:
    path = kept / "generator.json"
    about = json.loads(path.read_text())
    about["config"] = about["config"] | changes if changes else None
    path.write_text(json.dumps(about))


def test_weights_that_cannot_be_used_are_refused_by_name(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_generator(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"no generator\.safetensors"):
        load_generator(tmp_path / "empty")
    held = (kept / "generator.json").read_text()
    edit(kept, preset={"name": "smoke"})
    with pytest.raises(CheckpointError, match="do not fit ContextEncoder"):
        load_generator(kept)
    (kept / "generator.json").write_text(held)
    edit(kept, method="magic")
    with pytest.raises(ConfigError, match=r"generator\.json: unknown method"):
        load_generator(kept)
    (kept / "generator.json").write_text(held)
    edit(kept)
    with pytest.raises(CheckpointError, match="does not say how it was trained"):
        load_generator(kept)
    (kept / "generator.json").write_text(held)
    content = bytearray((kept / "generator.safetensors").read_bytes())
    content[-1] ^= 1
    (kept / "generator.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256"):
        load_generator(kept)
