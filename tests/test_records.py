"""Results records: found, typed, refused with their field, written as they were."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from made import NET, table_records, typed

from faceinpaint.comparison.records import LOGS, LikeRecord, ParserRecord, Record, kind_of, read_logs, read_records
from faceinpaint.errors import DataError


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return table_records()


def keep(folder: Path, records: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for one in records:
        (folder / f"{one['key']}.json").write_text(json.dumps(one))
    return folder


def test_records_are_found_among_other_files_and_put_in_order(records: list[dict[str, Any]], tmp_path: Path) -> None:
    keep(tmp_path / "records", records[::-1])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "config.json").write_text('{"config": {}}')
    (tmp_path / "runs" / "list.json").write_text("[1, 2]")
    (tmp_path / "records" / "parser.json").write_text('{"kind": "parser", "version": 1}')
    (tmp_path / "records" / "readme.txt").write_text("not a record")
    assert read_records([tmp_path]) == typed(records)
    assert [one.to_json() for one in read_records([tmp_path])] == records
    names = [tmp_path / "records" / f"{one['key']}.json" for one in records]
    assert read_records(names[3:1:-1]) == typed(records[2:4])
    assert read_records([str(tmp_path / "records")]) == typed(records)


def test_what_is_no_record_is_refused_by_name(records: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_records([tmp_path / "absent"])
    with pytest.raises(DataError, match="no results record"):
        read_records([tmp_path])
    with pytest.raises(DataError):
        read_records([])
    path = tmp_path / "one.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"one\.json: it is not JSON"):
        read_records([tmp_path])
    for damage, said in (
        ({"version": 99}, "layout 99"),
        ({"method": "magic"}, "'magic' is unknown"),
        ({"map": "dreamt"}, "map is 'dreamt', not 'true' or 'predicted'"),
        ({"images": {}}, "lacks images.composited.all"),
        ({"sets": {}}, "lacks sets.composited.all"),
        ({"size": "64"}, "size is '64', not int"),
        ({"parameters": True}, "parameters is True, not int"),
        ({"test": records[0]["test"] | {"pairs": None}}, "test.pairs is None, not int"),
        ({"training": {"images": 3}}, "lacks training.config"),
        ({"networks": [NET]}, "networks is "),
    ):
        path.write_text(json.dumps(records[0] | damage))
        with pytest.raises(DataError, match=said) as caught:
            read_records([path])
        assert caught.value.path == path
    for key in ("images", "sets", "test", "map", "inception", "training", "networks", "title"):
        path.write_text(json.dumps({k: v for k, v in records[0].items() if k != key}))
        with pytest.raises(DataError, match=f"lacks {key}"):
            read_records([path])
    damaged = copy.deepcopy(records[2])
    damaged["images"]["raw"]["0.3-0.4"]["ssim"]["high"] = "much"
    path.write_text(json.dumps(damaged))
    with pytest.raises(DataError, match=r"images\.raw\.0\.3-0\.4\.ssim\.high is 'much', not float"):
        read_records([path])


def test_records_of_the_repository_load_and_are_written_as_they_were() -> None:
    """Among them old ones, without what later ones hold."""
    found = {"evaluation": Record, "parser": ParserRecord, "like": LikeRecord}
    seen = 0
    for path in sorted((Path(__file__).resolve().parents[1] / "data" / "results").rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if (kind := found.get(kind_of(content) or "")) is not None:
            assert kind.from_json(content).to_json() == content, path
            seen += 1
    assert seen > 40


def test_damaged_logs_are_refused_and_missing_ones_are_not_missed(tmp_path: Path) -> None:
    assert read_logs([tmp_path]) == {}
    file = tmp_path / "a" / LOGS
    file.parent.mkdir()
    for damaged in ("", "[]", "{}", '{"logs": 3}', '{"logs": {"x": [1]}}', '{"logs": {"x": [{"step": "many"}]}}'):
        file.write_text(damaged)
        with pytest.raises(DataError, match=r"logs\.json"):
            read_logs([tmp_path])
    file.write_text('{"logs": {"x": [{"step": 1}]}}')
    assert read_logs([tmp_path]) == {"x": [{"step": 1.0}]}
