"""The list of trained weights: finding them, adding to it, half precision."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from servers import FolderServer

from faceinpaint import files, weights
from faceinpaint.cli import weights_download
from faceinpaint.errors import CheckpointError, ConfigError, DataError
from faceinpaint.presets import preset
from faceinpaint.repair import trained
from faceinpaint.training.run import Config, load_generator, load_parser, load_smaller

P = preset("smoke", size=32, reading="R1", width=4, style_width=4, parser_width=4, baseline_scale=0.06)


def run(folder: Path, method: str = "facial-style", seed: int = 0, merge: str = "regions") -> Path:
    """The folder of a run with fresh weights."""
    torch.manual_seed(seed)
    config = Config(method, P, merge=merge, seed=seed)
    folder.mkdir(parents=True)
    weights.save(folder / "generator.safetensors", config.generator().state_dict(), {"config": config.to_dict()})
    return folder


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A list of two: a generator with its parser, and one that reads no map."""
    run(tmp_path / "runs" / "facial-style")
    run(tmp_path / "runs" / "parser", "parser")
    run(tmp_path / "runs" / "gated", "gated-conv")
    trained.add(tmp_path / "runs" / "gated", "plain", "nothing", "MIT", folder=tmp_path / "shelf")
    trained.add(tmp_path / "runs" / "facial-style", "ours", "nothing", "MIT", folder=tmp_path / "shelf", first=True)
    return tmp_path / "shelf"


def test_the_first_is_preferred_and_names_are_found(shelf: Path, tmp_path: Path) -> None:
    assert [entry.name for entry in trained.listed(shelf)] == ["ours", "plain"]
    found = trained.find(folder=shelf)
    assert (found.generator, found.parser) == (
        shelf / "ours" / "generator.safetensors",
        shelf / "ours" / "parser.safetensors",
    )
    assert found.about == "ours: trained on nothing; MIT"
    assert trained.find("plain", folder=shelf).parser is None
    assert trained.find("plain", tmp_path / "runs" / "parser", shelf).parser is not None
    own = trained.find(tmp_path / "runs" / "facial-style", folder=shelf)
    assert own.parser == tmp_path / "runs" / "parser" / "generator.safetensors"
    file = trained.find(tmp_path / "runs" / "facial-style" / "generator.safetensors", folder=shelf)
    assert (file.generator, file.parser, file.entry) == (own.generator, own.parser, None)


def test_half_precision_fills_networks_of_single_precision(shelf: Path, tmp_path: Path) -> None:
    exact, config, _ = load_generator(tmp_path / "runs" / "facial-style")
    halved, same, about = load_generator(shelf / "ours" / "generator.safetensors")
    assert same == config
    assert about["stored"] == "float16"
    files = [tmp_path / "runs" / "facial-style" / "generator.safetensors", shelf / "ours" / "generator.safetensors"]
    sizes = [p.stat().st_size for p in files]
    assert sizes[1] < 0.65 * sizes[0]
    for one, other in zip(exact.state_dict().values(), halved.state_dict().values(), strict=True):
        assert other.dtype == one.dtype
        assert torch.allclose(other.double(), one.double(), rtol=1e-3, atol=1e-6)


