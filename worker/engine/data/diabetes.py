"""diabetes: 442 patients by 10 measurements, and their disease a year on (Efron et al., 2004). With scikit-learn."""

from typing import Final

import torch

from lowland.spec.datasets import Diabetes
from worker.engine.data.bundled import bundled_checksums, read_numbers
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import with_test_part
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings

#: In the order of the columns; s1 to s6 are blood serum measurements.
_FEATURES: Final = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def load(spec: Diabetes, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read them from scikit-learn's own files, in the units they were measured in."""
    features, progression = read_numbers("diabetes_data_raw.csv.gz"), read_numbers("diabetes_target.csv.gz")
    everything = Samples(source=torch.from_numpy(features).float(), targets=torch.from_numpy(progression).float())
    train, test = with_test_part(spec.name, everything)
    return Dataset(
        train=train,
        test=test,
        classes=None,
        features=_FEATURES,
        checksums=bundled_checksums("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"),
    )
