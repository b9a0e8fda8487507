"""Fields of a job that are right alone and wrong together: one check each, named after what it is about.

A check raises `Conflict` with the field to look at first. It sees the job with every default filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from lowland.spec.base import Conflict
from lowland.spec.datasets import Folder
from lowland.spec.functions import check_function
from lowland.spec.optimizers import Muon, RmsProp, Sgd
from lowland.spec.sam import Imbalanced, Momentum, Sam
from lowland.spec.schedules import OneCycle
from lowland.spec.show import one_of, shown

if TYPE_CHECKING:
    from lowland.spec.job import JobSpec, Stop


def _one_task(spec: JobSpec) -> None:
    if (spec.dataset is None) == (spec.function is None):
        raise Conflict(
            "dataset",
            "give either dataset or function: " + ("both are there" if spec.dataset else "neither is there"),
        )
    if spec.function is None and (spec.start is not None or spec.steps is not None):
        raise Conflict(
            "start" if spec.start is not None else "steps",
            "start and steps belong to function; leave them out, or give function instead of dataset",
        )


def _function_and_start(spec: JobSpec) -> None:
    if spec.function is None:
        return
    if spec.start is None:
        raise Conflict("start", "start is missing; give the point to start from, one number per variable of function")
    check_function(spec.function, len(spec.start))


def _warm_up_within_the_run(spec: JobSpec) -> None:
    if isinstance(spec.schedule, OneCycle) or spec.schedule.warmup_epochs <= spec.epochs:
        return
    if spec.task == "function":
        raise Conflict(
            "schedule.warmup_epochs",
            f"schedule.warmup_epochs is {spec.schedule.warmup_epochs:g}, and all steps of a function are one epoch; "
            "give the part of them to warm up for, at most 1",
        )
    raise Conflict(
        "schedule.warmup_epochs",
        f"schedule.warmup_epochs is {spec.schedule.warmup_epochs:g} and epochs is {spec.epochs}; "
        "warm up for at most all epochs",
    )


def _momentum_to_perturb_along(spec: JobSpec) -> None:
    has_none = isinstance(spec.optimizer, Sgd | RmsProp | Muon) and spec.optimizer.momentum == 0
    if has_none and isinstance(spec.sam, Momentum) and spec.sam.rho != 0:
        raise Conflict(
            "optimizer.momentum",
            'optimizer.momentum is 0 and sam.variant is "msam", which perturbs along the momentum; '
            "give momentum > 0, or another variant",
        )


def _classes_to_be_rare(spec: JobSpec) -> None:
    if isinstance(spec.sam, Imbalanced) and spec.task != "classification":
        raise Conflict(
            "sam.variant",
            f'sam.variant is "imbsam", which needs classes, and the task is {spec.task}; give another variant',
        )


def _labels_to_be_smoothed(spec: JobSpec) -> None:
    if spec.label_smoothing and spec.task != "classification":
        raise Conflict(
            "label_smoothing",
            f"label_smoothing is {spec.label_smoothing:g} and the task is {spec.task}, which has no labels; "
            "leave it out",
        )


def _images_for_the_model(spec: JobSpec) -> None:
    if spec.dataset is not None and spec.model.wants_images and not spec.dataset.has_images:
        raise Conflict(
            "model.name",
            f'model.name is "{spec.model.name}", which takes images, and dataset.name is "{spec.dataset.name}", which '
            'has none; give "mlp" or "linear"',
        )


def _images_to_be_corrupted(spec: JobSpec) -> None:
    if spec.evaluate is not None and (spec.dataset is None or not spec.dataset.has_images):
        raise Conflict("evaluate.corruptions", "evaluate.corruptions are of images; leave evaluate out")


def _matrices_for_muon(spec: JobSpec) -> None:
    if isinstance(spec.optimizer, Muon) and (spec.dataset is None or not spec.model.has_hidden_matrices):
        what = f'model "{spec.model.name}"' if spec.dataset else "a function"
        raise Conflict(
            "optimizer.name",
            f'optimizer.name is "muon", which is for hidden weight matrices; {what} has none. '
            "Give another optimizer, or a model with some, such as mlp or vit-tiny",
        )


def _graphs_kept(spec: JobSpec) -> None:
    """What keeps a graph through two passes works on one device, uncompiled, without a scaler."""
    if not isinstance(spec.sam, Sam):
        return
    field = "second_order" if spec.sam.second_order else "shard_size" if spec.sam.shard_size is not None else None
    if field is None:
        return
    given = f"sam.{field} is {shown(getattr(spec.sam, field))}"
    against = [
        ("compile", "true", spec.compile, "false"),
        ("precision", '"fp16"', spec.precision == "fp16", '"bf16" or "fp32"'),
        ("resources.world_size", str(spec.resources.world_size), spec.resources.world_size > 1, "1"),
    ]
    for name, value, is_given, instead in against:
        if is_given:
            raise Conflict(name, f"{given} and {name} is {value}; leave out sam.{field}, or give {name} = {instead}")


def _several_processes(spec: JobSpec) -> None:
    ranks = spec.resources.world_size
    if ranks > 1 and spec.dataset is None:
        raise Conflict(
            "resources.world_size", f"resources.world_size is {ranks}; a function is minimised on one: give 1"
        )
    if ranks > spec.batch_size:
        raise Conflict(
            "batch_size",
            f"batch_size is {spec.batch_size} and resources.world_size is {ranks}; give every process a sample",
        )


def _memory_of_gpus(spec: JobSpec) -> None:
    if spec.resources.device == "cpu" and spec.resources.gpu_memory_gb is not None:
        wanted = shown(spec.resources.gpu_memory_gb)
        raise Conflict(
            "resources.gpu_memory_gb",
            f'resources.gpu_memory_gb is {wanted} and resources.device is "cpu"; leave one of them out',
        )


#: What a task is selected by.
_SCORES: Final = {"classification": "accuracy", "regression": "r2"}


def _validates(spec: JobSpec) -> bool:
    return spec.dataset is not None and spec.dataset.validation_fraction > 0


def _metric_of_the_task(spec: JobSpec) -> None:
    if spec.stop is None or spec.stop.metric is None:
        return
    # A folder may have a part of its own; only who reads it knows.
    has_validation = isinstance(spec.dataset, Folder) or _validates(spec)
    score = _SCORES.get(spec.task)
    known = ["value"] if spec.task == "function" else ["train_loss", *(["train_r2"] if score == "r2" else [])]
    if has_validation:
        known += [f"validation_{score}", "validation_loss"]
    if spec.stop.metric not in known:
        raise Conflict(
            "stop.metric",
            f'stop.metric is "{spec.stop.metric}", which this job has no series of; give {one_of(known)}',
        )


def is_score(series: str) -> bool:
    """Whether a series is an accuracy or R²: better the higher it is, and 1 at most."""
    return series.endswith(("accuracy", "r2"))


def _target_within_reach(spec: JobSpec) -> None:
    if spec.stop is None:
        return
    by_default = f"validation_{_SCORES[spec.task]}" if spec.task in _SCORES and _validates(spec) else ""
    if mistake := target_out_of_reach(spec.stop, spec.stop.metric or by_default):
        raise Conflict("stop.target", mistake)


def target_out_of_reach(stop: Stop, metric: str) -> str | None:
    """What is wrong with a target that a series cannot reach; a folder's engine asks again, which knows the series."""
    if stop.target is None or stop.target <= 1 or not is_score(metric):
        return None
    return f"stop.target is {stop.target:g}, and no {metric} is above 1; give at most 1"