def test_what_half_precision_cannot_hold_is_kept(tmp_path: Path) -> None:
    tensors = {"large": torch.tensor([1e6]), "small": torch.tensor([0.5]), "count": torch.tensor(70000)}
    weights.save(tmp_path / "a.safetensors", tensors, {})
    trained.halve(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    found, _ = weights.load(tmp_path / "b.safetensors")
    assert {k: v.dtype for k, v in found.items()} == {
        "large": torch.float32,
        "small": torch.float16,
        "count": torch.int64,
    }
    assert all(torch.equal(found[k].double(), tensors[k].double()) for k in tensors)


def test_an_entry_of_the_same_name_is_replaced_in_its_place(shelf: Path, tmp_path: Path) -> None:
    before = trained.listed(shelf)[0]
    run(tmp_path / "again", seed=1)
    trained.add(tmp_path / "again", "ours", "more", "MIT", parser=tmp_path / "runs" / "parser", folder=shelf)
    entries = trained.listed(shelf)
    assert [entry.name for entry in entries] == ["ours", "plain"]
    assert entries[0].trained_on == "more"
    assert entries[0].generator != before.generator
    trained.find("ours", folder=shelf)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_entry_that_cannot_be_replaced_stays(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, again = contents(shelf), run(tmp_path / "again", seed=1)
    with pytest.raises(CheckpointError, match="Name those of a parser"):
        trained.add(again, "ours", "more", "MIT", parser=tmp_path / "runs" / "gated", folder=shelf)
    other = run(tmp_path / "other", "parser", merge="accessories")
    with pytest.raises(ConfigError, match="merge accessories, the generator with regions"):
        trained.add(again, "ours", "more", "MIT", parser=other, folder=shelf)
    assert contents(shelf) == before
    real = files.write_json

    for full in ("parser.json", "index.json"):

        def refuse(path: Path, content: object, full: str = full) -> None:
            if path.name == full:
                raise OSError(28, "No space left on device")
            real(path, content)

        for module in (trained, weights):  # each has it under a name of its own
            monkeypatch.setattr(module, "write_json", refuse)
        with pytest.raises(DataError, match="No space"):
            trained.add(again, "ours", "more", "MIT", parser=tmp_path / "runs" / "parser", folder=shelf)
        with pytest.raises(DataError, match="No space"):
            trained.add(again, "new", "more", "MIT", parser=tmp_path / "runs" / "parser", folder=shelf)
        assert contents(shelf) == before
        assert sorted(path.name for path in shelf.iterdir()) == [".lock", "index.json", "ours", "plain"]


def test_what_a_killed_process_left_does_not_stand_in_the_way(shelf: Path, tmp_path: Path) -> None:
    for rest in (".ours.new", ".ours.old"):
        (shelf / rest).mkdir()
        (shelf / rest / "generator.json").write_text("{")
    trained.add(shelf / "ours", "ours", "the same", "MIT", folder=shelf)  # its own weights may be the source
    assert trained.find("ours", folder=shelf).about == "ours: trained on the same; MIT"
    assert sorted(path.name for path in shelf.iterdir()) == [".lock", "index.json", "ours", "plain"]


def test_weights_that_are_not_those_of_the_list_are_refused(shelf: Path, tmp_path: Path) -> None:
    trained.halve(tmp_path / "runs" / "gated" / "generator.safetensors", shelf / "ours" / "generator.safetensors")
    with pytest.raises(CheckpointError, match="not the weights of the list"):
        trained.find("ours", folder=shelf)
    path = shelf / "plain" / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="sha256"):
        load_generator(trained.find("plain", folder=shelf).generator)


def test_none_are_there(tmp_path: Path, shelf: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there are no trained weights.*faceinpaint weights download"):
        trained.find(folder=tmp_path)
    assert trained.listed(tmp_path) == []
    with pytest.raises(CheckpointError, match="one of ours, plain"):
        trained.find("other", folder=shelf)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"weights": {}}', '{"weights": ["a"]}', '{"weights": [{"name": "a"}]}', "name", "climb"],
)
def test_a_damaged_list_is_refused(shelf: Path, content: str) -> None:
    path = shelf / "index.json"
    kept = json.loads(path.read_text())
    if content == "name":
        kept["weights"][0]["name"] = 3
    if content == "climb":
        kept["weights"][0]["name"] = "../ours"
    path.write_text(json.dumps(kept) if content in ("name", "climb") else content)
    with pytest.raises(CheckpointError):
        trained.listed(shelf)


def test_what_does_not_belong_on_the_list_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "alone" / "ours")
    run(tmp_path / "alone" / "reader", "parser")
    with pytest.raises(ConfigError, match="no parser"):
        trained.add(tmp_path / "alone" / "ours", "a", "b", "c", folder=tmp_path / "shelf")
    with pytest.raises(ConfigError, match="weights of a parser"):
        trained.add(tmp_path / "alone" / "reader", "a", "b", "c", folder=tmp_path / "shelf")
    with pytest.raises(ConfigError, match="name of a folder"):
        trained.add(tmp_path / "alone" / "ours", "../a", "b", "c", folder=tmp_path / "shelf")
    assert not (tmp_path / "shelf" / "index.json").exists()
    with pytest.raises(CheckpointError, match="parser"):
        load_parser(tmp_path / "alone" / "ours" / "generator.safetensors")


