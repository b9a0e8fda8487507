"""table: people's own table, CSV or Parquet, under LOWLAND_DATA_DIR.

The target column becomes classes or values, each other column one feature or several (`columns.py`). Rows are counted
from 1, a CSV file's header line not among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch

from lowland.spec.datasets import Table
from lowland.spec.show import shown
from worker.engine.data.checksums import checksums
from worker.engine.data.columns import ColumnUnusable, classes_of, features_of, values_of
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.own_files import own_path
from worker.engine.data.splits import with_test_part
from worker.engine.errors import ColumnUnknown, DatasetBroken
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings

#: pyarrow's limit for the size of a piece.
_LARGEST_BLOCK_BYTES: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A table as samples, with the names of its features and classes."""

    samples: Samples
    features: tuple[str, ...]
    classes: tuple[str, ...] | None


def load(spec: Table, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read it.

    Raises:
        OwnDatasetUnavailable: the path names nothing under LOWLAND_DATA_DIR.
        DatasetBroken: the file is no table, or a column cannot be used.
        ColumnUnknown: it has no column of a name that the spec gives.
    """
    path = own_path(spec.name, spec.path, settings)
    try:
        read = _read(spec, path, _rows(path))
    except UnicodeDecodeError as error:
        raise DatasetBroken(spec.name, folder=path, problem="it is not in UTF-8; write it in UTF-8") from error
    except (ColumnUnusable, pa.ArrowException, OSError) as error:
        problem = str(error) if isinstance(error, ColumnUnusable) else error
        raise DatasetBroken(spec.name, folder=path, problem=problem) from error
    train, test = with_test_part(spec.name, read.samples)
    return Dataset(
        train=train, test=test, classes=read.classes, features=read.features, checksums=checksums({path.name: path})
    )


def _rows(path: Path) -> pa.Table:
    """Read a file by its ending, on this thread alone."""
    readers: Mapping[str, Callable[[Path], pa.Table]] = {".csv": _csv, ".parquet": _parquet}
    if (read := readers.get(path.suffix.lower())) is None:
        raise ColumnUnusable("its name does not end in .csv or .parquet")
    table = read(path)
    if twice := next((name for name in table.column_names if table.column_names.count(name) > 1), None):
        raise ColumnUnusable(f"two columns are called {shown(twice)}")
    if len(table) < 2:
        raise ColumnUnusable(f"it has {len(table)} data rows; give at least 2")
    return table


def _csv(path: Path) -> pa.Table:
    # In one piece: a column's type is told by the first piece, and may be contradicted by the others.
    block = min(max(path.stat().st_size, 1), _LARGEST_BLOCK_BYTES)
    table = pyarrow.csv.read_csv(path, read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=block))
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_binary(column.type):  # what pyarrow makes of bytes that are no UTF-8
            raise ColumnUnusable(f"column {shown(name)} holds text that is not in UTF-8; write the file in UTF-8")
    return table


def _parquet(path: Path) -> pa.Table:
    return pyarrow.parquet.read_table(path, use_threads=False)


def _read(spec: Table, path: Path, table: pa.Table) -> _Read:
    for field, name in (("target", spec.target), *(("ignore", name) for name in spec.ignore)):
        if name not in table.column_names:
            raise ColumnUnknown(path, field=field, name=name, known=table.column_names)
    names = [name for name in table.column_names if name not in {spec.target, *spec.ignore}]
    if not names:
        raise ColumnUnusable("it has no column left to learn from beside the target")
    features = [feature for name in names for feature in features_of(name, table.column(name))]
    target = table.column(spec.target)
    if spec.task == "regression":
        targets, classes = values_of(spec.target, target), None
    else:
        targets, classes = classes_of(spec.target, target)
    columns = np.stack([column for _, column in features], axis=1)
    return _Read(
        samples=Samples(source=torch.from_numpy(columns), targets=torch.from_numpy(targets)),
        features=tuple(name for name, _ in features),
        classes=classes,
    )
