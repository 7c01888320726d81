"""Photographs in files and folders: on the command line, one or many, each repaired or named with its reason."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made import drawn, fresh_runs
from PIL import Image
from skimage import data

from faceinpaint import cli
from faceinpaint.errors import DataError
from faceinpaint.files import claimed
from faceinpaint.repair import folder as files
from faceinpaint.repair import trained
from faceinpaint.repair.photograph import Repairer
from faceinpaint.repair.repaired import Repair


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs ``photos/{a.png,b.jpg,c.webp}`` with ``holes/``, in the working folder."""
    for name in ("photos", "holes"):
        (tmp_path / name).mkdir()
    image, hole, _ = drawn(40, 50)
    for name in ("a.png", "b.jpg", "c.webp"):
        Image.fromarray(image).save(tmp_path / "photos" / name)
        Image.fromarray(hole * 255).save(tmp_path / "holes" / f"{name[0]}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["faceinpaint", *words])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0, *capfd.readouterr()  # type: ignore[return-value]


def test_one_photograph_on_the_command_line(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["inpaint", "photos/b.jpg", "--hole", "holes/b.png", "--weights", str(runs / "ours")]
    code, out, err = call(monkeypatch, capfd, *words, "--box", "10,8,25,25", "--outside", "classical",
                          "--out", "new/b.png", "--compare", "new/compared.png")  # fmt: skip
    assert code == 0, err
    assert out == "new/b.png\n"
    assert f"weights: {runs / 'ours'}" in err
    assert "face: 10,8,25,25" in err
    assert "filled classically" in err
    with Image.open("photos/b.jpg") as before, Image.open("new/b.png") as after:
        known = np.asarray(Image.open("holes/b.png")) == 0
        assert np.array_equal(np.asarray(before)[known], np.asarray(after)[known])
    with Image.open("new/compared.png") as sheet:
        assert sheet.size[1] > 256
    assert sorted(p.name for p in (folder / "new").iterdir()) == ["b.png", "compared.png"]


def test_a_folder_goes_on_where_it_was_and_past_bad_files(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["inpaint", "photos", "--hole", "holes", "--out", "out", "--box", "whole", "--weights", str(runs / "ours")]
    (folder / "photos" / "bad.png").write_bytes(b"no picture")
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save("holes/bad.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("photos/lonely.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("photos/c.png")
    (folder / "photos" / "notes.txt").write_text("not a photograph")
    (folder / "photos" / "more").mkdir()
    (folder / "holes" / "nobody.png").write_bytes((folder / "holes" / "a.png").read_bytes())
    code, out, err = call(monkeypatch, capfd, *words)
    assert code == 2
    assert out == "2 repaired, 0 there before, 4 failed -> out\n"
    assert err.count("Failed:") == 4
    assert "bad.png: it is not a picture" in err
    assert "there is no hole named lonely" in err
    assert "there are 2 photographs named c" in err
    assert "nobody.png: there is no photograph named nobody" in err
    assert [line for line in err.splitlines() if line.startswith("Left out")] == [
        "Left out: photos/more: no photograph", "Left out: photos/notes.txt: no photograph"
    ]  # fmt: skip
    assert sorted(p.name for p in (folder / "out").iterdir()) == [".lock", "a.png", "b.png", files.MADE_FROM]

    times = {p.name: p.stat().st_mtime_ns for p in (folder / "out").glob("*.png")}
    for name in ("photos/bad.png", "photos/lonely.png", "photos/c.png", "holes/bad.png", "holes/nobody.png"):
        (folder / name).unlink()
    code, out, err = call(monkeypatch, capfd, *words)
    assert (code, out) == (0, "1 repaired, 2 there before, 0 failed -> out\n")
    assert all((folder / "out" / name).stat().st_mtime_ns == time for name, time in times.items())


def test_another_photograph_of_the_person_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    portrait = data.astronaut()[:260, 80:340]
    hole, corner = np.zeros((2, 260, 260), np.uint8)
    hole[90:116, 104:190], corner[:20, :20] = 255, 255
    for name, picture in (
        ("photo", portrait), ("hole", hole), ("corner", corner), ("other", portrait[:, ::-1]),
        ("two", np.hstack([portrait] * 2)), ("wall", np.full_like(portrait, 120)),
    ):  # fmt: skip
        Image.fromarray(np.ascontiguousarray(picture)).save(f"{name}.png")
    words = ["inpaint", "photo.png", "--hole", "hole.png", "--out", "new.png"]
    code, out, err = call(monkeypatch, capfd, *words, "--like", "other.png")
    assert (code, out) == (0, "new.png\n"), err
    assert re.search(r"^Note: other\.png lends styles: .*eyes \(\d+%\)", err, re.M)
    for bad, said in (
        ("wall", r"wall\.png: no face was found\. Give a photograph that shows .*"),
        ("two", r"two\.png: 2 faces were found \(.*\)\. Give a photograph that shows .*"),
        ("absent", r"absent\.png: there is no such file\. .*"),
    ):
        (tmp_path / "new.png").unlink(missing_ok=True)
        code, _, err = call(monkeypatch, capfd, *words, "--like", f"{bad}.png")
        assert code == 2
        assert re.fullmatch(f"(?:weights: .*\n)?.*{said}\n", err)
        assert not (tmp_path / "new.png").exists()
    words = ["inpaint", "photo.png", "--hole", "corner.png", "--out", "new.png", "--outside", "classical"]
    code, _, err = call(monkeypatch, capfd, *words, "--box", "130,100,60,60", "--like", "other.png")
    assert code == 2
    assert re.search(r"photo\.png: no face is repaired, only what lies outside.*--like", err)
    assert call(monkeypatch, capfd, *words[:-3], "other.png", "--like", "other.png")[0] == 2  # would replace it


def test_what_changed_since_is_repaired_again_and_all_if_asked(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["inpaint", "photos", "--hole", "holes", "--out", "out", "--box", "whole", "--weights", str(runs / "ours")]
    assert call(monkeypatch, capfd, *words)[1] == "3 repaired, 0 there before, 0 failed -> out\n"
    first = (folder / "out" / "a.png").read_bytes()
    _, hole, _ = drawn(40, 50)
    Image.fromarray(np.roll(hole, 9, axis=1) * 255).save("holes/a.png")
    assert call(monkeypatch, capfd, *words)[1] == "1 repaired, 2 there before, 0 failed -> out\n"
    assert (folder / "out" / "a.png").read_bytes() != first
    Image.fromarray(drawn(40, 50)[0][:, ::-1]).save("photos/c.webp")
    assert call(monkeypatch, capfd, *words)[1] == "1 repaired, 2 there before, 0 failed -> out\n"
    assert call(monkeypatch, capfd, *words)[1] == "0 repaired, 3 there before, 0 failed -> out\n"
    assert call(monkeypatch, capfd, *words, "--again")[1] == "3 repaired, 0 there before, 0 failed -> out\n"
    words[-1] = str(runs / "gated")
    assert call(monkeypatch, capfd, *words)[1] == "3 repaired, 0 there before, 0 failed -> out\n"
    (folder / "out" / files.MADE_FROM).write_text("{")
    assert call(monkeypatch, capfd, *words)[1] == "3 repaired, 0 there before, 0 failed -> out\n"


def test_one_hole_for_a_folder_of_all_formats(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    image, hole, _ = drawn(40, 50)
    for name in ("d.tif", "e.bmp", "f.gif", "g.avif"):
        Image.fromarray(image).save(folder / "photos" / name)
    for name in ("h.jfif", "i.jpe"):
        Image.fromarray(image).save(folder / "photos" / name, "JPEG")
    Image.fromarray(hole * 255).save(folder / "photos" / "hole.png")
    words = ["inpaint", "photos", "--hole", "photos/hole.png", "--out", "out", "--box", "whole",
             "--weights", str(runs / "ours")]  # fmt: skip
    code, out, err = call(monkeypatch, capfd, *words)
    assert (code, out) == (0, "9 repaired, 0 there before, 0 failed -> out\n"), err
    assert "Left out" not in err
    for path in (folder / "photos").iterdir():
        if path.stem != "hole":
            with Image.open(path) as before, Image.open(folder / "out" / f"{path.stem}.png") as after:
                same = (np.asarray(before.convert("RGB")) == np.asarray(after.convert("RGB"))).all(2)
            assert same[hole == 0].all(), path.name
            assert not same[hole == 1].all(), path.name


def test_a_soft_mask_is_told(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    soft = np.zeros((40, 50), np.uint8)
    soft[10:20, 10:20], soft[10:20, 20] = 255, 100
    Image.fromarray(soft).save("holes/a.png")
    words = ["--box", "whole", "--weights", str(runs / "ours")]
    _, _, err = call(monkeypatch, capfd, "inpaint", "photos/a.png", "--hole", "holes/a.png", "--out", "a.png", *words)
    told = "Note: holes/a.png: 0.5% of the mask is neither black nor white, and was cut at the middle grey, 128"
    assert told in err
    _, _, err = call(monkeypatch, capfd, "inpaint", "photos", "--hole", "holes", "--out", "out", *words)
    assert err.count("Note:") == 1
    assert told in err


def test_an_unforeseen_error_of_one_photograph_does_not_stop_the_rest(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = list(files.jobs_of(folder / "photos", folder / "holes", folder / "out", None, folder / "compared"))

    def repair(tool: Repairer, job: files.Job) -> Repair:
        if job.photo.name == "b.jpg":
            raise ZeroDivisionError("by nothing")
        return files.repair_file(tool, job, boxes="whole")

    told = []
    made, there, failed, _ = files.repair_all(
        Repairer.load(runs / "ours"), jobs, repair, lambda n, name: told.append(name)
    )
    assert (made, there) == (2, 0)
    assert "b.jpg: it cannot be repaired (ZeroDivisionError: by nothing)" in str(failed[0])
    assert told == ["a.png", "b.jpg", "c.webp"]
    assert sorted(p.name for p in (folder / "compared").iterdir()) == ["a.png", "c.png"]
    assert json.loads((folder / "out" / files.MADE_FROM).read_text()).keys() == {"a.png", "c.png"}


BAD = {
    "a lossy output": "inpaint photos/a.png --hole holes/a.png --out a.jpg",
    "over the photograph": "inpaint photos/a.png --hole holes/a.png --out photos/a.png",
    "over the hole": "inpaint photos/a.png --hole holes/a.png --out holes/a.png",
    "the comparison over the photograph": "inpaint photos/a.png --hole holes/a.png --out a.png --compare photos/a.png",
    "the comparison over the hole": "inpaint photos/a.png --hole holes/a.png --out b.png --compare ./holes/a.png",
    "over the map": "inpaint photos/a.png --hole holes/a.png --out maps/a.png --parsing maps/a.png",
    "comparison over the map": "inpaint photos/a.png --hole holes/a.png --out a.png --parsing m.png --compare m.png",
    "both in one file": "inpaint photos/a.png --hole holes/a.png --out a.png --compare ./a.png",
    "comparisons among photographs": "inpaint photos --hole holes --out out --compare photos",
    "into the maps": "inpaint photos --hole holes --out maps --parsing maps",
    "comparisons among repairs": "inpaint photos --hole holes --out out --compare out",
    "by a link": "inpaint photos --hole holes --out out --compare link",
    "a box of words": "inpaint photos/a.png --hole holes/a.png --out a.png --box face",
    "a box for a folder": "inpaint photos --hole holes --out out --box 1,2,3,4",
    "no answer": "inpaint photos/a.png --hole holes/a.png --out a.png --outside perhaps",
    "a folder and no hole": "inpaint photos --hole holes/none.png --out out",
    "maps in a file": "inpaint photos --hole holes --out out --parsing m.png",
    "into its own folder": "inpaint photos --hole holes --out photos",
    "a folder of nothing": "inpaint empty --hole holes --out out",
    "no photograph": "inpaint none.png --hole holes/a.png --out a.png",
    "no hole": "inpaint photos/a.png --hole none.png --out a.png",
    "a comparison in JPEG": "inpaint photos/a.png --hole holes/a.png --out a.png --compare a.jpg",
    "a hole that is none": "inpaint photos/a.png --hole photos/a.txt --out a.png",
    "no face": "inpaint photos/a.png --hole holes/a.png --out a.png --box 1000,1000,20,20",
    "no parser": "inpaint photos/a.png --hole holes/a.png --out a.png --box whole --weights RUNS/away/alone",
    "other weights": "inpaint photos/a.png --hole holes/a.png --out a.png --box whole --weights RUNS/parser",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_with_one_message_and_nothing_written(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    (folder / "empty").mkdir()
    (folder / "photos" / "a.txt").write_text("no picture")
    (folder / "maps").mkdir()
    for place in ("m.png", "maps/a.png", "maps/b.png", "maps/c.png"):
        Image.fromarray(drawn(40, 50)[2]).save(place)
    (folder / "link").symlink_to(folder / "photos")
    words = BAD[name].replace("RUNS", str(runs)).split()
    if "--box" not in words and name not in ("a box for a folder", "no face"):
        words += ["--box", "whole"]
    if "--weights" not in words:
        words += ["--weights", str(runs / "ours")]
    before = {path: path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}
    code, out, err = call(monkeypatch, capfd, *words)
    assert (code, out) == (2, "")
    assert err.count("Error:") == 1
    assert "Traceback" not in err
    assert {path: path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))} == before


def test_weights_are_listed_and_added_and_used_by_default(
    folder: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trained, "FOLDER", folder / "no checkout")
    monkeypatch.setenv("FACEINPAINT_TRAINED", str(folder / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(trained, "PUBLISHED", folder / "none.json")
    code, out, _ = call(monkeypatch, capfd, "weights", "list")
    assert (code, out) == (0, f"none in {folder / 'weights'}, {folder / 'cache' / 'faceinpaint' / 'trained'}\n")
    words = ["inpaint", "photos/a.png", "--hole", "holes/a.png", "--out", "a.png", "--box", "whole"]
    code, _, err = call(monkeypatch, capfd, *words)
    assert (code, "there are no trained weights" in err) == (2, True)
    code, out, err = call(monkeypatch, capfd, "weights", "add", str(runs / "ours"), "--name", "fresh",
                          "--trained-on", "nothing at all", "--licence", "MIT")  # fmt: skip
    assert (code, out) == (0, "fresh: trained on nothing at all; MIT\n"), err
    assert call(monkeypatch, capfd, "weights", "list")[1] == out
    code, _, err = call(monkeypatch, capfd, *words)
    assert (code, "weights: fresh: trained on nothing at all; MIT" in err) == (0, True)


def test_the_command_imports_nothing_that_it_does_not_use(folder: Path, runs: Path) -> None:
    heavy = "torch._dynamo", "sympy", "scipy", "skimage", "torchvision", "lightning_fabric", "tensorboard", "matplotlib"
    program = (
        "import sys; from faceinpaint import cli\ntry: cli.main()\nexcept SystemExit as end: assert not end.code\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    words = ["inpaint", "photos/a.png", "--hole", "holes/a.png", "--box", "whole", "--out", "a.png"]
    command = [sys.executable, "-c", program, *words, "--weights", str(runs / "ours")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1] == "[]"


def test_one_run_at_a_time_writes_into_a_folder(folder: Path) -> None:
    # Two at once lost each other's entries of what repairs were made from, and each other's temporary files.
    jobs = list(files.jobs_of(folder / "photos", folder / "holes", folder / "out"))
    with claimed(folder / "out"), pytest.raises(DataError, match="another run is writing there"):
        files.repair_all(Repairer.load(), jobs, files.repair_file)
    assert not list((folder / "out").glob("*.png"))


def test_a_link_to_nowhere_does_not_hide_what_went_wrong(folder: Path) -> None:
    (folder / "photos" / "link.txt").symlink_to(folder / "nowhere")
    assert [p.name for p in files.left_out(folder / "photos", folder / "holes")] == ["link.txt"]


def test_another_photograph_is_read_once_for_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool, read = Repairer.load(), []
    monkeypatch.setattr(tool, "likeness", lambda pixels: read.append(pixels.shape), raising=False)
    monkeypatch.setattr(Repairer, "repair", lambda self, photo, *_, **__: Repair(photo, (), 0))
    jobs = list(files.jobs_of(folder / "photos", folder / "holes", folder / "out", like=folder / "photos" / "a.png"))
    made, _, failed, _ = files.repair_all(tool, jobs, files.repair_file)
    assert (made, failed, len(read)) == (3, [], 1)


def test_a_folder_tells_of_each_photograph_what_one_alone_is_told(folder: Path) -> None:
    # A photograph without a face was smeared, one with its mask inverted wiped away, and nobody was told.
    for path in (folder / "photos").iterdir():
        path.unlink()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save("photos/a.png")
    Image.fromarray(np.full((64, 64), 255, np.uint8) * (np.arange(64) > 3)).save("holes/a.png")
    jobs = [job for job in files.jobs_of(Path("photos"), Path("holes"), Path("out")) if isinstance(job, files.Job)]
    made, _, failed, notes = files.repair_all(
        Repairer.load(), jobs, lambda tool, job: files.repair_file(tool, job, outside="classical")
    )
    assert (made, failed) == (1, [])
    assert notes == [
        "holes/a.png: the hole is 93.8% of the photograph; --black-is-hole takes it the other way round",
        "photos/a.png: no face was repaired, filled classically: 3,840 pixels",
    ]
