"""People's own tables: which features and targets their columns become, and what is said of what cannot be used."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from lowland.spec.datasets import Table
from worker.engine.data import DATASETS, Dataset
from worker.engine.errors import ColumnUnknown, DatasetBroken, DatasetUnavailable
from worker.engine.settings import EngineSettings


def _load(root: Path, *, path: str = "t.csv", target: str = "y", **options: Any) -> Dataset:
    return DATASETS["table"](Table(path=path, target=target, **options), EngineSettings(data_dir=root))


def _csv(root: Path, text: str) -> None:
    (root / "t.csv").write_text(text)


def _parquet(root: Path, columns: Mapping[str, Any]) -> None:
    pyarrow.parquet.write_table(pa.table(columns), root / "t.parquet")


def _rows(dataset: Dataset) -> Sequence[tuple[float, ...]]:
    """Every row's features and target, in the file's order."""
    source = dataset.train.source
    targets = torch.zeros(len(source))
    for part in (dataset.train, dataset.test):
        assert part.rows is not None
        targets[part.rows] = part.targets.float()
    return [(*row, target) for row, target in zip(source.tolist(), targets.tolist(), strict=True)]


def test_numbers_booleans_and_strings_become_features(tmp_path: Path) -> None:
    _csv(tmp_path, "size,colour,is_new,y\n1.5,red,true,no\n2,blue,false,yes\n3,red,false,no\n")

    dataset = _load(tmp_path)

    assert dataset.classes == ("no", "yes")
    # size, colour is blue, colour is red, is_new; class
    assert _rows(dataset) == [(1.5, 0, 1, 1, 0), (2, 1, 0, 0, 1), (3, 0, 1, 0, 0)]
    assert (dataset.train.source.dtype, dataset.train.targets.dtype) == (torch.float32, torch.int64)
    assert dataset.checksums == {"t.csv": hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()}


def test_parquet_is_read_alike(tmp_path: Path) -> None:
    columns = {
        "size": pa.array([1.5, 2, 3], pa.float32()),
        "colour": pa.array(["red", "blue", "red"]).dictionary_encode(),
        "is_new": [True, False, False],
        "count": pa.array([7, 8, 9], pa.decimal128(5, 2)),
        "y": ["no", "yes", "no"],
    }
    _parquet(tmp_path, columns)

    dataset = _load(tmp_path, path="t.parquet")

    assert _rows(dataset) == [(1.5, 0, 1, 1, 7, 0), (2, 1, 0, 0, 8, 1), (3, 0, 1, 0, 9, 0)]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "10"], ("9", "10")),
        (["true", "false", "true"], ("false", "true")),
    ],
    ids=["strings", "integers, by size", "booleans"],
)
def test_classes_are_sorted(tmp_path: Path, values: list[str], classes: tuple[str, ...]) -> None:
    _csv(tmp_path, "x,y\n" + "".join(f"{number},{value}\n" for number, value in enumerate(values)))

    dataset = _load(tmp_path)

    assert dataset.classes == classes
    assert [target for *_, target in _rows(dataset)] == [1, 0, 1]


def test_a_regression_s_targets_are_numbers(tmp_path: Path) -> None:
    _csv(tmp_path, "x,y\n1,10\n2,20.5\n3,-30\n")

    dataset = _load(tmp_path, task="regression")

    assert dataset.classes is None
    assert dataset.train.targets.dtype == torch.float32
    assert _rows(dataset) == [(1, 10), (2, 20.5), (3, -30)]


def test_ignored_columns_are_no_features(tmp_path: Path) -> None:
    _csv(tmp_path, "id,x,day,y\nq1,1,2020-01-01,a\nq2,2,2020-01-02,b\n")

    assert _rows(_load(tmp_path, ignore=["id", "day"])) == [(1, 0), (2, 1)]


def test_a_fifth_of_each_class_is_the_test_part_the_same_each_time(tmp_path: Path) -> None:
    _csv(tmp_path, "x,y\n" + "".join(f"{number},{'ab'[number % 4 == 0]}\n" for number in range(200)))

    first, again = _load(tmp_path), _load(tmp_path)

    assert torch.bincount(first.train.targets).tolist() == [120, 40]
    assert torch.bincount(first.test.targets).tolist() == [30, 10]
    assert first.test.rows is not None
    assert again.test.rows is not None
    assert torch.equal(first.test.rows, again.test.rows)


def test_a_column_of_whole_numbers_may_go_on_with_fractions(tmp_path: Path) -> None:
    """However far down: a type told by the first megabyte would not do."""
    count = 400_000
    _csv(tmp_path, "x,y\n" + "".join(f"{number},{number % 2}\n" for number in range(count)) + "0.5,1\n")

    assert _load(tmp_path).train.source[-1, 0] == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n1,a\n,b\n3,a\n", 'data row 2 of column "x" is missing'),
        ("x,y\n1,a\nNA,b\n3,a\n", 'data row 2 of column "x" is missing'),
        ("x,y\n1,a\n2,b\nnan,a\n", 'data row 3 of column "x" is missing'),
        ("x,y\n1,a\n-inf,b\n3,a\n", 'data row 2 of column "x" is -inf; give a finite float32 number'),
        ("x,y\n1,a\n1e300,b\n3,a\n", 'data row 2 of column "x" is 1e+300; give a finite float32 number'),
        ("x,c,y\n1,u,a\n2,,b\n3,u,a\n", 'data row 2 of column "c" is missing'),
        ("x,y\n1,a\n2,\n3,a\n", 'data row 2 of column "y" is missing'),
        ("x,y\n1,4\n2,\n3,5\n", 'data row 2 of column "y" is missing'),
        ("x,y\n1,4\n2,4\n", 'column "y" has 1 classes; give 2 to 1000'),
        ("x,y\n1,4.5\n2,5\n", 'column "y" holds double; classes are strings, integers or booleans'),
        ("x,day,y\n1,2020-01-01,a\n2,2020-01-02,b\n", 'column "day" holds date32[day]; name it in dataset.ignore'),
        ("x,empty,y\n1,,a\n2,,b\n", 'column "empty" is empty; name it in dataset.ignore'),
        ("y\na\nb\n", "it has no column left to learn from beside the target"),
        ("x,x,y\n1,1,a\n2,2,b\n", 'two columns are called "x"'),
        ("x,y\n1,a\n", "it has 1 data rows; give at least 2"),
        ("x,y\n1,a\n2\n", "ArrowInvalid: CSV parse error"),
        ("", "ArrowInvalid: Empty CSV file"),
    ],
)
def test_what_cannot_be_used_is_named_by_row_and_column(tmp_path: Path, text: str, said: str) -> None:
    _csv(tmp_path, text)

    with pytest.raises(DatasetBroken) as caught:
        _load(tmp_path)

    assert str(caught.value).startswith(f"table in {tmp_path / 't.csv'} cannot be read: {said}")


def test_text_in_another_encoding_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("x,city,y\n1,Köln,a\n2,Bonn,b\n".encode("latin-1"))

    with pytest.raises(DatasetBroken, match='column "city" holds text that is not in UTF-8; write the file in UTF-8'):
        _load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n1,4\n2,nan\n3,5\n", 'data row 2 of column "y" is missing'),
        ("x,y\n1,4\n2,inf\n3,5\n", 'data row 2 of column "y" is inf'),
        ("x,y\n1,a\n2,b\n", 'column "y" holds string; a regression wants numbers'),
        ("x,y\n1,true\n2,false\n", 'column "y" holds booleans; a regression wants numbers'),
    ],
)
def test_a_regression_wants_numbers_to_come_close_to(tmp_path: Path, text: str, said: str) -> None:
    _csv(tmp_path, text)

    with pytest.raises(DatasetBroken) as caught:
        _load(tmp_path, task="regression")

    assert said in str(caught.value)


def test_a_nan_in_a_parquet_file_is_named_like_a_null(tmp_path: Path) -> None:
    _parquet(tmp_path, {"x": [1.0, np.nan, None], "y": ["a", "b", "a"]})
    with pytest.raises(DatasetBroken, match='data row 3 of column "x" is missing'):
        _load(tmp_path, path="t.parquet")

    _parquet(tmp_path, {"x": [1.0, np.nan, 2.0], "y": ["a", "b", "a"]})
    with pytest.raises(DatasetBroken, match='data row 2 of column "x" is nan'):
        _load(tmp_path, path="t.parquet")


@pytest.mark.parametrize(("count", "is_taken"), [(100, True), (101, False)])
def test_a_column_has_at_most_100_different_strings(tmp_path: Path, count: int, is_taken: bool) -> None:
    _csv(tmp_path, "c,y\n" + "".join(f"word {number},{number % 2}\n" for number in range(count)))

    if is_taken:
        assert _load(tmp_path).train.source.shape == (count, count)
    else:
        with pytest.raises(
            DatasetBroken, match='column "c" has 101 different strings, of which each would be a feature'
        ):
            _load(tmp_path)


@pytest.mark.parametrize(
    ("columns", "fields", "said"),
    [
        ("x,Y", {}, 'dataset.target names "y"; the columns of t.csv are x, Y'),
        ("x,yy", {}, 'dataset.target names "y" (did you mean "yy"?); the columns of t.csv are x, yy'),
        ("x,y", {"ignore": ["z"]}, 'dataset.ignore names "z"; the columns of t.csv are x, y'),
    ],
)
def test_a_name_that_is_no_column_is_the_spec_s_mistake(
    tmp_path: Path, columns: str, fields: dict[str, Any], said: str
) -> None:
    _csv(tmp_path, f"{columns}\n1,a\n2,b\n")

    with pytest.raises(ColumnUnknown) as caught:
        _load(tmp_path, **fields)

    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["t.txt", "t"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x,y\n1,a\n2,b\n")

    with pytest.raises(DatasetBroken, match=r"its name does not end in \.csv or \.parquet"):
        _load(tmp_path, path=name)


def test_a_parquet_file_that_is_none_is_broken(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"x,y\n1,a\n2,b\n")

    with pytest.raises(DatasetBroken, match="ArrowInvalid"):
        _load(tmp_path, path="t.parquet")


def test_a_table_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r'dataset\.path is "t.csv", and .* has nothing there'):
        _load(tmp_path)


def test_a_link_out_of_the_data_folder_is_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    _csv(tmp_path, "x,y\n1,a\n2,b\n")
    (data / "t.csv").symlink_to(tmp_path / "t.csv")

    with pytest.raises(DatasetUnavailable, match="it leads out of"):
        _load(data)


def test_a_broken_number_is_named_and_does_not_make_its_column_text(tmp_path: Path) -> None:
    values = [str(number / 7) for number in range(40)]
    values[7] = "oops"
    _csv(tmp_path, "a,y\n" + "".join(f"{value},{number % 2}\n" for number, value in enumerate(values)))

    with pytest.raises(
        DatasetBroken, match='data row 8 of column "a" is "oops", and almost all others are numbers; mend it'
    ):
        _load(tmp_path)


def test_values_that_float32_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    _csv(tmp_path, "a,y\n" + "".join(f"{number},{1e9 + number}\n" for number in range(40)))

    with pytest.raises(DatasetBroken, match=r'column "y" has values about 1e[+]09 that differ by about 11[.]5'):
        _load(tmp_path, task="regression")


def test_a_head_that_is_not_in_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,y\n1,2\n2,3\n".encode("latin-1"))

    with pytest.raises(DatasetBroken, match=r"it is not in UTF-8; write it in UTF-8\. Mend or replace"):
        _load(tmp_path, path="t.csv")


def test_a_file_without_commas_is_told_of_them(tmp_path: Path) -> None:
    _csv(tmp_path, "x;y\n1;a\n2;b\n")

    with pytest.raises(ColumnUnknown, match=r"are x;y \(columns of a CSV file have commas between them\)$"):
        _load(tmp_path)
