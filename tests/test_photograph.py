"""Repairing a photograph: known pixels, sizes, depths, faces, seams, folders, and what must not be looked at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made import drawn, fresh_runs
from PIL import Image
from skimage import data

import faceinpaint
from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.toy import toy_faces
from faceinpaint.errors import CheckpointError, ConfigError, DataError
from faceinpaint.metrics import psnr, ssim
from faceinpaint.models.parser import parse
from faceinpaint.regions import REGIONS
from faceinpaint.repair import photograph, trained
from faceinpaint.repair.colour import line_of
from faceinpaint.repair.finder import Sight
from faceinpaint.repair.framing import STEP, Box, Frame
from faceinpaint.repair.photograph import Guess, Repairer, inpaint
from faceinpaint.training.run import load_generator, load_parser


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_runs(tmp_path_factory.mktemp("runs"))


# --------------------------------------------------------------------------------------------------- known pixels


@pytest.mark.parametrize("size", [(32, 32), (47, 33), (20, 90), (201, 150), (16, 16)])
@pytest.mark.parametrize("name", ["ours", "single", "gated"])
def test_known_pixels_come_back_bit_for_bit_at_any_size(name: str, size: tuple[int, int], runs: Path) -> None:
    photo, hole, parsing = drawn(*size)
    before = photo.copy(), hole.copy(), parsing.copy()
    repaired = inpaint(photo, hole, parsing if name == "ours" else None, weights=runs / name, boxes="whole")
    assert (repaired.shape, repaired.dtype) == (photo.shape, np.uint8)
    assert np.array_equal(repaired[hole == 0], photo[hole == 0])
    assert (repaired[hole == 1] != photo[hole == 1]).any()
    for given, was in zip((photo, hole, parsing), before, strict=True):
        assert np.array_equal(given, was)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_grey_transparent_and_deep_photographs_keep_their_kind(channels: int | None, dtype: type, runs: Path) -> None:
    photo, hole, _ = drawn(60, 50)
    photo = photo.astype(dtype) * (257 if dtype is np.uint16 else 1)
    alpha = np.full((60, 50, 1), np.iinfo(dtype).max, dtype)
    alpha[:5] = 0
    if dtype is np.uint16:
        photo[1::2] -= photo[1::2] // 3  # values that 8 bits do not hold
    planes = {1: photo[..., :1], 2: np.dstack([photo[..., :1], alpha]), 3: photo, 4: np.dstack([photo, alpha])}
    given = photo[..., 0] if channels is None else planes[channels]
    repaired = inpaint(given, hole, weights=runs / "ours", boxes="whole")
    assert (repaired.shape, repaired.dtype) == (given.shape, given.dtype)
    assert np.array_equal(repaired[hole == 0], given[hole == 0])
    assert not np.array_equal(repaired[hole == 1], given[hole == 1])
    if channels in (2, 4):
        inside = hole == 1
        inside[:12] = False  # far from the transparent rows the hole is as opaque as what is around it
        assert (repaired[inside][:, -1] > 0.9 * np.iinfo(dtype).max).all()
    if dtype is np.uint16 and channels == 3:
        assert len(np.unique(repaired[hole == 1])) > 300  # more than 256 levels: computed at full depth


@pytest.mark.parametrize("size", [(32, 32), (47, 33), (201, 150)])
@pytest.mark.parametrize("name", ["ours", "gated"])
def test_what_lies_under_the_hole_is_never_looked_at(name: str, size: tuple[int, int], runs: Path) -> None:
    photo, hole, parsing = drawn(*size)
    photo = np.dstack([photo, photo[..., :1]])
    for box in ("whole", [(0.1 * size[1], 0.1 * size[0], 0.7 * size[1], 0.7 * size[0], 20)]):
        results = []
        for colour in (0, 255):
            photo[hole == 1] = colour
            results.append(inpaint(photo, hole, parsing, weights=runs / name, boxes=box, outside="classical"))
        assert np.array_equal(*results)


def test_a_single_missing_pixel_of_a_large_photograph_is_a_hole(runs: Path) -> None:
    photo = np.full((1200, 1200, 3), 90, np.uint8)
    hole = np.zeros((1200, 1200), np.uint8)
    hole[600, 600] = 1
    results = []
    for colour in (0, 255):
        photo[600, 600] = colour
        results.append(inpaint(photo, hole, weights=runs / "gated", boxes="whole"))
    assert np.array_equal(*results)


def test_any_nonzero_value_of_the_mask_is_hole_and_none_is_fine(runs: Path) -> None:
    photo, hole, _ = drawn(40, 40)
    tool = Repairer.load(runs / "gated")
    one = inpaint(photo, hole, weights=tool, boxes="whole")
    assert np.array_equal(one, inpaint(photo, hole * 255, weights=tool, boxes="whole"))
    assert np.array_equal(one, inpaint(photo, hole.astype(bool), weights=tool, boxes="whole"))
    assert np.array_equal(inpaint(photo, hole * 0, weights=tool), photo)
    everything = inpaint(photo, np.ones_like(hole), weights=tool, boxes="whole")
    assert everything.shape == photo.shape


# --------------------------------------------------------------------------------------------------- map and seam


def test_the_map_matters_where_it_is_read(runs: Path) -> None:
    photo, hole, parsing = drawn(64, 64)
    options: dict[str, Any] = {"weights": runs / "ours", "boxes": "whole"}
    given, other, predicted = (inpaint(photo, hole, m, **options) for m in (parsing, np.ones_like(parsing), None))
    assert not np.array_equal(given, other)
    assert not np.array_equal(given, predicted)
    options["weights"] = runs / "single"
    assert np.array_equal(*(inpaint(photo, hole, m, **options) for m in (parsing, None)))


def test_the_map_is_the_parsers_of_the_damaged_face(runs: Path) -> None:
    photo, hole, _ = drawn(64, 64)
    tool = Repairer.load(runs / "ours")
    face = tool.repair(photo, hole, boxes="whole").faces[0]
    image = torch.from_numpy(photo * (1 - hole[..., None])).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert tool.parser is not None
    expected = parse(tool.parser, image * (hole == 0), torch.from_numpy(hole)[None, None].float())
    assert np.array_equal(face.regions, expected[0].numpy())
    assert np.array_equal(face.image, photo * (1 - hole[..., None]))
    assert np.array_equal(face.hole, hole)


def test_there_is_no_step_at_the_edge_of_the_hole(runs: Path) -> None:
    """Untrained, the generator's colours are far off; the repair still meets a smooth photograph smoothly."""
    ramp = np.add.outer(np.arange(120), np.arange(120))
    photo = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    hole = np.zeros((120, 120), np.uint8)
    hole[40:80, 30:90] = 1
    done = Repairer.load(runs / "gated").repair(photo, hole, boxes="whole")
    step = np.abs(done.pixels[40, 30:90].astype(float) - photo[39, 30:90]).mean()
    raw = np.asarray(Image.fromarray(done.faces[0].output).resize((120, 120)))
    assert np.abs(raw[40, 30:90].astype(float) - photo[39, 30:90]).mean() > 10
    assert step < 5


