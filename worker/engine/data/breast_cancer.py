"""breast-cancer: 569 tumours by 30 measurements, malignant or benign (Wolberg et al., 1995). With scikit-learn."""

from typing import Final

import torch

from lowland.spec.datasets import BreastCancer
from worker.engine.data.bundled import bundled_checksums, read_numbers
from worker.engine.data.dataset import Dataset, Samples
from worker.engine.data.splits import with_test_part
from worker.engine.reporting import SILENT, Reporter
from worker.engine.settings import EngineSettings

#: Of a cell nucleus, each as the mean, its standard error, and the mean of the three largest.
_MEASURED: Final = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip
_FEATURES: Final = (
    *(f"mean {one}" for one in _MEASURED),
    *(f"{one} error" for one in _MEASURED),
    *(f"worst {one}" for one in _MEASURED),
)


def load(spec: BreastCancer, settings: EngineSettings, reporter: Reporter = SILENT) -> Dataset:
    """Read them from scikit-learn's own files."""
    table = torch.from_numpy(read_numbers("breast_cancer.csv", delimiter=",", skip=1))  # the label is last
    everything = Samples(source=table[:, :-1].float(), targets=table[:, -1].long())
    train, test = with_test_part(spec.name, everything)
    return Dataset(
        train=train,
        test=test,
        classes=("malignant", "benign"),
        features=_FEATURES,
        checksums=bundled_checksums("breast_cancer.csv"),
    )
