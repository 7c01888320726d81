"""The table: made from records alone, in one order, and the same in every format."""

from __future__ import annotations

import copy
import csv
import html.parser
import io
import json
from pathlib import Path
from typing import Any

import pytest

from faceinpaint.comparison import table
from faceinpaint.comparison.records import LOGS, ParserRecord, Record, Summary, kind_of, read_logs, read_records
from faceinpaint.comparison.table import AS_PRINTED, Table, interval
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.errors import DataError
from faceinpaint.training.methods import METHODS

NET = {"network": "alexnet", "weights": "alexnet.safetensors", "sha256": "0" * 64, "trained": True}


def summary(mean: float, n: int = 12) -> dict[str, Any]:
    return {"mean": mean, "low": mean * 0.9, "high": mean * 1.1, "n": n, "perfect": 0}


def record(key: str, method: str, map: str | None = None, level: float = 20.0, **changes: Any) -> dict[str, Any]:
    """A results record as :func:`faceinpaint.comparison.evaluate.evaluate` lays it out, with made-up numbers."""
    metrics = {name: summary(level / d) for name, d in (("psnr", 1), ("ssim", 25), ("l1", 500), ("lpips", 80))}
    trained = METHODS[method].critic is not None
    training = {
        "config": {"method": method, "seed": 3},
        "data": {"faces": "drawn faces", "holes": "drawn holes", "face_count": 1234, "hole_count": 567},
        "images": 4096, "seconds": 90.0, "device": "CPU, 2 threads", "devices": 1, "backbone": None, "sha256": "0" * 64,
    }  # fmt: skip
    made = {
        "kind": "evaluation", "version": 1, "key": key, "title": METHODS[method].title, "method": method, "map": map,
        "merge": "regions", "preset": "smoke", "size": 64, "training": training if trained else None, "parser": None,
        "test": {"faces": "faces of test", "holes": "holes of test", "pairs": 12, "pairs_sha256": "ab" * 32},
        "parameters": 1_500_000 if trained else 0, "flops": 2_500_000_000 if trained else 0,
        "images": {
            view: {group: {k: v | {"mean": v["mean"] - shift - i / 100} for k, v in metrics.items()}
                   for i, group in enumerate(("all", *BIN_NAMES))}
            for view, shift in (("composited", 0), ("raw", 0.001))
        },
        "sets": {view: {"all": {"fd": 1.25, "kid_between_faces": 0.0125, "n": 12}} for view in ("composited", "raw")},
        "inception": None, "regions": {}, "networks": {"lpips": NET, "distance": NET}, "seconds": 3.0,
        "device": "CPU, 2 threads", "date": "2026-01-02", "versions": {}, "commit": "c0ffee" * 6,
    }  # fmt: skip
    return made | changes


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return [
        record("mean-fill", "mean-fill", level=15),
        record("telea", "telea", level=18),
        record("context-encoder", "context-encoder", level=19),
        record("contextual-attention", "contextual-attention"),
        record("gated-conv", "gated-conv", level=21),
        record("facial-style", "facial-style", "true", 22),
        record("facial-style-predicted", "facial-style", "predicted", 21.5),
        record("facial-style-none", "facial-style", None, 21.2),
    ]