# --------------------------------------------------------------------------------------------------- faces and holes


def crowd() -> np.ndarray:
    """Two portraits side by side, the second one mirrored."""
    face = data.astronaut()[:260, 80:340]
    return np.hstack([face, face[:, ::-1]])


LEFT, RIGHT = Box(92, 79, 83, 83), Box(260 + 85, 79, 83, 83)


def spots(*places: tuple[int, int], shape: tuple[int, int] = (260, 520)) -> np.ndarray:
    hole = np.zeros(shape, np.uint8)
    for x, y in places:
        hole[y : y + 18, x : x + 20] = 1
    return hole


def believed(tool: Repairer, monkeypatch: pytest.MonkeyPatch) -> Repairer:
    """Untrained, the parser sees no face anywhere: here it has no opinion."""
    monkeypatch.setattr(photograph, "doubt", lambda regions, hole: None)
    monkeypatch.setattr(photograph, "certainty_of", lambda likely, hole: 0.0)
    return tool


def test_the_face_is_found_and_framed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, hole = crowd(), spots((140, 100))
    done = believed(Repairer.load(runs / "ours"), monkeypatch).repair(photo, hole)
    assert len(done.faces) == 1
    assert done.classical == 0
    box = done.faces[0].box
    assert box is not None
    assert np.hypot(*np.subtract(box.centre, LEFT.centre)) < 15
    assert np.array_equal(done.pixels[hole == 0], photo[hole == 0])


def test_a_face_that_the_parser_doubts_is_refused_with_the_reason_and_what_to_type(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photograph, "doubt", lambda regions, hole: "it has no nose")
    photo, hole, tool = crowd(), spots((140, 100)), Repairer.load(runs / "ours")
    with pytest.raises(
        DataError, match=r"no face was found \(\d.* might be one, but it has no nose\)\. .*--box.*--out"
    ):
        tool.repair(photo, hole)
    assert tool.repair(photo, hole, outside="classical").faces == ()
    assert len(tool.repair(photo, hole, boxes=[LEFT]).faces) == 1  # who gives a box is not asked


