"""The frozen import matrix, the MovieLens loader, synthetic ratings."""

import ast
import pathlib
import sysconfig

import numpy as np
import pytest

from utils.baselines.recommenders import EASE, Popularity
from utils.data import interactions
from utils.evaluation.ranking import hide_items, hide_latest, recall_at_k

REAL_FORM = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t8788"


def u_data(tmp_path, text):
    path = tmp_path / "u.data"
    path.write_bytes(text.encode())
    return path


# ---------------------------------------------------------------- imports


def test_imports_matrix_has_its_documented_size():
    frozen = interactions.load_imports()
    assert frozen.matrix.shape == (1219, 193)
    assert frozen.matrix.sum() == 6377
    assert set(np.unique(frozen.matrix)) == {0.0, 1.0}
    assert len(frozen.users) == 1219 and len(set(frozen.users)) == 1219
    assert list(frozen.items) == sorted(set(frozen.items))
    assert len(frozen.texts) == 193
    assert frozen.matrix.any(axis=0).all() and frozen.matrix.any(axis=1).all()


def test_imports_row_is_what_the_module_imports():
    frozen = interactions.load_imports()
    row = frozen.matrix[frozen.users.index("asyncio.format_helpers")]
    named = {frozen.items[i] for i in np.flatnonzero(row)}
    assert named == {"functools", "inspect", "reprlib", "sys", "traceback"}
    text = frozen.texts[frozen.items.index("argparse")]
    assert text == "Command-line parsing library"


def test_imports_resemble_those_of_the_running_python():
    # independent of the freezing tool: most modules change little
    frozen = interactions.load_imports()
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    same = total = 0
    for name in ("csv", "calendar", "shutil", "tempfile", "zipfile", "queue"):
        path = root / f"{name}.py"
        if name not in frozen.users or not path.is_file():
            continue  # a package in later versions
        tree = ast.parse(path.read_text(encoding="utf-8"))
        now = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        row = frozen.matrix[frozen.users.index(name)]
        then = {frozen.items[i] for i in np.flatnonzero(row)}
        same += len(now & then)
        total += len({item for item in now if item in frozen.items})
    assert total > 10
    assert same > 0.7 * total


def test_calls_have_their_documented_size_and_order():
    calls = interactions.load_calls()
    assert len(calls.events) == len(calls.users) == 688
    assert len(calls.items) == 276
    assert list(calls.items) == sorted(set(calls.items))
    lengths = [len(events) for events in calls.events]
    assert min(lengths) == 5 and max(lengths) == 40 and sum(lengths) == 13708
    row = calls.users.index("distutils.tests.test_install_lib")
    named = [calls.items[event] for event in calls.events[row]]
    assert named[:3] == ["unittest.skipIf", "os.chdir", "os.path.join"]
    assert named[-1] == "unittest.main"