def keep(folder: Path, records: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for one in records:
        (folder / f"{one['key']}.json").write_text(json.dumps(one))
    return folder


def typed(records: list[dict[str, Any]]) -> list[Record]:
    return [Record.from_json(one) for one in records]


def comparison(records: list[dict[str, Any]], view: str = "composited") -> Table:
    return table.comparison(typed(records), view)


def brief(records: list[dict[str, Any]]) -> Table:
    return table.brief(typed(records))


def by_bin(records: list[dict[str, Any]], metric: str = "psnr") -> Table:
    return table.by_bin(typed(records), metric)


def notes(records: list[dict[str, Any]]) -> list[str]:
    return table.notes(typed(records))


def write(records: list[dict[str, Any]], out: Path) -> list[Path]:
    return table.write(typed(records), out)


def column(made: Table, name: str) -> list[str]:
    return [row[made.headers.index(name)] for row in made.rows]


# -------------------------------------------------------------------------------------------- reading records


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
    found = {"evaluation": Record, "parser": ParserRecord}
    seen = 0
    for path in sorted((Path(__file__).resolve().parents[1] / "data" / "results").rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if (kind := found.get(kind_of(content) or "")) is not None:
            assert kind.from_json(content).to_json() == content, path
            seen += 1
    assert seen > 40


# ----------------------------------------------------------------------------------------------- the columns


def test_figures_stand_beside_those_of_the_patent_as_printed(records: list[dict[str, Any]]) -> None:
    made = comparison(records)
    assert column(made, "Method") == [r["title"] for r in records]
    assert column(made, "Map") == ["-", "-", "-", "-", "-", "true", "predicted", "-"]
    assert column(made, "PSNR as printed") == ["", "", "18.69", "19.34", "24.48", "26.96", "", ""]
    assert column(made, "SSIM as printed") == ["", "", "0.681", "0.734", "0.890", "0.895", "", ""]
    assert column(made, "FID as printed") == ["", "", "-", "21.15", "23.88", "9.27", "", ""]
    assert set(AS_PRINTED) < set(METHODS)
    assert column(made, "PSNR (dB)")[0] == "15.00 [13.50, 16.50]"
    assert column(made, "L1 (%)")[0] == "3.000 [2.700, 3.300]"
    assert column(made, "FD-AlexNet")[0] == "1.250"
    assert column(made, "KID-AlexNet (x1000)")[0] == "12.500"
    assert column(made, "Images seen")[1:3] == ["-", "4,096"]
    assert column(made, "Training (min)")[1:3] == ["-", "1.5"]
    assert column(made, "Parameters (M)")[1:3] == ["-", "1.50"]
    assert column(made, "GFLOPs")[1:3] == ["-", "2.50"]
    assert "FID" not in made.headers
    assert "raw output" in comparison(records, "raw").title
    assert column(comparison(records, "raw"), "SSIM") != column(made, "SSIM")


def test_numbers_are_what_records_say_and_nothing_else(records: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(records)
    changed = copy.deepcopy(records)
    changed[4]["images"]["composited"]["all"]["psnr"] = summary(33.333)
    one, other = comparison(records), comparison(changed)
    different = [(i, j) for i, row in enumerate(one.rows) for j, c in enumerate(row) if c != other.rows[i][j]]
    assert different == [(4, one.headers.index("PSNR (dB)"))]
    assert column(other, "PSNR (dB)")[4] == "33.33 [30.00, 36.67]"
    assert records == before


def test_lpips_that_was_not_measured_is_left_empty_with_a_note(records: list[dict[str, Any]]) -> None:
    assert not any("LPIPS is empty" in note for note in comparison(records).notes)
    for one in records:
        one["networks"]["lpips"] = None
        one["networks"] = one["networks"] | {"lpips": None}
        for groups in one["images"].values():
            for group in groups.values():
                group.pop("lpips", None)
    made = comparison(records)
    assert column(made, "LPIPS") == [""] * len(records)
    assert any("LPIPS is empty" in note for note in made.notes)
    assert set(by_bin(records, "lpips").rows[0][3:]) == {""}


def test_fid_has_columns_only_where_it_was_measured(records: list[dict[str, Any]]) -> None:
    scores = {"fid": 45.678, "kid": 0.0123, "n": 12, "sha256": "1" * 64, "published": True}
    records[4]["inception"] = {"composited": scores, "raw": scores}
    made = comparison(records)
    assert column(made, "FID") == ["", "", "", "", "45.68", "", "", ""]
    assert column(made, "KID (x1000)")[4] == "12.30"
    assert not any("FID is absent" in note for note in made.notes)
    assert any("FID is absent" in note for note in comparison(records[:4]).notes)


def test_another_network_than_the_published_inception_is_not_called_fid(records: list[dict[str, Any]]) -> None:
    scores = {"fid": 45.678, "kid": 0.0123, "n": 12, "sha256": "1" * 64, "published": False}
    records[4]["inception"] = {"composited": scores, "raw": scores}
    made = comparison(records)
    assert "FID" not in made.headers
    assert "KID (x1000)" not in made.headers
    assert any(row[i] == "45.68" for row in made.rows for i in range(len(row)))
    assert any("not the published" in note for note in made.notes)


def test_notes_say_what_a_reader_must_know(records: list[dict[str, Any]]) -> None:
    text = "\n".join(notes(records))
    for word in (
        "12 pairs", "faces of test", "holes of test", "abababababab", "64x64", "smoke", "N = 12", "not FID", "oracle",
        "1,234", "567", "seed 3", "CPU, 2 threads", "c0ffee", "2026-01-02", "not comparable",
    ):  # fmt: skip
        assert word in text, word
    assert "oracle" not in "\n".join(notes(records[:5]))
    assert "Trained on" not in "\n".join(notes(records[:2]))
    assert "then on to" not in text
    assert "before." not in text
    records[3]["training"] |= {"start": {"images": 9_000, "config": {"preset": {"size": 32}}}}
    assert "weights that had seen 9,000 images of 32x32 before." in "\n".join(notes(records))
    records[2]["training"] |= {"images": 20_000, "earlier": [3_000, 8_000]}
    assert "Trained for 3,000, then on to 8,000, then on to 20,000 images:" in "\n".join(notes(records))


@pytest.mark.parametrize("make", [comparison, brief, by_bin])
def test_records_of_different_tests_are_refused(make: Any, records: list[dict[str, Any]]) -> None:
    make(records)
    other = copy.deepcopy(records[1])
    other["test"]["pairs_sha256"] = "cd" * 32
    with pytest.raises(DataError, match="2 different tests"):
        make([records[0], other])
    with pytest.raises(DataError, match="2 different tests"):
        make([records[0], records[1] | {"size": 128}])


def test_bins_have_a_column_each(records: list[dict[str, Any]]) -> None:
    del records[0]["images"]["composited"]["0.3-0.4"]
    made = by_bin(records)
    assert made.headers == ("Method", "Start", "Map", *BIN_NAMES)
    assert made.rows[0][3] == "14.99 [13.50, 16.50]"
    assert made.rows[0][3 + BIN_NAMES.index("0.3-0.4")] == ""
    assert made.rows[1][-1] == "17.94 [16.20, 19.80]"


def test_the_brief_table_is_a_part_of_the_whole(records: list[dict[str, Any]]) -> None:
    whole, short = comparison(records), brief(records)
    assert column(short, "SSIM") == [cell.split(" [")[0] for cell in column(whole, "SSIM")]
    assert column(short, "As printed") == column(whole, "PSNR as printed")
    assert len(short.rows) == len(whole.rows)


def test_intervals() -> None:
    assert interval(Summary(12, 0, 0.02, 0.018, 0.022), "l1") == "2.000 [1.800, 2.200]"
    assert interval(None, "psnr") == ""
    assert interval(Summary(0, 3, None, None, None), "psnr") == ""


# ----------------------------------------------------------------------------------------------- the formats


class Cells(html.parser.HTMLParser):
    """Text of the cells of an HTML page, table by table."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = []

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None:
            self.tables[-1][-1].append("".join(self.cell))
            self.cell = None


def markdown_tables(text: str) -> list[list[list[str]]]:
    tables: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                tables.append([])
            if not line.startswith("| ---"):
                cells = line.replace("\\|", "\0")[1:-1].split("|")
                tables[-1].append([cell.strip().replace("\0", "|") for cell in cells])
        inside = line.startswith("|")
    return tables


def test_markdown_csv_and_html_hold_the_same(records: list[dict[str, Any]], tmp_path: Path) -> None:
    records[0]["title"] = 'Mean <b>"colour"</b> & more, | really'
    paths = write(records, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["table.md", "table.csv", "table.html"]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(p.name for p in paths)
    markdown, plain, page = (path.read_text(encoding="utf-8") for path in paths)
    rows = list(csv.reader(io.StringIO(plain)))
    cells = Cells()
    cells.feed(page)
    assert rows == [list(row) for row in (comparison(records).headers, *comparison(records).rows)]
    assert cells.tables[0] == rows
    assert markdown_tables(markdown)[0] == rows
    assert len(cells.tables) == 6
    assert markdown_tables(markdown) == cells.tables
    assert "<b>" not in page
    for note in comparison(records).notes:
        assert note in markdown


def test_notes_and_titles_are_escaped_in_html() -> None:
    made = Table("a < b", ("<x>", "&"), (("<script>", '"'),), ("1 < 2",)).html()
    assert "<script>" not in made
    assert "<x>" not in made
    assert "1 &lt; 2" in made
    assert "a &lt; b" in made


def test_tables_written_again_are_the_same(records: list[dict[str, Any]], tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write(records, tmp_path)]
    assert [path.read_bytes() for path in write(records, tmp_path)] == first


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
