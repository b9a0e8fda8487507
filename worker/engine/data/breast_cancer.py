"""breast-cancer: 569 tumours by 30 measurements, malignant or benign (Wolberg et al., 1995). With scikit-learn."""

import torch
from sklearn import datasets

from lowland.spec.datasets import BreastCancer
from worker.engine.data.checksums import bundled_checksums
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import with_test_part
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings


def load(spec: BreastCancer, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read them from scikit-learn's own files."""
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    everything = Samples(source=torch.from_numpy(features).float(), targets=torch.from_numpy(labels).long())
    train, test = with_test_part(spec.name, everything)
    return Dataset(
        train=train, test=test, classes=("malignant", "benign"), checksums=bundled_checksums("breast_cancer.csv")
    )