def _nothing_of_data_for_a_function(spec: JobSpec) -> None:
    """What is about data, models or a GPU's arithmetic says nothing of a function."""
    if spec.function is None:
        return
    defaults = {name: field.default for name, field in type(spec).model_fields.items()} | {"epochs": 1}
    for field in ("model", "batch_size", "accumulate", "epochs", "ema", "compile", "channels_last"):
        value = getattr(spec, field)
        if value != defaults[field]:
            said = shown(value.name if field == "model" else value)
            raise Conflict(field, f"{field} is {said}, which a function has no use for; leave it out")
    if spec.precision in {"bf16", "fp16"}:
        raise Conflict(
            "precision", f"precision is {shown(spec.precision)}, and a function is computed in fp64; leave it out"
        )
    if spec.resources.device == "cuda":
        raise Conflict(
            "resources.device",
            'resources.device is "cuda", and a function is computed on the CPU; give "cpu" or "auto"',
        )


CHECKS: Final[Sequence[Callable[[JobSpec], None]]] = [
    _one_task,
    _function_and_start,
    _nothing_of_data_for_a_function,
    _warm_up_within_the_run,
    _momentum_to_perturb_along,
    _classes_to_be_rare,
    _labels_to_be_smoothed,
    _images_for_the_model,
    _images_to_be_corrupted,
    _matrices_for_muon,
    _graphs_kept,
    _several_processes,
    _memory_of_gpus,
    _metric_of_the_task,
    _target_within_reach,
]
