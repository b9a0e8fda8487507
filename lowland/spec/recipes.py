"""What suits each dataset, and functions: the defaults a job gets for what it does not say, before the general ones.

A recipe is a partial spec. A job that names another model or optimizer than the recipe gets that one's own defaults; an
object without a name suits whatever is chosen, as far as that has its fields.
"""

from collections.abc import Mapping
from typing import Any, Final

Recipe = Mapping[str, Any]

_RESNET9_SGD: Final[Recipe] = {
    "model": {"name": "resnet9", "width": 16},
    "optimizer": {"name": "sgd", "lr": 0.2},
    "schedule": {"name": "linear"},
    "label_smoothing": 0.1,
}

RECIPES: Final[Mapping[str, Recipe]] = {
    "digits": {
        "model": {"name": "cnn", "width": 32},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "batch_size": 64,
        "epochs": 20,
    },
    "mnist": {**_RESNET9_SGD, "dataset": {"augment": "shift"}, "epochs": 4},
    "kmnist": {**_RESNET9_SGD, "dataset": {"augment": "shift"}, "epochs": 5},
    "fashion-mnist": {**_RESNET9_SGD, "dataset": {"augment": "flip"}, "epochs": 8},
    "cifar10": {**_RESNET9_SGD, "dataset": {"augment": "crop-flip"}, "epochs": 12},
    "cifar100": {
        **_RESNET9_SGD,
        "dataset": {"augment": "cutout"},
        "model": {"name": "resnet9", "width": 32},
        "epochs": 30,
    },
    "svhn": {**_RESNET9_SGD, "dataset": {"augment": "shift"}, "epochs": 10},
    "linear": {
        "model": {"name": "linear"},
        "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
        "schedule": {"name": "constant"},
        "batch_size": 16,
        "epochs": 20,
    },
    "diabetes": {
        "model": {"name": "linear"},
        "optimizer": {"name": "adam", "lr": 0.03},
        "batch_size": 32,
        "epochs": 40,
    },
    "breast-cancer": {
        "model": {"name": "mlp", "width": 32, "depth": 1},
        "optimizer": {"name": "adamw", "lr": 0.003},
        "batch_size": 32,
        "epochs": 20,
    },
    "folder": {
        "dataset": {"augment": "crop-flip"},
        "model": {"name": "resnet9", "width": 32},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "label_smoothing": 0.1,
        "batch_size": 64,
        "epochs": 30,
    },
    "table": {
        "model": {"name": "mlp", "width": 64, "depth": 2},
        "optimizer": {"name": "adamw", "lr": 0.001},
        "batch_size": 64,
        "epochs": 30,
    },
}

#: What suits functions: plain small steps. A radius stands for whatever variant has one.
FUNCTION_RECIPE: Final[Recipe] = {
    "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0},
    "schedule": {"name": "constant"},
    "sam": {"rho": 0.005},
    "steps": 100,
    "epochs": 1,  # the steps are one run
}