def test_calls_as_a_matrix_with_first_places():
    calls = interactions.Sequences(
        (np.array([2, 0, 2]), np.array([1])), ("u", "v"), ("a", "b", "c"), ""
    )
    x, first = calls.matrix()
    np.testing.assert_array_equal(x, [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(first, [[1, 0, 0], [0, 0, 0]])
    seen, hidden = hide_latest(x, first, 0.5, min_items=2)
    np.testing.assert_array_equal(hidden, [[1, 0, 0], [0, 0, 0]])


def test_imports_changed_file_is_refused(tmp_path, monkeypatch):
    text = (interactions.FROZEN / "stdlib_imports.csv").read_bytes()
    (tmp_path / "stdlib_imports.csv").write_bytes(text.replace(b"sys", b"sis"))
    monkeypatch.setattr(interactions, "FROZEN", tmp_path)
    with pytest.raises(ValueError, match="stdlib_imports.csv: .*SHA-256"):
        interactions.load_imports()


def test_imports_windows_line_ends_are_no_change(tmp_path, monkeypatch):
    for path in interactions.FROZEN.glob("*.csv"):
        text = path.read_bytes().replace(b"\n", b"\r\n")
        (tmp_path / path.name).write_bytes(text)
    expected = interactions.load_imports().matrix
    monkeypatch.setattr(interactions, "FROZEN", tmp_path)
    np.testing.assert_array_equal(interactions.load_imports().matrix, expected)


def test_frozen_folder_tells_provenance_and_licence():
    page = interactions.FROZEN / "stdlib_imports.md"
    text = page.read_text(encoding="utf-8")
    for word in ("CPython 3.11.7", "Licence", "SHA-256", "1 219"):
        assert word in text
    licence = interactions.FROZEN / "stdlib_LICENSE.txt"
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in licence.read_text()


# -------------------------------------------------------------- movielens


def test_movielens_reads_the_real_form(tmp_path):
    ratings = interactions.load_movielens(u_data(tmp_path, REAL_FORM))
    assert ratings.values.shape == (3, 3)
    # users 22, 186, 196 and items 242, 302, 377, in order of their numbers
    np.testing.assert_array_equal(
        ratings.values, [[0, 0, 1], [0, 3, 0], [3, 0, 0]]
    )
    np.testing.assert_array_equal(ratings.observed, ratings.values > 0)
    assert ratings.times[2, 0] == 881250949
    assert ratings.source == "MovieLens 100K"


def test_movielens_windows_line_ends_pass(tmp_path):
    path = u_data(tmp_path, REAL_FORM.replace("\n", "\r\n") + "\r\n")
    assert interactions.load_movielens(path).observed.sum() == 3


@pytest.mark.parametrize("name", ["u.data", "ml-100k/u.data"])
def test_movielens_is_found_in_course_data(tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(REAL_FORM)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert interactions.load_movielens().observed.sum() == 3


def test_movielens_missing_names_both_places(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="ml-100k.u.data.*grouplens"):
        interactions.load_movielens()
    monkeypatch.delenv("COURSE_DATA")
    with pytest.raises(FileNotFoundError, match="not set"):
        interactions.load_movielens()
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        interactions.load_movielens(tmp_path / "elsewhere")


GOOD = "1\t1\t3\t10\n1\t2\t4\t11\n"


@pytest.mark.parametrize(
    "line",
    [
        "1 3 5 10",
        "1\t3\t5",
        "1\t3\t5\t10\t11",
        "1\t3\tfive\t10",
        "1\t3\t4.5\t10",
        "1\t3\t6\t10",
        "1\t3\t0\t10",
        "0\t3\t5\t10",
        "1\t-3\t5\t10",
        "",
        "1::3::5::10",
    ],
)
def test_movielens_malformed_line_is_reported_by_its_number(tmp_path, line):
    path = u_data(tmp_path, f"{GOOD}{line}\n2\t1\t3\t12\n")
    with pytest.raises(ValueError, match="u.data, line 3: expected four tab"):
        interactions.load_movielens(path)


def test_movielens_second_rating_of_a_pair_names_both_lines(tmp_path):
    path = u_data(tmp_path, GOOD + "1\t1\t5\t12\n")
    with pytest.raises(ValueError, match="line 3: .*line 1 again"):
        interactions.load_movielens(path)


def test_movielens_empty_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="empty file"):
        interactions.load_movielens(u_data(tmp_path, ""))


def lines_of(rng, users=240, items=60):
    """``u.data`` of two tastes: numbers with gaps, one user who likes nothing.

    Users 7, 14, … and items 3, 6, …; 22 ratings each at rising times.
    """
    lines = []
    for user in range(users):
        taste = np.arange(items) % 2 == user % 2
        wanted = np.where(taste, 3.0, 1.0) * np.geomspace(1, 0.1, items)
        chosen = rng.choice(items, 22, replace=False, p=wanted / wanted.sum())
        for place, item in enumerate(chosen):
            stars = rng.integers(4, 6) if taste[item] else rng.integers(1, 4)
            stars = 2 if user == 0 else stars
            time = 880_000_000 + 1000 * place
            lines.append(f"{7 * user + 7}\t{3 * item + 3}\t{stars}\t{time}")
    return "\n".join(rng.permutation(lines))


def test_movielens_gaps_in_the_numbers_leave_no_empty_row(tmp_path, rng):
    ratings = interactions.load_movielens(u_data(tmp_path, lines_of(rng)))
    assert ratings.values.shape == (240, 60)
    assert (ratings.observed.sum(axis=1) == 22).all()
    assert ratings.observed.any(axis=0).all()


def test_movielens_who_likes_nothing_is_an_empty_row_that_models_name(
    tmp_path, rng
):
    ratings = interactions.load_movielens(u_data(tmp_path, lines_of(rng)))
    x = (ratings.values >= 4).astype("float32")
    assert not x[0].any() and x[1:].any(axis=1).all()
    with pytest.raises(ValueError, match="empty row 0"):
        EASE().fit(x).predict_scores(x)
    seen, hidden = hide_items(x)  # passes: such a user is not asked
    assert not hidden[0].any() and not seen[0].any()


@pytest.mark.parametrize("kind", ["at random", "the latest"])
def test_movielens_recall_on_users_outside_training(tmp_path, rng, kind):
    ratings = interactions.load_movielens(u_data(tmp_path, lines_of(rng)))
    x = (ratings.values >= 4).astype("float32")
    rows = np.flatnonzero(x.any(axis=1))
    test, train = rows[:60], rows[60:]
    if kind == "at random":
        seen, hidden = hide_items(x[test], 0.2, seed=1)
    else:
        times = ratings.times[test]
        seen, hidden = hide_latest(x[test], times, 0.2)
        late = np.where(hidden > 0, times, np.iinfo("int64").max).min(axis=1)
        early = np.where(seen > 0, times, 0).max(axis=1)
        assert (early < late)[hidden.any(axis=1)].all()
    linear, crowd = (
        recall_at_k(method.fit(x[train]).predict_scores(seen), hidden, seen)
        for method in (EASE(30.0), Popularity())
    )
    assert linear > crowd + 0.1


# -------------------------------------------------------------- synthetic


def test_ratings_have_the_asked_share_and_range():
    ratings = interactions.make_ratings(200, 100, share=0.2, seed=1)
    assert ratings.observed.mean() == pytest.approx(0.2, abs=0.03)
    inside = ratings.values[ratings.observed]
    assert inside.min() >= 1 and inside.max() <= 5
    assert (ratings.values[~ratings.observed] == 0).all()
    assert ratings.observed.sum(0).min() >= 2
    assert ratings.observed.sum(1).min() >= 2
    assert "synthetic" in ratings.source


def test_ratings_without_noise_have_the_asked_rank():
    full = interactions.make_ratings(60, 40, rank=2, share=1.0, noise=0.0)
    values = np.where((full.values > 1) & (full.values < 5), full.values, 0)
    assert full.observed.mean() > 0.6  # popularity caps at one
    # rank 2 + two leanings + the constant, where nothing was clipped
    rows = (values > 0).all(axis=1)
    if rows.sum() > 8:
        assert np.linalg.matrix_rank(full.values[rows], tol=1e-2) <= 4


def test_ratings_pairs_list_every_observed_entry():
    ratings = interactions.make_ratings(20, 15, share=0.4)
    pairs, values = ratings.pairs()
    assert pairs.dtype == np.int32 and len(pairs) == ratings.observed.sum()
    np.testing.assert_array_equal(ratings.values[tuple(pairs.T)], values)
    some = ratings.observed & (np.arange(15) < 5)
    assert ratings.pairs(some)[0][:, 1].max() < 5


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"num_users": 5}, "num_users"),
        ({"share": 0.001}, "share"),
        ({"share": 1.5}, "share"),
        ({"rank": 0}, "rank"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_ratings_wrong_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        interactions.make_ratings(**arguments)
