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
from made import summary, table_records, typed

from faceinpaint.comparison import table
from faceinpaint.comparison.records import ParserRecord, Summary, read_parsers, read_records
from faceinpaint.comparison.table import AS_PRINTED, Table, interval
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.errors import DataError
from faceinpaint.training.methods import METHODS


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return table_records()


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


def parser_record(tmp_path: Path) -> ParserRecord:
    """One whose parser grew out of one of twice the size, and that has met no ears."""
    data = {"faces": "drawn", "holes": "drawn", "face_count": 1, "hole_count": 1}
    earlier = {"sha256": "0" * 64, "images": 7_000, "config": {"preset": {"size": 128}}}
    about = {
        "config": {"preset": {"size": 64}}, "begin": earlier, "data": data, "images": 1_500, "seconds": 1.0,
        "device": "CPU",
    }  # fmt: skip
    iou = {
        "known": {"mean": 0.75, "accuracy": 0.9, "regions": {"skin": 0.8, "ears": 0.7}},
        "hole": {"mean": 0.5, "accuracy": 0.6, "regions": {"skin": 0.5}},
    }
    record = {
        "kind": "parser", "version": 1, "key": "parser", "training": about, "iou": iou,
        "test": table_records()[0]["test"], "parameters": 3, "seconds": 1.0, "device": "CPU",
        "date": "2026-01-01", "versions": {}, "commit": None,
    }  # fmt: skip
    (tmp_path / "parser.json").write_text(json.dumps(record))
    (held,) = read_parsers(tmp_path).values()
    return held


# ----------------------------------------------------------------------------------------------- the columns


def test_parsers_have_a_table_of_their_own(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    parser = parser_record(tmp_path)
    made = table.overlaps([parser])
    assert made.headers == ("Parser", "Pixels", "Mean IoU", "skin", "ears", "Accuracy", "Images seen")
    assert made.rows == (
        ("Parser, 64 pixels", "known", "0.750", "0.800", "0.700", "0.900", "1,500"),
        ("Parser, 64 pixels", "in holes", "0.500", "0.500", "", "0.600", "1,500"),
    )
    assert "7,000 images of 128x128 before" in made.notes[1]
    for evaluated in ([], typed(records)):
        page = table.write(evaluated, tmp_path / "out", [parser])[0].read_text()
        assert page.endswith(made.markdown())
        assert ("by hole fraction" in page) == bool(evaluated)
    assert (tmp_path / "out" / "table.csv").read_text().startswith("Method")
    with pytest.raises(DataError, match="no results record"):
        read_records([tmp_path])
    assert read_records([tmp_path], needed=False) == []


def test_figures_stand_beside_those_of_the_patent_as_printed(records: list[dict[str, Any]]) -> None:
    made = comparison(records)
    assert column(made, "Method") == [r["title"] for r in records]
    assert column(made, "Map") == ["-", "-", "-", "-", "-", "true", "guessed", "-"]
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
    first = {"images": 5_000, "config": {"preset": {"size": 32}}, "begin": None}
    small = {"images": 700, "config": {"preset": {"size": 16}}, "begin": first}
    records[3]["training"] |= {"begin": {"images": 9_000, "config": {"preset": {"size": 32}}, "begin": small}}
    told = "weights that had seen 14,000 images of 32x32, then 700 images of 16x16 before."
    assert told in "\n".join(notes(records))
    records[2]["training"] |= {"images": 20_000, "earlier": [3_000, 8_000]}
    assert "Trained for 3,000, then on to 8,000, then on to 20,000 images:" in "\n".join(notes(records))


def test_a_row_that_was_enlarged_says_so_and_stands_below_the_fills(records: list[dict[str, Any]]) -> None:
    chosen = [records[0] | {"preset": "gpu"}, records[5] | {"preset": "cpu"}]
    chosen[1]["training"]["config"] |= {"preset": {"size": 32}}
    fill, ours = typed(chosen)
    assert (fill.made_at, ours.made_at, ours.size) == (64, 32, 64)
    assert sorted([ours, fill], key=lambda r: r.place) == [fill, ours]
    said = " ".join(table.notes([fill, ours]))
    assert "32 enlarged: the picture is halved, repaired at 32x32 pixels" in said
    assert "Nothing was trained at 64x64." in said
    assert "pixels, preset cpu." in said  # that of what was trained
    assert "enlarged" not in " ".join(table.notes([fill]))


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
    made = Table("a < b", ("<x>", "&"), (("<script>", '"'),), ("1 < 2", "option `--a<b`")).html()
    assert "<li>option <code>--a&lt;b</code></li>" in made
    assert "<script>" not in made
    assert "<x>" not in made
    assert "1 &lt; 2" in made
    assert "a &lt; b" in made


def test_tables_written_again_are_the_same(records: list[dict[str, Any]], tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write(records, tmp_path)]
    assert [path.read_bytes() for path in write(records, tmp_path)] == first


def test_rows_that_were_not_trained_alike_are_named(records: list[dict[str, Any]]) -> None:
    trained = [r for r in records if r["training"]]
    for record in trained:
        record["training"]["config"]["preset"] = {"batch": 4, "precision": "32-true"}
    assert not [n for n in notes(records) if n.startswith(("Faces in a batch", "Precision"))]
    trained[0]["training"]["config"]["preset"] = {"batch": 16, "precision": "32-true"}
    (told,) = (n for n in notes(records) if n.startswith(("Faces in a batch", "Precision")))
    assert told == f"Faces in a batch: 4, but 16 in {trained[0]['title']} ({typed(trained)[0].start})."