def test_a_face_that_is_hardly_seen_is_framed_where_the_parser_is_most_certain(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, hole = Repairer.load(runs / "ours"), np.zeros((200, 200), bool)
    hole[60:140, 60:140] = True
    colours = np.zeros((200, 200, 3), np.float32)
    points = np.array([[-0.125, 0], [0.125, 0], [0, 0.13], [-0.1, 0.26], [0.1, 0.26]]) * 100 + (100, 90)
    right = Box.of(Sight(0.6, points)).moved(STEP, 0, 1)

    def certain(colours: np.ndarray, hole: np.ndarray, frame: Frame) -> Guess:
        off = abs(frame.x - Frame.around(right).x) / 100
        return Guess(np.zeros((16, 16), np.uint8), np.ones((16, 16), bool), -off)

    monkeypatch.setattr(tool, "guess", certain)
    found, guess = tool.settle(colours, hole, Box.of(Sight(0.6, points)))
    assert found == pytest.approx(right)
    assert guess.certainty == pytest.approx(0, abs=0.02)


def test_a_face_that_is_not_seen_once_it_is_repaired_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = believed(Repairer.load(runs / "ours"), monkeypatch)
    monkeypatch.setattr(photograph, "SURE", 1.0)  # no face is taken unasked
    photo, hole, again = crowd(), spots((140, 100), (120, 110), (100, 120), (130, 130)), []
    monkeypatch.setattr(tool, "look_again", lambda colours, hole, box: again.append(box) or 0.4)
    with pytest.raises(DataError, match="might be one, but repaired there, it is not seen as one"):
        tool.repair(photo, hole)
    assert len(again) == 3, "the face that the hole touches, settled and as it was seen, and one where the hole is"
    monkeypatch.setattr(tool, "look_again", lambda colours, hole, box: 0.9)
    (face,) = tool.repair(photo, hole).faces
    assert np.hypot(*np.subtract(face.box.centre, LEFT.centre)) < 40


def test_a_face_of_which_nothing_is_seen_is_looked_for_where_the_hole_is(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = believed(Repairer.load(runs / "ours"), monkeypatch)
    photo, hole = np.full((200, 200, 3), 128, np.uint8), np.zeros((200, 200), np.uint8)
    hole[60:140, 60:140] = 1
    with pytest.raises(DataError, match=r"no face was found\. "):  # nothing known of it is told
        tool.repair(photo, hole)
    monkeypatch.setattr(tool, "look_again", lambda colours, hole, box: 0.9)
    (face,) = tool.repair(photo, hole).faces
    assert (face.frame.x, face.frame.y) == pytest.approx((99.5, 99.5), abs=2)
    blind = Repairer.load(runs / "gated")  # without a parser there is no second opinion, and nothing is guessed
    with pytest.raises(DataError, match=r"no face was found\. "):
        blind.repair(photo, hole)


def test_a_repaired_face_is_seen_again_where_it_lies_and_not_beside(runs: Path) -> None:
    tool, photo = Repairer.load(runs / "ours"), data.astronaut()[:260, 80:340].astype(np.float32)
    hole = np.zeros(photo.shape[:2], bool)
    hole[120:126, 100:110] = True  # too small for an untrained network to spoil the face
    box = Box.framed(145, 106, 168)
    assert tool.look_again(photo, hole, box) > 0.7
    turned, back = np.rot90(photo).copy(), np.rot90(hole).copy()
    assert tool.look_again(turned, back, Box.framed(106, 260 - 145, 168, -90)) > 0.7
    assert tool.look_again(photo, hole, box.moved(0.3, 0, 1)) == 0


def test_nothing_is_painted_where_nothing_of_the_face_is_left() -> None:
    photo, hole = data.astronaut(), np.zeros((512, 512), np.uint8)
    hole[70:177, 166:265] = 1
    with pytest.raises(DataError, match="no face was found"):
        inpaint(photo, hole)
    done = Repairer.load().repair(photo, hole, outside="classical")
    assert (len(done.faces), done.classical) == (0, hole.sum())


def test_the_weights_of_the_repository_find_a_face_that_the_edge_cuts_and_none_in_a_wall() -> None:
    tool, portrait = Repairer.load(), data.astronaut()[:260, 80:225]  # half of the face, at the right edge
    hole = np.zeros(portrait.shape[:2], bool)
    hole[85:105, 105:130] = True
    (box,), _ = tool.find(np.where(hole[..., None], 0, portrait).astype(np.float32), hole)
    frame = Frame.around(box)
    assert np.hypot(frame.x - 145, frame.y - 106) < 25
    wall = np.repeat(data.brick()[:260, :260, None], 3, axis=2).astype(np.float32)
    large = np.zeros(wall.shape[:2], bool)
    large[40:220, 40:220] = True
    wall[large] = 0
    assert tool.find(wall, large)[0] == []


@pytest.mark.parametrize("name", ["ours", "gated"])
def test_a_photograph_without_colour_gets_a_repair_without_colour(name: str, runs: Path) -> None:
    photo, hole, _ = drawn(80, 70)
    grey = np.repeat(photo[..., 1:2], 3, axis=2)
    for kind in (grey, np.dstack([grey, np.full((80, 70), 200, np.uint8)]), grey.astype(np.uint16) * 257):
        done = inpaint(kind, hole, weights=runs / name, boxes="whole")
        assert (done[..., :3] == done[..., :1]).all()
        assert np.array_equal(done[hole == 0], kind[hole == 0])


def test_a_sepia_photograph_gets_a_sepia_repair(runs: Path) -> None:
    photo, hole, _ = drawn(80, 70)
    sepia = np.rint(photo[..., 1:2] * [0.95, 0.78, 0.55] + [10, 6, 2]).astype(np.uint8)
    done = inpaint(sepia, hole, weights=runs / "gated", boxes="whole")
    line = line_of(sepia[hole == 0], 255)
    assert line.reach < 2
    assert line.distance(done[hole == 1]).max() <= line.distance(sepia[hole == 0]).max()


def test_colour_under_full_transparency_is_nobodys(runs: Path) -> None:
    photo, hole, _ = drawn(80, 70)
    alpha = np.full((80, 70, 1), 255, np.uint8)
    alpha[:, :30] = 0
    cut_out = np.dstack([photo, alpha])
    results = []
    for hidden in ((0, 255, 0), (0, 0, 0)):
        cut_out[:, :30, :3] = hidden
        results.append(inpaint(cut_out, hole, weights=runs / "ours", boxes="whole"))
        outside = inpaint(cut_out, hole, weights=runs / "ours", boxes=[(60, 60, 9, 9)], outside="classical")
        results.append(outside)
    for one, other in (results[::2], results[1::2]):
        assert np.array_equal(one[hole == 1], other[hole == 1])


def test_several_faces_are_each_repaired_alone(runs: Path) -> None:
    photo, tool = crowd(), Repairer.load(runs / "ours")
    both = tool.repair(photo, spots((140, 100), (365, 100)), boxes=[LEFT, RIGHT])
    assert [face.box for face in both.faces] == [LEFT, RIGHT]
    one = tool.repair(photo, spots((140, 100)), boxes=[LEFT, RIGHT])
    assert [face.box for face in one.faces] == [LEFT]
    assert np.array_equal(one.pixels[:, :260], both.pixels[:, :260])


def test_a_repair_is_not_what_the_next_face_sees(runs: Path) -> None:
    photo, tool = crowd(), Repairer.load(runs / "ours")
    close, hole = LEFT._replace(x=LEFT.x + 70), spots((140, 100), (190, 100))
    boxes = [LEFT, close]
    one, other = tool.repair(photo, hole, boxes=boxes), tool.repair(photo, hole, boxes=boxes[::-1])
    assert [face.box for face in one.faces] == boxes
    for face, same in zip(one.faces, other.faces[::-1], strict=True):
        assert np.array_equal(face.image, same.image)
        assert np.array_equal(face.regions, same.regions)  # type: ignore[arg-type]
    assert np.array_equal(one.pixels, other.pixels)
    flat = np.full_like(photo, 120)
    for face in tool.repair(flat, hole, boxes=boxes).faces:
        assert np.ptp(face.image[face.hole == 0]) == 0  # nothing of the other hole is seen beside it


def test_a_hole_outside_any_face_is_refused_or_filled_classically(runs: Path) -> None:
    photo, hole, tool = crowd(), spots((140, 100), (230, 225)), Repairer.load(runs / "ours")
    with pytest.raises(DataError, match=r"50\.0% of the hole lie outside the faces \(92,79,83,83\).*classical"):
        tool.repair(photo, hole, boxes=[LEFT])
    with pytest.raises(DataError, match="lies outside the faces"):
        tool.repair(photo, spots((230, 225)), boxes=[LEFT])
    done = tool.repair(photo, hole, boxes=[LEFT], outside="classical")
    assert done.classical == 360
    assert np.array_equal(done.pixels[hole == 0], photo[hole == 0])
    filled = done.pixels[225:243, 230:250].astype(float)
    around = photo[224:244, 229:251].astype(float)
    assert np.abs(filled.mean((0, 1)) - around.mean((0, 1))).max() < 40
    flat = np.full((80, 80, 3), 120, np.uint8)
    with pytest.raises(DataError, match="no face was found"):
        tool.repair(flat, spots((30, 30), shape=(80, 80)))
    flat_done = tool.repair(flat, spots((30, 30), shape=(80, 80)), outside="classical")
    assert np.array_equal(flat_done.pixels, flat)
    assert flat_done.faces == ()


def test_a_face_at_the_edge_and_a_tilted_one(runs: Path) -> None:
    photo, hole, _ = drawn(100, 120)
    tool = Repairer.load(runs / "ours")
    for box in ((60, 50, 60, 50), (-10, -10, 50, 50), (10, 10, 90, 90, 30), (30, 30, 40, 40, -170)):
        done = tool.repair(photo, hole, boxes=[box], outside="classical")
        assert np.array_equal(done.pixels[hole == 0], photo[hole == 0])
        assert len(done.faces) == 1


# --------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("box", [(-10000, -10000, 20100, 20100), (0, 0, 5e5, 5e5), (-60, -60, 166, 166, 45)])
def test_a_box_that_asks_for_too_many_pixels_is_refused(box: tuple[float, ...], runs: Path) -> None:
    photo, hole, _ = drawn(64, 64)
    with pytest.raises(ConfigError, match=r"of 64 x 64 at most 256 x 256 .* Give a box that fits the face"):
        inpaint(photo, hole, weights=runs / "gated", boxes=[box])


def test_what_does_not_fit_is_refused(runs: Path, tmp_path: Path) -> None:
    photo, hole, parsing = drawn(40, 30)
    with pytest.raises(DataError, match="hole mask"):
        inpaint(photo, hole.T, parsing, weights=runs / "ours")
    with pytest.raises(DataError, match="parsing map is"):
        inpaint(photo, hole, parsing[1:], weights=runs / "ours")
    with pytest.raises(DataError, match="neither a map nor a parser"):
        inpaint(photo, hole, weights=runs / "away" / "alone")
    with pytest.raises(DataError, match="holds class 19"):
        inpaint(photo, hole, parsing + 19 - parsing, weights=runs / "ours")
    for bad in (photo[None], photo[..., [0] * 5], photo.astype(np.float32)):
        with pytest.raises(DataError, match="the photograph is"):
            inpaint(bad, hole, parsing, weights=runs / "ours")
    for boxes in ("all", [(1, 2, 3)], [(1, 2, 0, 4)]):
        with pytest.raises(ConfigError, match="box"):
            inpaint(photo, hole, parsing, weights=runs / "ours", boxes=boxes)
    with pytest.raises(ConfigError, match="unknown answer"):
        inpaint(photo, hole, parsing, weights=runs / "ours", outside="ignore")
    with pytest.raises(CheckpointError, match="no such"):
        inpaint(photo, hole, parsing, weights=tmp_path / "absent")


def test_weights_that_do_not_belong_together_are_refused(runs: Path) -> None:
    with pytest.raises(ConfigError, match="weights of a parser"):
        Repairer.load(runs / "parser")
    with pytest.raises(CheckpointError, match="Name those of a parser"):
        Repairer.load(runs / "ours", runs / "gated")
    with pytest.raises(ConfigError, match="parser was trained with merge regions, the generator with classes"):
        Repairer.load(runs / "away" / "many", runs / "parser")
    generator, config, _ = load_generator(runs / "ours")
    parser, how, _ = load_parser(runs / "parser")
    as_many = replace(how, merge="accessories")  # as many regions, and other ones
    with pytest.raises(ConfigError, match="merge accessories, the generator with regions"):
        Repairer(generator, config, (parser, as_many))


def test_the_package_gives_inpaint_without_waiting_for_torch(runs: Path) -> None:
    assert faceinpaint.inpaint is inpaint
    with pytest.raises(AttributeError, match="no attribute 'outpaint'"):
        faceinpaint.outpaint  # noqa: B018


# --------------------------------------------------------------------------------------------------- the command


# --------------------------------------------------------------------------------------------------- a real photograph


def test_the_reference_figures_of_a_real_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-image's portrait of Eileen Collins (NASA, public domain), with the weights that come with the repository.

    Made by ``python tools/portrait.py``; made again whenever the weights change.
    """
    entries = trained.listed()
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "tools"))
    import portrait

    record = json.loads(portrait.RECORD.read_text(encoding="utf-8"))
    assert record["weights"]["generator"] == entries[0].generator, "make the figures again: python tools/portrait.py"
    found = portrait.measure()
    assert found["known_pixels_changed"] == 0
    for name, case in record["cases"].items():
        now = found["cases"][name]
        assert now["face"] == pytest.approx(case["face"], abs=2), name
        assert now["psnr"] == pytest.approx(case["psnr"], abs=record["tolerance"]["psnr"]), name
        assert now["ssim"] == pytest.approx(case["ssim"], abs=record["tolerance"]["ssim"]), name


def test_a_face_of_which_nothing_is_left_is_refused_with_what_to_type() -> None:
    photo, tool = data.astronaut()[:300, 40:400], Repairer.load()
    rows, columns = np.mgrid[:300, :360]
    for half_height, half_width in ((110, 85), (130, 110)):  # the face with hair, and more
        hole = ((rows - 110) / half_height) ** 2 + ((columns - 180) / half_width) ** 2 <= 1
        with pytest.raises(DataError, match=r"no face was found.*--box x,y,width,height.*--outside classical"):
            tool.repair(photo, hole)
        done = tool.repair(photo, hole, outside="classical")
        assert done.faces == ()
        assert done.classical == hole.sum()
        assert np.array_equal(done.pixels[~hole], photo[~hole])


def test_the_face_of_a_group_that_the_hole_touches_is_repaired_and_no_other() -> None:
    face = np.asarray(Image.fromarray(data.astronaut()[:260, 90:350]).resize((110, 110)))
    photo = np.full((220, 450, 3), 190, np.uint8)
    corners = ((8, 12), (60, 118), (8, 224), (60, 335))
    for top, left in corners:
        photo[top : top + 110, left : left + 110] = face
    tool = Repairer.load()
    for top, left in corners:
        hole = np.zeros((220, 450), bool)
        hole[top + 58 : top + 68, left + 42 : left + 62] = True  # the mouth
        (found,) = tool.repair(photo, hole).faces
        assert np.hypot(found.frame.x - left - 53, found.frame.y - top - 47) < 10
        assert 55 < found.frame.side < 95


def test_a_large_face_is_repaired_by_the_larger_networks() -> None:
    """Where no weights are named; the others are loaded when they are needed, and named weights repair alone."""
    photo, hole = data.astronaut()[:260, 80:340], np.zeros((260, 260), np.uint8)
    hole[92:114, 150:186] = 1  # an eye
    tool, coarse, finest = Repairer.load(), trained.find(), trained.larger(trained.find())
    assert finest is not None
    assert finest.entry is not None
    assert (coarse.size, finest.size) == (128, 256)
    assert coarse.entry is not None
    assert tool.about == f"{coarse.entry}; faces above 181 pixels by {finest.entry}"
    assert finest.entry.generator in tool.checksum
    small = tool.repair(photo, hole)
    assert [len(face.output) for face in small.faces] == [128]
    assert "_finer" not in vars(tool), "nothing was loaded in vain"
    twice = np.kron(hole, np.ones((2, 2), np.uint8))
    large = np.asarray(Image.fromarray(photo).resize((520, 520), Image.Resampling.BICUBIC))
    done, alone = tool.repair(large, twice), Repairer.load(finest.entry.name).repair(large, twice)
    (face,) = done.faces
    assert len(face.output) == 256
    assert np.array_equal(done.pixels, alone.pixels)
    assert torch.equal(tool.styles(face), Repairer.load(finest.entry.name).styles(face))
    named = Repairer.load(coarse.entry.name)
    assert named.about == str(coarse.entry)
    assert [len(face.output) for face in named.repair(large, twice).faces] == [128]


def test_what_is_known_of_a_small_pixel_is_seen() -> None:
    """A photograph shrunk by two: a small pixel is a hole where all of it is, else the mean of what is known."""
    photo, hole = np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), bool)
    photo[:2, :2] = [[[10], [20]], [[30], [0]]]
    hole[1, 1] = hole[2:, 2:] = True
    small, gone = photograph._shrunk(photo, (~hole).astype(np.float32), 2)
    assert gone.tolist() == [[False, False], [False, True]]
    assert small[0, 0].tolist() == pytest.approx([20, 20, 20])
    assert not small[1, 1].any()


# --------------------------------------------------------------------------------------------------- a likeness


EYES = REGIONS.index("eyes")


def eyes_gone() -> tuple[np.ndarray, np.ndarray]:
    """A portrait, and a hole over both eyes."""
    photo, hole = data.astronaut()[:260, 80:340], np.zeros((260, 260), np.uint8)
    hole[90:116, 104:190] = 1
    return photo, hole


def test_another_photograph_lends_the_styles_of_what_is_gone() -> None:
    (photo, hole), tool = eyes_gone(), Repairer.load()
    other = photo[:, ::-1].copy()
    plain, done = tool.repair(photo, hole), tool.repair(photo, hole, like=other)
    (face,) = done.faces
    assert face.lent is not None
    assert face.regions is not None
    for i, share in enumerate(face.lent, 1):
        inside = face.regions == i
        left = (face.hole[inside] == 0).mean() if inside.any() else 1.0
        assert share == pytest.approx(np.clip((0.5 - left) / 0.4, 0, 1), abs=1e-5), REGIONS[i - 1]
    assert face.lent[EYES] > 0.5
    assert face.lent[REGIONS.index("hair")] == 0
    assert plain.faces[0].lent is None
    changed = (done.pixels != plain.pixels).any(2)
    assert 0 < changed.sum() <= hole.sum()
    assert not changed[hole == 0].any()
    likeness = tool.likeness(other)
    assert np.array_equal(tool.repair(photo, hole, like=likeness).pixels, done.pixels)
    assert np.array_equal(inpaint(photo, hole, weights=tool, like=likeness), done.pixels)
    darker = tool.repair(photo, hole, like=other // 2)
    assert not np.array_equal(darker.pixels, done.pixels)


def test_where_enough_is_left_another_photograph_changes_nothing() -> None:
    photo, _ = eyes_gone()
    hole, tool = spots((150, 130), shape=(260, 260)), Repairer.load()
    done = tool.repair(photo, hole, like=photo[:, ::-1].copy())
    assert done.faces[0].lent is not None
    assert not done.faces[0].lent.any()
    assert np.array_equal(done.pixels, tool.repair(photo, hole).pixels)


def test_what_another_photograph_does_not_show_it_does_not_lend(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, hole, _ = drawn(64, 64)
    tool, maps = Repairer.load(runs / "ours"), iter((4, 3))
    monkeypatch.setattr(photograph, "parse", lambda parser, image, hole: torch.full_like(hole[:, 0], next(maps)))
    likeness = tool.likeness(photo, boxes="whole")
    hole[:] = 1
    lent = tool.repair(photo, hole, boxes="whole", like=likeness).faces[0].lent
    assert lent is not None
    assert not lent.any()


def test_another_photograph_without_a_face_or_with_several_is_refused() -> None:
    (photo, hole), tool = eyes_gone(), Repairer.load()
    with pytest.raises(DataError, match=r"^no face was found\. Give a photograph that shows the face of the same"):
        tool.repair(photo, hole, like=np.full_like(photo, 120))
    with pytest.raises(DataError, match=r"^2 faces were found \([\d,-]+; [\d,-]+\)\. .*and no other\.$"):
        tool.repair(photo, hole, like=crowd())
    with pytest.raises(DataError, match="the photograph is"):
        tool.repair(photo, hole, like=photo.astype(float))


def test_another_photograph_is_refused_where_not_one_face_is_repaired() -> None:
    (photo, _), tool = eyes_gone(), Repairer.load()
    likeness = tool.likeness(photo)
    with pytest.raises(DataError, match=r"no face is repaired.*--like"):
        tool.repair(
            photo, spots((0, 240), shape=(260, 260)), boxes=[(92, 79, 40, 40)], outside="classical", like=likeness
        )
    with pytest.raises(DataError, match=r"lies in 2 faces.*one person"):
        tool.repair(crowd(), spots((140, 100), (365, 100)), boxes=[LEFT, RIGHT], like=likeness)


@pytest.mark.parametrize(
    ("name", "why"), [("gated", "gated-conv reads no"), ("single", "reads no"), ("away/alone", "has no parser")]
)
def test_weights_that_take_no_styles_refuse_another_photograph(name: str, why: str, runs: Path) -> None:
    photo, hole = eyes_gone()
    tool = Repairer.load(runs / name)
    with pytest.raises(ConfigError, match=f"{why}.*takes no styles"):
        tool.repair(photo, hole, np.ones_like(hole), boxes="whole", like=photo)


def test_a_face_at_the_edge_of_the_photograph_is_framed_beyond_it() -> None:
    photo, hole = data.astronaut()[:260, 80:220], np.zeros((260, 140), bool)
    hole[98:118, 106:138] = True
    (found,) = Repairer.load().repair(photo, hole).faces
    assert np.hypot(found.frame.x - 145, found.frame.y - 107) < 25
    assert abs(found.frame.tilt) < 12


def test_the_measures_of_the_reference_figures() -> None:
    flat = torch.full((1, 3, 32, 32), 100.0)
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 8:16, 8:16] = 1
    assert psnr(flat, flat + hole * 10, hole).item() == pytest.approx(28.13, abs=0.01)
    assert ssim(flat, flat).item() == pytest.approx(1)


def test_hard_faces_are_told_by_their_maps(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "tools"))
    import hard_faces

    labels = np.zeros((40, 40), np.uint8)
    labels[5:35, 10:30] = 1  # skin
    labels[15:20, 18:22] = 2  # nose, in the middle
    assert hard_faces.turn(labels) == pytest.approx(0)
    assert hard_faces.turn(np.roll(labels == 2, 6, 1) * 2 + (labels > 0) * (np.roll(labels == 2, 6, 1) == 0)) > 0.25
    hole = np.zeros((40, 40), np.uint8)
    hole[:20] = 1
    assert hard_faces.lost(labels, hole) == pytest.approx(0.5)
    faces, holes = toy_faces(12, 32, "test"), drawn_holes(12, 32, "test")
    groups = hard_faces.measure({"repaired": Repairer.load(runs / "ours")}, faces, holes)
    assert groups["all"]["faces"] == 12
    for group in groups.values():
        assert group["faces"] >= 5
        assert 0 < group["repaired_psnr"] < 60
        assert 0 < group["classical_psnr"] < 60
        assert group["classical_fineness"] < group["true_fineness"]
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    assert hard_faces.fineness(noise, hole) == pytest.approx(1, abs=0.15)
    noise[hole > 0] = 128
    assert hard_faces.fineness(noise, hole) < 0.1


def test_where_nothing_is_known_there_is_no_smooth_fill() -> None:
    photo = np.full((64, 64, 3), 90, np.uint8)
    with pytest.raises(DataError, match="no face was found"):
        Repairer.load().repair(photo, np.ones((64, 64), np.uint8), outside="classical")


def test_a_box_that_is_no_face_is_repaired_with_a_word(an_eye: tuple[np.ndarray, np.ndarray]) -> None:
    photo, hole = an_eye
    tool = Repairer.load()
    good = tool.find(photo * (hole[..., None] == 0).astype(np.float32), hole != 0)[0]
    assert tool.repair(photo, hole, boxes=good).notes == ()
    (told,) = tool.repair(photo, hole, boxes=[(174, 67, 102, 300)]).notes
    assert "may be no face" in told
    with pytest.raises(ConfigError, match="not that of a face"):
        tool.repair(photo, hole, boxes=[(174, 67, 102, 102, 500)])


def test_a_hole_that_is_nearly_everything_is_named(an_eye: tuple[np.ndarray, np.ndarray]) -> None:
    photo, hole = an_eye
    with pytest.raises(DataError, match=r"the hole covers 99\.7% of the photograph, as if black and white"):
        Repairer.load().repair(photo, 1 - hole)


def test_pictures_and_lists_are_arrays_too_and_names_are_not(an_eye: tuple[np.ndarray, np.ndarray]) -> None:
    photo, hole = an_eye
    tool = Repairer.load()
    done = tool.repair(Image.fromarray(photo), hole.tolist(), boxes="whole")
    assert np.array_equal(done.pixels, tool.repair(photo, hole, boxes="whole").pixels)
    with pytest.raises(DataError, match="the photograph is"):
        tool.repair("photo.jpg", hole)
    with pytest.raises(ConfigError, match="not that of a face"):
        tool.repair(photo, hole, boxes=(174, 67, 102, 102))


@pytest.fixture(scope="module")
def an_eye() -> tuple[np.ndarray, np.ndarray]:
    hole = np.zeros((512, 512), np.uint8)
    hole[92:114, 230:266] = 1
    return data.astronaut(), hole
