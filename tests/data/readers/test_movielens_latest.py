import pytest

from data.lawfulness import find_lawful
from data.readers.files import open_files
from data.readers.movielens_latest import read_movielens_latest_small
from recsys.errors import DatasetError

MOVIES = 'movieId,title,genres\n1,"Toys, The (1995)",Comedy|War\n2,Nothing,(no genres listed)\n'


def _archive(folder, ratings="userId,movieId,rating,timestamp\n1,1,4.5,964982703\n2,2,0.5,964982704\n"):
    (folder / "ml-latest-small").mkdir()
    (folder / "ml-latest-small" / "ratings.csv").write_text(ratings)
    (folder / "ml-latest-small" / "movies.csv").write_text(MOVIES)
    return open_files(folder)


def test_ratings_and_movies_are_read(tmp_path):
    dataset = read_movielens_latest_small(_archive(tmp_path))
    events = dataset.events.to_pylist()
    assert [(event["event_id"], event["value"]) for event in events] == [("mlls-1-1", 4.5), ("mlls-2-2", 0.5)]
    toys, nothing = dataset.items.to_pylist()
    assert (toys["title"], toys["categories"]) == ("Toys, The (1995)", ["Comedy", "War", "1995", "1990s"])
    assert (nothing["categories"], nothing["published_ms"]) == ([], None)


def test_a_header_alone_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"Expected ratings in ratings\.csv .* got only a header"):
        read_movielens_latest_small(_archive(tmp_path, "userId,movieId,rating,timestamp\n"))


@pytest.mark.parametrize("rating", ["7", "0", "good", ""])
def test_a_rating_out_of_range_is_refused_with_its_row(tmp_path, rating):
    ratings = f"userId,movieId,rating,timestamp\n1,1,4.5,964982703\n2,2,{rating},964982704\n"
    with pytest.raises(DatasetError, match=r"Expected ratings from 0\.5 to 5 in ratings\.csv, got .* in data row 2"):
        read_movielens_latest_small(_archive(tmp_path, ratings))


def test_the_real_data_has_its_published_size(real_data):
    dataset = read_movielens_latest_small(open_files(real_data / "movielens-latest-small"))
    assert (dataset.events.num_rows, dataset.users.num_rows, dataset.items.num_rows) == (100_836, 610, 9_742)
    assert find_lawful(dataset.events).all()
