import pytest

from data.readers.tables import read_columns, to_integers
from recsys.errors import DatasetError


def test_columns_are_found_whatever_their_case_and_order():
    table = read_columns(b"movieid,userid\n7,1\n", "r.csv", separator=",", columns=("userId", "movieId"))
    assert table.to_dict("list") == {"userId": [1], "movieId": [7]}


def test_two_characters_may_separate():
    table = read_columns(b"1::It::A|B\n", "m.dat", separator="::", names=("id", "title", "genres"))
    assert table.iloc[0].tolist() == [1, "It", "A|B"]


def test_a_movie_may_be_called_na():
    assert read_columns(b"1|NA\n", "m", separator="|", names=("id", "title"))["title"].tolist() == ["NA"]


def test_a_missing_column_is_named_with_those_that_came():
    with pytest.raises(
        DatasetError, match=r"Expected the columns \['a', 'b'\] in t\.csv, got \['a', 'c'\]: \['b'\] missing"
    ):
        read_columns(b"a,c\n1,2\n", "t.csv", separator=",", columns=("a", "b"))


def test_an_empty_file_is_refused():
    with pytest.raises(DatasetError, match=r"Expected a table with \['a'\] in t\.csv, got: No columns to parse"):
        read_columns(b"", "t.csv", separator=",", columns=("a",))


def test_text_in_another_encoding_is_refused():
    with pytest.raises(DatasetError, match=r"in t\.csv, got: 'utf-8' codec can't decode"):
        read_columns("a\né\n".encode("latin-1"), "t.csv", separator=",", columns=("a",))


@pytest.mark.parametrize("cell", ["x", "1.5", ""])
def test_a_cell_that_is_no_whole_number_is_named_with_its_row(cell):
    table = read_columns(f"a,b\n1,1\n{cell},2\n".encode(), "t.csv", separator=",", columns=("a", "b"))
    with pytest.raises(DatasetError, match=r"Expected whole numbers in the column 'a' of t\.csv, got .* in data row 2"):
        to_integers(table, ["a"], "t.csv")
