"""The command line: help, the examples as they are printed, and errors in one line."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import faceinpaint
from faceinpaint import cli
from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.toy import draw
from faceinpaint.options import read_settings
from faceinpaint.training import train as training
from faceinpaint.training.run import configured

COMMANDS = (
    "data toy", "data prepare", "data check", "train", "evaluate", "reproduce", "table", "inpaint", "weights list",
    "weights add", "weights download", "export",
)  # fmt: skip

WIDTHS = {
    "facial-style": ("reading=R1", "width=4", "style_width=4", "critic_width=4"), "parser": ("parser_width=4",),
    "context-encoder": ("baseline_scale=0.06",),
}  # fmt: skip


def tiny(*methods: str) -> list[str]:
    """Settings that make a run of one of these methods, or a table of all, a matter of seconds."""
    shared = ("size=32", "images=8", "batch=4", "faces=6", "holes=6", "pairs_per_bin=2")
    settings = [*shared, *(setting for name in methods for setting in WIDTHS[name])]
    return [part for setting in settings for part in ("--set", setting)]


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Call:
    """Runs a command line in this process, in a folder of its own, as the console script does."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> Result:
        self.capsys.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["faceinpaint", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return Result(caught.value.code or 0, *self.capsys.readouterr())


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("FACEINPAINT_WEIGHTS", raising=False)
    return Call(capsys, monkeypatch)


def shown(*arguments: str) -> str:
    """What --help prints, on lines as long as they need to be."""
    result = CliRunner().invoke(
        cli.app, [*arguments, "--help"], env={"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    )
    assert result.exit_code == 0, result.output
    return result.output


def example(command: str) -> list[str]:
    """The arguments of the first example in the help of a command."""
    found = re.search(r"Example: (?:`)?(faceinpaint [^`\n│]+)", shown(*command.split()))
    assert found, f"no example in the help of {command}"
    words = shlex.split(found[1])
    assert " ".join(words[1:]).startswith(command)
    return words[1:]


# ----------------------------------------------------------------------------------------------------- help


def test_there_are_no_other_commands() -> None:
    def names(group: object) -> Iterator[str]:
        for command in group.registered_commands:
            yield command.name or command.callback.__name__

    groups = {"data": cli.data, "weights": cli.shelf}
    found = [*(f"{group} {name}" for group, app in groups.items() for name in names(app)), *names(cli.app)]
    assert sorted(found) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_and_shows_an_example(command: str) -> None:
    text = shown(*command.split())
    assert "Usage:" in text
    assert example(command)
    assert "Traceback" not in text


def test_help_of_the_groups_names_every_command() -> None:
    for command in COMMANDS:
        group, _, name = command.rpartition(" ")
        assert re.search(rf"\b{name}\b", shown(*group.split()))
    assert CliRunner().invoke(cli.app, ["--version"]).output == f"faceinpaint {faceinpaint.__version__}\n"


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from faceinpaint import cli; "
        "assert CliRunner().invoke(cli.app, ['train', '--help']).exit_code == 0; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faceinpaint", "data", "check", "absent"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: absent: ")
    assert len(done.stderr.splitlines()) == 1


# -------------------------------------------------------------------------------------- the examples as typed


def test_drawing_faces_as_in_the_example(call: Call, tmp_path: Path) -> None:
    result = call(*example("data toy"))
    assert result.code == 0, result
    assert "16 faces in" in result.out
    names = sorted(p.name for p in (tmp_path / "out" / "toy" / "images").iterdir())
    assert len(names) == 16
    assert names == sorted(p.name for p in (tmp_path / "out" / "toy" / "labels").iterdir())
    with Image.open(tmp_path / "out" / "toy" / "images" / names[0]) as picture:
        assert (picture.size, picture.mode) == ((256, 256), "RGB")


def test_reproducing_one_row_of_the_ablations_and_then_another(call: Call, tmp_path: Path) -> None:
    plan = ["reproduce", "--rows", "ablations", "--out", "out/one", *tiny("facial-style")]
    for key in ("no-adversarial-loss", "fusion-fixed"):
        result = call(*plan, "--only", key)
        assert result.code == 0, result
    made = {path.stem for path in (tmp_path / "out" / "one" / "records").iterdir()}
    assert made == {"no-adversarial-loss", "fusion-fixed", "logs"}
    logs = json.loads((tmp_path / "out" / "one" / "records" / "logs.json").read_text())["logs"]
    assert logs.keys() == {"no-adversarial-loss", "fusion-fixed"}


def make_folders(root: Path) -> None:
    """Faces and holes under the names that the examples use."""
    for part, seed in (("train", 0), ("test", 100)):
        for kind in ("images", "labels"):
            (root / "CelebAMask-HQ" / part / kind).mkdir(parents=True)
        (root / "irregular-masks" / part).mkdir(parents=True)
        for i in range(3):
            for kind, array in zip(("images", "labels"), draw(seed + i, 64), strict=True):
                Image.fromarray(array).save(root / "CelebAMask-HQ" / part / kind / f"{part}{i}.png")
        for i, hole in enumerate(drawn_holes(3, 64, part).holes):
            Image.fromarray(hole * 255).save(root / "irregular-masks" / part / f"{part}{i}.png")


def test_preparing_and_checking_as_in_the_examples(call: Call, tmp_path: Path) -> None:
    make_folders(tmp_path)
    (tmp_path / "CelebAMask-HQ" / "train" / "images" / "train1.png").write_bytes(b"no picture")
    result = call(*example("data prepare"))
    assert result.code == 0, result
    assert "train: 2 faces, 1 left out" in result.out
    assert "train1.png" in result.out
    assert "test: 3 holes, 0 left out" in result.out
    assert np.load(tmp_path / "data" / "cache" / "faces-train-256" / "images.npy").shape == (2, 256, 256, 3)
    result = call(*example("data check"))
    assert result.code == 0, result
    assert "faces-train-256" in result.out
    assert "holes-test-256" in result.out


def test_commands_on_real_faces_share_one_cache_and_say_that_holes_are_drawn(
    call: Call, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    make_folders(tmp_path)

    def said() -> int:
        lines = caplog.messages.count("Holes are drawn. For those of a folder, name it: --holes FOLDER")
        caplog.clear()
        return lines

    plan = ["--faces", "CelebAMask-HQ", "--cache", "kept", *tiny()]
    result = call("reproduce", "--only", "mean-fill", *plan, "--out", "out/table")
    assert result.code == 0, result
    assert said() == 1
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.npy")}
    assert {path.parent.name for path in made} == {"faces-train-32", "faces-test-32"}
    result = call("train", "facial-style", *plan, *tiny("facial-style"), "--out", "runs/ours")
    assert result.code == 0, result
    assert said() == 1
    result = call("evaluate", "runs/ours", "--faces", "CelebAMask-HQ", "--cache", "kept", "--out", "out/ours.json")
    assert result.code == 0, result
    assert said() == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.npy")} == made
    assert not [path for path in tmp_path.rglob("*.npy") if path not in made]
    own = ["--holes", "irregular-masks", "--pairs", "absent.csv"]
    assert "absent.csv" in call("evaluate", "runs/ours", *plan[:4], *own, "--out", "out/own.json").err
    assert said() == 0


def test_a_missing_inception_file_is_refused_before_anything_is_measured(call: Call, tmp_path: Path) -> None:
    make_folders(tmp_path)
    for command in ("evaluate mean-fill --out out/row.json", "reproduce --out out/table"):
        result = call(*command.split(), "--faces", "CelebAMask-HQ", "--inception", "nofile")
        assert result.code == 2, result
        assert "Error: nofile: there is no Inception file." in result.err
        assert not [path for path in tmp_path.rglob("*") if path.suffix in (".npy", ".json", ".safetensors")], command


@pytest.fixture
def trained(call: Call, tmp_path: Path) -> Path:
    """The run of the example of `train`, at a tiny scale."""
    result = call(*example("train"), *tiny("facial-style"))
    assert result.code == 0, result
    assert "weights: " in result.out
    return tmp_path / "runs" / "ours"


def test_training_measuring_and_repairing_as_in_the_examples(call: Call, trained: Path, tmp_path: Path) -> None:
    config = json.loads((trained / "config.json").read_text())["config"]
    assert (config["method"], config["preset"]["images"], config["preset"]["width"]) == ("facial-style", 8, 4)
    assert call(*example("train"), *tiny("facial-style")).code == 0  # finished: nothing to do

    result = call("evaluate", "runs/ours", "--out", "records/ours.json")
    assert result.code == 0, result
    record = json.loads((tmp_path / "records" / "ours.json").read_text())
    assert (record["key"], record["map"], record["size"], record["test"]["pairs"]) == ("ours", "true", 32, 12)

    assert call("train", "parser", "--out", "runs/parser", *tiny("parser")).code == 0
    guessed = call("evaluate", "runs/ours", "--parser", "runs/parser", "--out", "records/guessed.json")
    assert guessed.code == 0, guessed
    other = json.loads((tmp_path / "records" / "guessed.json").read_text())
    assert (other["map"], other["parser"]["config"]["method"]) == ("predicted", "parser")
    assert other["images"] != record["images"]
    maps = call("evaluate", "runs/parser", "--out", "records/parser.json")
    assert maps.code == 0, maps
    told = json.loads((tmp_path / "records" / "parser.json").read_text())
    assert (told["kind"], told["test"]["pairs"]) == ("parser", 12)
    assert told["training"]["sha256"] == other["parser"]["sha256"]
    assert f"mean IoU {told['iou']['known']['mean']:.3f} known" in maps.out
    refused = call("evaluate", "runs/parser", "--enlarged", "--out", "records/none.json")
    assert refused.code == 2
    assert "by its maps alone" in refused.err
    refused = call("evaluate", "runs/ours", "--parser", "runs/ours", "--out", "records/none.json")
    assert refused.code == 2
    assert "weights of a facial-style" in refused.err
    refused = call("evaluate", "mean-fill", "--parser", "runs/parser", "--out", "records/none.json")
    assert refused.code == 2
    assert not (tmp_path / "records" / "none.json").exists()

    image, labels = draw(7, 50)
    hole = np.zeros((50, 50), np.uint8)
    hole[20:30, 10:40] = 255
    for name, array in (("photo", image), ("hole", hole), ("labels", labels)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    words = "inpaint photo.png --hole hole.png --parsing labels.png --weights runs/ours --box whole --out repaired.png"
    words = words.split()
    result = call(*words)
    assert result.code == 0, result
    repaired = np.asarray(Image.open(tmp_path / "repaired.png"))
    assert repaired.shape == image.shape
    assert np.array_equal(repaired[hole == 0], image[hole == 0])
    assert not np.array_equal(repaired, image)

    result = call(*(w.replace("repaired.png", "repaired.jpg") for w in words))
    assert result.code == 2
    assert "known pixels would not survive" in result.err
    result = call(*words, "--black-is-hole")
    other = np.asarray(Image.open(tmp_path / "repaired.png"))
    assert np.array_equal(other[hole == 255], image[hole == 255])
    Image.fromarray(hole[:40]).save(tmp_path / "hole.png")
    result = call(*words)
    assert (result.code, "of the photograph's size" in result.err) == (2, True)


def test_measuring_a_fill_as_in_the_example(call: Call, tmp_path: Path) -> None:
    result = call(*example("evaluate"))
    assert result.code == 0, result
    assert re.search(r"PSNR \d+\.\d\d dB, SSIM 0\.\d{4} over 48 pairs", result.out)
    record = json.loads((tmp_path / "out" / "mean-fill.json").read_text())
    assert (record["key"], record["method"], record["training"]) == ("mean-fill", "mean-fill", None)


@pytest.mark.slow
def test_reproducing_and_the_table_as_in_the_examples(call: Call, tmp_path: Path) -> None:
    result = call(*example("reproduce"), *tiny(*WIDTHS))
    assert result.code == 0, result
    for title in ("Mean colour", "Telea", "CE", "CA", "DF2", "Ours"):
        assert title in result.out
    files = {name: (tmp_path / "out" / "smoke" / f"table.{name}") for name in ("md", "csv", "html")}
    held = {name: path.read_bytes() for name, path in files.items()}
    for path in files.values():
        assert str(path.relative_to(tmp_path)) in result.out
        path.unlink()
    result = call(*example("table"))
    assert result.code == 0, result
    assert "FD-AlexNet" in result.out
    assert "Parsing maps" in result.out
    assert {name: path.read_bytes() for name, path in files.items()} == held
    result = call("table", "out/smoke/records/parser.json", "--out", "parsers")  # one that holds nothing else
    assert (result.code, "FD-AlexNet" in result.out) == (0, False), result
    assert {path.name for path in (tmp_path / "parsers").iterdir()} == {f"table.{name}" for name in held}


def test_real_faces_and_holes_by_path(call: Call, tmp_path: Path) -> None:
    make_folders(tmp_path)
    given = ["--faces", "CelebAMask-HQ", "--holes", "irregular-masks"]
    result = call("train", "context-encoder", "--out", "run", *given, *tiny("context-encoder"))
    assert result.code == 0, result
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    assert about["data"]["face_count"] == 3
    assert "CelebAMask-HQ" in about["data"]["faces"]


# --------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train magic --out run", "unknown method 'magic'"),
        ("train telea --out run", "not trained"),
        ("train gated-conv --out run --preset huge", "unknown preset 'huge'"),
        ("train gated-conv --out run --set batch", "not NAME=VALUE"),
        ("train gated-conv --out run --set speed=3", "no option 'speed'"),
        ("train gated-conv --out run --set reconstruction=0 --set adversarial=0", "all loss weights"),
        ("train gated-conv --out run --set batch=fast", "batch is 'fast'"),
        ("train gated-conv --out run --set size=50", "multiple of 16"),
        ("train gated-conv --out run --set style_width=8", "gated-conv does not read the setting 'style_width'"),
        ("train parser --out run --set critic_steps=5", "parser does not read the setting 'critic_steps'"),
        ("train gated-conv --out run --set width=6 --faces absent", "width 6"),
        ("train context-encoder --out run --set size=48 --faces absent", "takes no pictures of 48 pixels"),
        ("train facial-style --out run --set size=48 --set reading=R2 --faces absent", "multiple of 32, at least 64"),
        ("train facial-style --out run --set reading=R9 --faces absent", "'R9'"),
        ("reproduce --out out --set size=48 --faces absent", "takes no pictures of 48 pixels"),
        ("reproduce --out out --rows ablations --set parser_width=16", "no row of ablations reads the setting"),
        ("train gated-conv --out run --merge all", "unknown merge 'all'"),
        ("train gated-conv --out run --device tpu", "unknown device 'tpu'"),
        ("train gated-conv --out run --faces absent --device tpu", "unknown device 'tpu'"),
        ("evaluate mean-fill --out a.json --faces absent --device tpu", "unknown device 'tpu'"),
        ("evaluate absent --out a.json --device tpu", "unknown device 'tpu'"),
        ("reproduce --out out --faces absent --device tpu", "unknown device 'tpu'"),
        ("train gated-conv --out run --faces absent", "absent"),
        ("train gated-conv --out run --set faces=2 --holes absent", "absent"),
        ("train facial-style --out run --set faces=2 --weights absent", "absent"),
        ("evaluate absent --out a.json", "absent"),
        ("evaluate mean-fill --out a.json --pairs absent.csv", "absent.csv"),
        ("reproduce --out out --set speed=3", "unknown setting 'speed'"),
        ("reproduce --out out --rows some", "unknown rows 'some'"),
        ("reproduce --out out --only default", "no row of table is called 'default'"),
        ("table absent", "absent: there is no such file or folder"),
        ("table .", "no results record"),
        ("table . --view side", "unknown view 'side'"),
        ("inpaint absent.png --hole b.png --out c.png --weights d", ".png"),
        ("data toy --out out --split dev", "split"),
        ("data prepare --size 32 --out out", "nothing to prepare"),
        ("data prepare --size 32 --out out --faces absent", "absent"),
        ("data prepare --size 32 --out out --holes absent", "absent"),
        ("data check absent", "absent"),
    ],
)
def test_errors_end_with_one_line_and_code_2(arguments: str, said: str, call: Call, tmp_path: Path) -> None:
    result = call(*arguments.split())
    assert result.code == 2, result
    lines = [line for line in result.err.splitlines() if not re.match(r"(Drawing|Preparing|train)", line)]  # progress
    assert len(lines) == 1, result.err
    assert lines[0].startswith("Error: ")
    assert said in lines[0]
    assert "Traceback" not in result.err + result.out


def test_a_device_that_is_not_there_is_said_before_anything_is_read(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for words in ("train gated-conv --out run", "evaluate mean-fill --out a.json", "reproduce --out out"):
        result = call(*words.split(), "--faces", "absent", "--device", "cuda")
        assert (result.code, result.err) == (
            2, "Error: there is no CUDA device. Use --device cpu, or install a CUDA build of torch.\n"
        )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train gated-conv --out run --speed 3", "No such option: --speed"),
        ("train gated-conv", "Missing option '--out'"),
        ("train --out run", "Missing argument"),
        ("fly", "No such command 'fly'"),
        ("data toy --out out --count 0", "--count"),
        ("data toy --out out --count many", "Invalid value for '--count'"),
        ("train gated-conv --out run --seed -1", "--seed"),
    ],
)
def test_misspelt_commands_say_what_is_wrong(arguments: str, said: str, call: Call) -> None:
    result = call(*arguments.split())
    assert result.code == 2
    assert said in re.sub(r"\x1b\[[0-9;]*m", "", result.err)
    assert "Traceback" not in result.err


def test_nothing_given_shows_the_help(call: Call) -> None:
    for arguments in ((), ("data",)):
        result = call(*arguments)
        assert result.code in (0, 2)
        assert "Usage:" in result.out + result.err


def test_ctrl_c_says_how_to_go_on(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train", "context-encoder", "--out", "run", *tiny("context-encoder"), "--set", "images=20"]
    step = training._Run.step

    def interrupted(self: training._Run, number: int, steps: int, feed: training.Feed) -> object:
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, number, steps, feed)

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "step", interrupted)
        result = call(*words)
    assert result.code == 130
    assert "The same command goes on where it was." in result.err
    assert "Traceback" not in result.err
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000003"]
    assert call(*words).code == 0
    assert (tmp_path / "run" / "generator.safetensors").exists()


# ------------------------------------------------------------------------------------------------- settings


def test_settings_go_to_the_preset_or_to_the_method() -> None:
    words = ["batch=8", "lr=0.001", "gan=hinge", "style=0", "mask_beta=false"]
    config = configured("facial-style", "smoke", read_settings(words), "none", 3)
    assert (config.preset.batch, config.preset.lr, config.seed, config.merge) == (8, 0.001, 3, "none")
    assert config.options == {"gan": "hinge", "style": 0, "mask_beta": False}
    assert configured("gated-conv", "smoke", read_settings(None)).options == {}
    # A width of its own goes to the method whose preset has none for it.
    given = configured("gated-conv", "smoke", {"width": 16, "batch": 8})
    assert (given.options, given.preset.width, given.preset.batch) == ({"width": 16}, 16, 8)
    widths = [
        sum(p.numel() for p in configured("gated-conv", "smoke", {"width": width}).generator().parameters())
        for width in (16, 24)
    ]
    assert widths[0] < widths[1]
