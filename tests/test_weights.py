"""Tensors on disk: whole or not at all, and every damage named with its file and remedy."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from faceinpaint import files, weights
from faceinpaint.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("seeded")

ABOUT = {"kind": "test", "name": "Göteborg", "steps": [1, 2.5, None, True]}


def sample(scale: float = 1.0) -> dict[str, Tensor]:
    return {"layer.weight": scale * torch.randn(3, 4), "layer.bias": scale * torch.randn(4), "step": torch.tensor(7)}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(
        one[k].dtype == two[k].dtype and one[k].shape == two[k].shape and torch.equal(one[k], two[k]) for k in one
    )


def sign(path: Path) -> None:
    """Write the sha256 of whatever is in the file into its JSON, as a forger would."""
    about = json.loads(path.with_suffix(".json").read_text())
    about["sha256"] = files.sha256_of(path)
    path.with_suffix(".json").write_text(json.dumps(about))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A saved file of tensors with its JSON."""
    file = tmp_path / "state.safetensors"
    weights.save(file, sample(), ABOUT)
    return file


def refused(path: Path, named: Path, problem: str) -> None:
    """Loading fails with one error that names the file, the problem and the remedy."""
    with pytest.raises(CheckpointError, match=problem) as caught:
        weights.load(path)
    assert caught.value.path == named
    assert str(caught.value).startswith(f"{named}: ")
    assert caught.value.remedy.split()[0] in ("Check", "Copy", "Restore")
    assert caught.value.remedy in str(caught.value)


# --- round trips ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool],
)
def test_tensors_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    values = {"a": (torch.randn(5, 3) * 3).to(dtype), "empty": torch.zeros(0, 2, dtype=dtype)}
    values["scalar"] = values["a"][0, 0].clone()
    weights.save(tmp_path / "w.safetensors", values, {})
    found, _ = weights.load(tmp_path / "w.safetensors")
    assert same(found, values)


def test_not_a_number_and_infinity_come_back(tmp_path: Path) -> None:
    odd = torch.tensor([float("nan"), float("inf"), -0.0])
    weights.save(tmp_path / "w.safetensors", {"odd": odd}, {})
    found = weights.load(tmp_path / "w.safetensors")[0]["odd"]
    assert found.view(torch.int32).equal(odd.view(torch.int32))


def test_any_layout_and_graph_is_saved(tmp_path: Path) -> None:
    image = torch.randn(2, 3, 4, 4)
    values = {
        "learned": torch.randn(3, requires_grad=True) * 2,
        "turned": image.transpose(1, 3),
        "last": image.clone().contiguous(memory_format=torch.channels_last),
    }
    weights.save(tmp_path / "w.safetensors", values, {})
    found, _ = weights.load(tmp_path / "w.safetensors")
    assert same(found, {name: t.detach() for name, t in values.items()})


def test_json_says_what_the_tensors_are(path: Path) -> None:
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "Göteborg" in text
    _, about = weights.load(path)
    digest = about.pop("sha256")
    assert about == ABOUT
    assert digest == files.sha256_of(path)
    assert len(digest) == 64


def test_nothing_is_left_beside_the_two_files(path: Path) -> None:
    assert sorted(p.name for p in path.parent.iterdir()) == ["state.json", "state.safetensors"]


def test_write_json_reads_back_and_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    files.write_json(file, ABOUT)
    assert files.read_json(file) == ABOUT
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(file, {"loss": float("nan")})
    assert files.read_json(file) == ABOUT


# --- whole or not at all --------------------------------------------------------------------------------------------


class _DiskFull(OSError):
    pass


def _fail(*args: object, **kwargs: object) -> None:
    raise _DiskFull("no space left on device")


def _half_a_file(tensors: dict[str, Tensor], path: Path) -> None:
    Path(path).write_bytes(b"half a fi")
    raise _DiskFull("no space left on device")


