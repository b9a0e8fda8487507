"""diabetes: 442 patients by 10 measurements, and their disease a year on (Efron et al., 2004). With scikit-learn."""

import torch

from lowland.spec.datasets import Diabetes
from worker.engine.data.bundled import bundled_checksums, read_numbers
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import with_test_part
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings


def load(spec: Diabetes, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read them from scikit-learn's own files, in the units they were measured in."""
    features, progression = read_numbers("diabetes_data_raw.csv.gz"), read_numbers("diabetes_target.csv.gz")
    everything = Samples(source=torch.from_numpy(features).float(), targets=torch.from_numpy(progression).float())
    train, test = with_test_part(spec.name, everything)
    return Dataset(
        train=train,
        test=test,
        classes=None,
        checksums=bundled_checksums("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"),
    )
