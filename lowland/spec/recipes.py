"""What suits each dataset: the defaults a job gets for what it does not say, before the general ones.

A recipe is a partial spec. A job that names another model or optimizer than the recipe gets that one's own defaults.
"""

from collections.abc import Mapping
from typing import Any, Final

Recipe = Mapping[str, Any]

_RESNET9_SGD: Final[Recipe] = {
    "model": {"name": "resnet9", "width": 16},
    "optimizer": {"name": "sgd", "lr": 0.2},
    "label_smoothing": 0.1,
}

RECIPES: Final[Mapping[str, Recipe]] = {
    "digits": {
        "model": {"name": "cnn", "width": 32},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "batch_size": 64,
        "epochs": 20,
    },
    "kmnist": {**_RESNET9_SGD, "dataset": {"augment": "shift"}, "epochs": 8},
    "fashion-mnist": {**_RESNET9_SGD, "dataset": {"augment": "crop-flip"}, "epochs": 12},
    "cifar10": {
        **_RESNET9_SGD,
        "dataset": {"augment": "cutout"},
        "model": {"name": "resnet9", "width": 24},
        "epochs": 24,
    },
}