def test_the_list_of_the_repository_names_weights_that_are_there() -> None:
    for entry in trained.listed():
        found = trained.find(entry.name)
        load_generator(found.generator)
        if found.parser:
            load_parser(found.parser)


# --- looked for, fetched, written


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As of a copy installed with pip: no checkout around it; the user's cache is in this folder."""
    monkeypatch.setattr(trained, "FOLDER", tmp_path / "site-packages" / "data" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FACEINPAINT_TRAINED", raising=False)
    return tmp_path / "cache" / "faceinpaint" / "trained"


def test_weights_are_looked_for_in_three_places(shelf: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained.places() == [elsewhere]
    assert trained.listed() == []
    with pytest.raises(CheckpointError, match="faceinpaint weights download"):
        trained.find()
    shutil.copytree(shelf, elsewhere)
    assert trained.find().generator == elsewhere / "ours" / "generator.safetensors"
    monkeypatch.setattr(trained, "FOLDER", shelf)
    assert trained.find().generator.is_relative_to(shelf)
    named = shelf.parent / "named"
    shutil.copytree(shelf, named)
    monkeypatch.setenv("FACEINPAINT_TRAINED", str(named))
    assert trained.places() == [named, shelf, elsewhere]
    assert trained.find("plain").generator.is_relative_to(named)
    assert [entry.name for entry in trained.listed()] == ["ours", "plain"], "each name once"


def test_an_entry_is_added_to_the_users_list_and_not_beside_the_package(elsewhere: Path, tmp_path: Path) -> None:
    trained.add(run(tmp_path / "plain", "gated-conv"), "plain", "drawn faces", "MIT")
    assert trained.find("plain").generator.is_relative_to(elsewhere)
    assert not trained.FOLDER.exists()


def test_the_published_list_is_that_of_the_repository() -> None:
    assert trained.published() == trained.listed(trained.FOLDER)


@pytest.fixture
def server(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FolderServer]:
    served = FolderServer(shelf)
    monkeypatch.setattr(trained, "PUBLISHED", shelf / "index.json")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield served
    served.close()


def test_a_download_that_breaks_off_goes_on_where_it_was(server: FolderServer, elsewhere: Path, shelf: Path) -> None:
    server.stop_after = 1000
    with pytest.raises(CheckpointError, match="connection ended after 1,000") as caught:
        trained.download(address=server.address)
    assert "Try again" in caught.value.remedy
    assert trained.listed() == []
    server.stop_after = None
    assert trained.download(address=server.address).name == "ours"
    assert "bytes=1000-" in [asked for _, asked in server.asked]
    found = trained.find()
    assert found.generator.read_bytes() == (shelf / "ours" / "generator.safetensors").read_bytes()
    load_generator(found.generator)
    load_parser(found.parser)
    before = len(server.asked)
    assert trained.download("plain", address=server.address).name == "plain"
    assert len(server.asked) == before + 2
    assert [entry.name for entry in trained.listed()] == ["ours", "plain"]


def test_the_licence_is_shown_before_anything_is_fetched(
    server: FolderServer, elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fetch = trained.download
    monkeypatch.setattr(trained, "download", lambda *a, **k: told.append(capsys.readouterr().out) or fetch(*a, **k))
    weights_download(None, server.address)
    assert server.asked
    assert f"Licence: {trained.published()[0].licence}\n" in told[0]
    assert str(elsewhere / "ours") in capsys.readouterr().out


def test_what_is_fetched_must_be_what_the_list_names(server: FolderServer, elsewhere: Path, shelf: Path) -> None:
    with (shelf / "ours" / "generator.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(CheckpointError, match=r"not the generator\.safetensors of the list"):
        trained.download(address=server.address)
    assert trained.listed() == []
    with pytest.raises(ConfigError, match="Use one of ours, plain"):
        trained.download("other", address=server.address)
    with pytest.raises(CheckpointError, match="404"):
        trained.download("plain", address=server.address + "/none")


@pytest.fixture
def chained(shelf: Path, tmp_path: Path) -> Path:
    """The same list, and weights of twice the size that begin from its first."""
    beneath = load_smaller(shelf / "ours" / "generator.safetensors", shelf / "ours" / "parser.safetensors")
    config = Config("facial-style", dataclasses.replace(P, size=64, start="smaller"), smaller=beneath)
    made = config.generator().state_dict(), {"config": config.to_dict()}
    (tmp_path / "runs" / "large").mkdir()
    weights.save(tmp_path / "runs" / "large" / "generator.safetensors", *made)
    guess = run(tmp_path / "runs" / "large-parser", "parser")
    trained.add(tmp_path / "runs" / "large", "large", "nothing", "MIT", parser=guess, folder=shelf)
    return shelf


def test_what_weights_begin_from_is_held_once(chained: Path, tmp_path: Path) -> None:
    assert trained.find("large", folder=chained).entry.smaller == "ours"
    file = chained / "large" / "generator.safetensors"
    assert not any(name.startswith("smaller.") for name in weights.load(file)[0])
    read, whole = load_generator(file)[0].state_dict(), load_generator(tmp_path / "runs" / "large")[0].state_dict()
    assert read.keys() == whole.keys()
    assert all(torch.allclose(read[n].double(), whole[n].double(), rtol=1e-3, atol=1e-6) for n in whole)
    beneath = load_generator(chained / "ours" / "generator.safetensors")[0].state_dict()
    assert all(torch.equal(read[f"smaller.network.{n}"], beneath[n]) for n in beneath)

    with pytest.raises(ConfigError, match="large begin from ours"):
        trained.add(tmp_path / "runs" / "gated", "ours", "nothing", "MIT", folder=chained)
    with pytest.raises(CheckpointError, match="begin from weights of 32 pixels") as caught:
        trained.add(file, "alone", "nothing", "MIT", folder=tmp_path / "other")
    assert "weights download" in caught.value.remedy
    assert trained.listed(tmp_path / "other") == []
    shutil.rmtree(chained / "ours")
    with pytest.raises(CheckpointError, match="in no folder beside theirs"):
        load_generator(file)


def test_what_weights_begin_from_is_kept_with_them_where_no_list_has_it(chained: Path, tmp_path: Path) -> None:
    large, guess = tmp_path / "runs" / "large", tmp_path / "runs" / "large-parser"
    assert trained.add(large, "alone", "nothing", "MIT", parser=guess, folder=tmp_path / "other").smaller is None
    load_generator(tmp_path / "other" / "alone" / "generator.safetensors")


def test_what_weights_begin_from_is_fetched_with_them(chained: Path, server: FolderServer, elsewhere: Path) -> None:
    assert trained.download("large", address=server.address).name == "large"
    assert [entry.name for entry in trained.listed()] == ["ours", "large"]
    load_generator(trained.find("large").generator)
    before = len(server.asked)
    trained.download("large", address=server.address)
    assert len(server.asked) == before + 4  # not what is there


def test_weights_of_the_hub_are_asked_for_by_name(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match="pip install huggingface_hub"):
        trained.find("hf:somebody/faces")
    asked = []
    hub = types.ModuleType("huggingface_hub")
    hub.snapshot_download = lambda name, **_: asked.append(name) or str(shelf / "ours")
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert trained.find("hf:somebody/faces").parser == shelf / "ours" / "parser.safetensors"
    assert asked == ["somebody/faces"]
    with pytest.raises(CheckpointError, match="there are no such weights"):
        trained.find("somebody/faces")  # a folder that is not there, and no question to the net


def test_a_list_is_checked_against_the_files_themselves(shelf: Path, tmp_path: Path) -> None:
    entry = trained.listed(shelf)[0]
    trained.check(entry.name, folder=shelf)
    file = shelf / entry.name / "generator.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    trained.find(entry.name, folder=shelf)  # which reads the records beside them
    with pytest.raises(CheckpointError, match="not the weights of the list"):
        trained.check(entry.name, folder=shelf)
    file.unlink()
    with pytest.raises(CheckpointError, match="not the weights of the list"):
        trained.check(entry.name, folder=shelf)


def test_one_process_at_a_time_adds_to_a_list(shelf: Path, tmp_path: Path) -> None:
    entry = trained.listed(shelf)[0]
    with files.claimed(shelf), pytest.raises(DataError, match="another run is writing there"):
        trained.add(shelf / entry.name, "another", "nothing", "none", folder=shelf)
    assert [e.name for e in trained.listed(shelf)].count("another") == 0


def test_an_address_without_a_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data/weights is no address"):
        trained.download(address="data/weights", folder=tmp_path)