def _half_a_text(self: Path, text: str, **kwargs: object) -> None:
    with self.open("w") as file:
        file.write(text[: len(text) // 2])
    raise _DiskFull("no space left on device")


@pytest.mark.parametrize(
    "broken",
    [
        lambda m: m.setattr(weights, "save_file", _half_a_file),
        lambda m: m.setattr(weights, "sha256_of", _fail),
        lambda m: m.setattr(Path, "write_text", _half_a_text),
        lambda m: m.setattr(os, "replace", _fail),
    ],
    ids=["tensors", "checksum", "json", "rename"],
)
def test_a_failure_midway_leaves_the_old_files(path: Path, broken: Callable[[pytest.MonkeyPatch], None]) -> None:
    before, about = weights.load(path)
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        with pytest.raises(_DiskFull):
            weights.save(path, sample(2.0), {"kind": "new"})
    after, about_after = weights.load(path)
    assert same(after, before)
    assert about_after == about

    new = sample(3.0)  # what the failure left behind does not stand in the way
    weights.save(path, new, {"kind": "new"})
    found, about = weights.load(path)
    assert same(found, new)
    assert about["kind"] == "new"
    assert sorted(p.name for p in path.parent.iterdir()) == ["state.json", "state.safetensors"]


@pytest.mark.parametrize(
    "broken",
    [lambda m: m.setattr(Path, "write_text", _half_a_text), lambda m: m.setattr(os, "replace", _fail)],
    ids=["writing", "rename"],
)
def test_a_text_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    broken(monkeypatch)
    with pytest.raises(_DiskFull):
        files.write_text(path, "new text")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_kill_between_the_two_renames_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON is renamed first: a first save killed here leaves no tensors file, a later one a pair that is refused."""
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target).suffix == ".safetensors":
            _fail()
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(_DiskFull):
        weights.save(path, sample(2.0), ABOUT)
    refused(path, path, "sha256")
    first = path.with_name("first.safetensors")
    with pytest.raises(_DiskFull):
        weights.save(first, sample(), ABOUT)
    assert not first.exists()
    refused(first, first, "no such file")


@pytest.mark.parametrize("writer", [files.write_text, files.write_json])
def test_text_is_replaced_whole(tmp_path: Path, writer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "note.json"
    writer(file, "old")
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", _half_a_text)
        with pytest.raises(_DiskFull):
            writer(file, "new and longer")
    assert file.read_bytes() == before
    writer(file, "new and longer")
    assert b"new and longer" in file.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["note.json"]


# --- damage ---------------------------------------------------------------------------------------------------------


def test_missing_files_are_named(path: Path) -> None:
    nowhere = path.with_name("nowhere.safetensors")
    refused(nowhere, nowhere.with_suffix(".json"), "no such file")
    about = path.with_suffix(".json")
    content = about.read_text()
    about.unlink()
    refused(path, about, "no such file")
    about.write_text(content)
    path.unlink()
    refused(path, path, "no such file")
    path.mkdir()
    refused(path, path, "no such file")


@pytest.mark.parametrize("kept", [0, 4, 8, 60, -1])
@pytest.mark.parametrize("signed", [False, True])
def test_a_truncated_file_is_refused(path: Path, kept: int, signed: bool) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    if signed:
        sign(path)
    refused(path, path, "cannot be read as safetensors" if signed else "sha256")


def test_one_flipped_bit_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in (0, 9, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        refused(path, path, "sha256")
    path.write_bytes(whole)
    weights.load(path)


def test_the_json_of_other_tensors_is_refused(path: Path) -> None:
    other = path.with_name("other.safetensors")
    weights.save(other, sample(), ABOUT)
    one, two = path.with_suffix(".json"), other.with_suffix(".json")
    first, second = one.read_text(), two.read_text()
    one.write_text(second)
    two.write_text(first)
    refused(path, path, "sha256")
    refused(other, other, "sha256")


def test_json_without_a_checksum_is_refused(path: Path) -> None:
    files.write_json(path.with_suffix(".json"), ABOUT)
    refused(path, path, "sha256")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cannot be read"),
        (b'{"step": 3', "cannot be read"),
        (b"[1, 2]", "JSON object"),
        (b"null", "JSON object"),
        (b'"text"', "JSON object"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_damaged_json_is_refused(path: Path, content: bytes, problem: str) -> None:
    about = path.with_suffix(".json")
    about.write_bytes(content)
    refused(path, about, problem)
    about.unlink()
    about.mkdir()
    refused(path, about, "cannot be read")


class _Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_posing_as_safetensors_is_refused_unopened(path: Path, signed: bool, protocol: int) -> None:
    mark = path.with_name("unpickled")
    path.write_bytes(pickle.dumps({"weight": _Trap(mark)}, protocol))
    pickle.loads(path.read_bytes())
    assert mark.is_dir()  # the trap works
    mark.rmdir()
    if signed:
        sign(path)
    refused(path, path, "cannot be read as safetensors" if signed else "sha256")
    assert not mark.exists()


def test_a_torch_file_posing_as_safetensors_is_refused(path: Path) -> None:
    torch.save(sample(), path)
    sign(path)
    refused(path, path, "cannot be read as safetensors")


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},  # bytes do not match the shape
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},  # a hole in the data
        {"a": {"dtype": "COMPLEX", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 2**62]}},
        {"a": 3},
        [],
    ],
)
def test_a_forged_header_is_refused(path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    sign(path)
    refused(path, path, "cannot be read as safetensors")


def test_an_unreadable_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights, "sha256_of", denied)
    refused(path, path, "Permission denied")


# --- into a module --------------------------------------------------------------------------------------------------


def test_fill_copies_every_tensor_bit_for_bit() -> None:
    one, two = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
    one(torch.randn(8, 3))
    places = {name: t.data_ptr() for name, t in two.state_dict().items()}
    weights.fill(two, one.state_dict(), Path("w.safetensors"))
    assert same(two.state_dict(), one.state_dict())
    assert {name: t.data_ptr() for name, t in two.state_dict().items()} == places
    assert all(p.requires_grad for p in two.parameters())


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        (lambda: nn.Linear(3, 5).state_dict(), "bias"),
        (lambda: nn.Linear(4, 4).state_dict(), "weight"),
        (lambda: nn.Linear(3, 4, bias=False).state_dict(), "bias"),
        (lambda: nn.Linear(3, 4).state_dict() | {"zeta": torch.zeros(1)}, "zeta"),
        (lambda: {}, "bias"),
    ],
)
def test_fill_refuses_the_weights_of_another_module(tensors: Callable[[], dict[str, Tensor]], named: str) -> None:
    module = nn.Linear(3, 4)
    before = {name: t.clone() for name, t in module.state_dict().items()}
    path = Path("runs/other.safetensors")
    with pytest.raises(CheckpointError, match=rf"do not fit Linear \(for one, {named}\)") as caught:
        weights.fill(module, tensors(), path)
    assert caught.value.path == path
    assert caught.value.remedy == "Use weights of the same method, width and options"
    assert same(module.state_dict(), before)


def test_a_folder_that_cannot_be_written_is_the_systems_refusal(tmp_path: Path) -> None:
    """What safetensors raises there is its own kind; callers handle OSError."""
    path = tmp_path / "nowhere" / "x.safetensors"
    with pytest.raises(OSError, match=r"x\.safetensors"):
        weights.save(path, {"a": torch.zeros(2)}, {})
    assert not list(tmp_path.iterdir())


def test_others_may_read_the_weights_as_far_as_the_json_beside_them(tmp_path: Path) -> None:
    weights.save(tmp_path / "a.safetensors", sample(), {})
    tensors, beside = ((tmp_path / f"a.{ending}").stat().st_mode for ending in ("safetensors", "json"))
    assert tensors == beside
