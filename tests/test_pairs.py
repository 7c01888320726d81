"""The fixed test pairs: made, written, read, checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import face_set

from faceinpaint.data.masks import BIN_NAMES, bin_of, drawn_test_holes
from faceinpaint.data.pairs import Pair, check_pairs, make_pairs, read_pairs, write_pairs
from faceinpaint.errors import DataError


def test_pairs_come_back_from_the_file_exactly(tmp_path):
    pairs = make_pairs(face_set(), drawn_test_holes(2, 48))
    write_pairs(tmp_path / "new" / "pairs.csv", pairs)
    assert read_pairs(tmp_path / "new" / "pairs.csv") == pairs
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["pairs.csv"]
    first = (tmp_path / "new" / "pairs.csv").read_text().splitlines()[0]
    assert first == "face_id,face_sha256,hole_id,hole_sha256,fraction,bin"


GOOD = f"f0,{'0' * 64},h0,{'1' * 64},0.15,0.1-0.2"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (GOOD.replace("f0", ""), "'' is not a plain id"),
        (GOOD.replace("f0", "../f0"), "is not a plain id"),
        (GOOD.replace("h0", "/etc/h0"), "is not a plain id"),
        (GOOD.replace("h0", "a\\b"), "is not a plain id"),
        (GOOD.replace("h0", ".."), "is not a plain id"),
        (GOOD.replace("0.1-0.2", "0.1-0.3"), "unknown bin"),
        (GOOD.replace("0.15", "0.25"), "fraction 0.25 is not in bin"),
        (GOOD.replace("0.15", "nan"), "fraction nan is not in bin"),
        (GOOD.replace("0.15", "much"), "is not a number"),
        (GOOD.replace("0" * 64, "0" * 63), "not a SHA-256"),
        (GOOD.replace("0" * 64, "Z" * 64), "not a SHA-256"),
        (GOOD + ",more", "7 fields, not 6"),
        ("", "0 fields, not 6"),
        (GOOD, "in bin 0.1-0.2 twice"),
        (GOOD.replace("0.15,0.1-0.2", "0.25,0.2-0.3").replace("0" * 64, "2" * 64), "face 'f0' has two checksums"),
        (GOOD.replace("f0", "f1").replace("1" * 64, "2" * 64), "hole 'h0' has two checksums"),
    ],
)
def test_read_pairs_names_file_and_line(tmp_path, row, problem):
    path = tmp_path / "pairs.csv"
    path.write_text(",".join(Pair._fields) + f"\n{GOOD}\n{row}\n")
    with pytest.raises(DataError) as caught:
        read_pairs(path)
    assert caught.value.path == path
    assert "line 3: " in caught.value.problem
    assert problem in caught.value.problem


def test_read_pairs_refuses_files_that_are_no_lists(tmp_path):
    path = tmp_path / "pairs.csv"
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs(path)
    for data, problem in [
        (b"", "line 1: the header"),
        (b"face,hole\nf,h\n", "line 1: the header"),
        (",".join(Pair._fields).encode() + b"\n", "is empty"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'face_id,"', "cannot be read"),
    ]:
        path.write_bytes(data)
        with pytest.raises(DataError, match=problem):
            read_pairs(path)


def test_check_pairs_gives_the_places():
    faces, holes = face_set(), drawn_test_holes(2, 32)
    pairs = make_pairs(faces, holes)
    places = check_pairs(pairs, faces, holes)
    assert [(faces.ids[f], holes.ids[h]) for f, h in places] == [(p.face_id, p.hole_id) for p in pairs]
    assert check_pairs(pairs[3:5], faces, holes) == places[3:5]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"face_id": "other"}, "face 'other' of the pair list is not in test faces"),
        ({"hole_id": "other"}, "hole 'other' of the pair list is not in drawn holes"),
        ({"face_sha256": "0" * 64}, "is another picture"),
        ({"hole_sha256": "0" * 64}, "is another hole"),
        ({"fraction": 0.05}, "the list says 0.0500"),
    ],
)
def test_check_pairs_refuses_other_data(change, problem):
    faces, holes = face_set(), drawn_test_holes(2, 32)
    pairs = make_pairs(faces, holes)
    with pytest.raises(DataError, match=problem):
        check_pairs([*pairs[1:], pairs[0]._replace(**change)], faces, holes)


def test_each_face_once_in_each_bin():
    faces, holes = face_set(5), drawn_test_holes(3, 32)
    pairs = make_pairs(faces, holes, seed=1)
    assert [(p.bin, p.face_id) for p in pairs] == [(b, f) for b in BIN_NAMES for f in faces.ids]
    fraction = dict(zip(holes.ids, holes.fractions, strict=True))
    for pair in pairs:
        assert BIN_NAMES[bin_of(pair.fraction)] == pair.bin
        assert pair.fraction == fraction[pair.hole_id]
        assert pair.face_sha256 == faces.sha256[faces.ids.index(pair.face_id)]
        assert pair.hole_sha256 == holes.sha256[holes.ids.index(pair.hole_id)]
    for name in BIN_NAMES:  # five faces, three holes: each hole once or twice
        uses = [p.hole_id for p in pairs if p.bin == name]
        assert sorted(uses.count(h) for h in set(uses)) == [1, 2, 2]
    assert pairs == make_pairs(faces, holes, seed=1)
    assert pairs != make_pairs(faces, holes, seed=2)


def test_a_bin_without_a_hole_is_named():
    holes = drawn_test_holes(1, 32).subset([0, 1, 3, 5])
    with pytest.raises(DataError, match=r"no hole of fraction 0\.2-0\.3, 0\.4-0\.5"):
        make_pairs(face_set(), holes)


@given(pixels=st.integers(42, 2457))
def test_a_fraction_beside_an_edge_keeps_its_bin(tmp_path_factory, pixels):
    fraction = pixels / 4096
    pair = Pair("a", "0" * 64, "b", "1" * 64, fraction, BIN_NAMES[bin_of(fraction)])
    path = tmp_path_factory.mktemp("p") / "p.csv"
    write_pairs(path, [pair])
    assert read_pairs(path) == [pair]


def test_a_list_that_a_spreadsheet_saved_is_read(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(",".join(Pair._fields) + f"\n{GOOD}\n", encoding="utf-8-sig")
    assert [pair.face_id for pair in read_pairs(path)] == ["f0"]
