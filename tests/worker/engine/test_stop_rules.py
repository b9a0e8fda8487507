"""Stop rules: what they watch, when they end a run, and what they remember."""

from collections.abc import Sequence

import pytest

from lowland.spec.job import Stop
from worker.engine.stop_rules import StopRules


def _ended_after(rules: StopRules, series: str, values: Sequence[float]) -> int | None:
    """The look, from 1, at which a rule ends the run; None if none does."""
    for look, value in enumerate(values, 1):
        rules.consider({series: value, "other": -1e9}, out_of_time=False)
        if rules.reason is not None:
            return look
    return None


def _rules(*, objective: str = "validation_accuracy", **fields: object) -> StopRules:
    return StopRules(rules=Stop.model_validate(fields), objective=objective)


@pytest.mark.parametrize(
    ("series", "target", "values", "ended_after"),
    [
        ("validation_accuracy", 0.9, [0.5, 0.89, 0.9, 0.95], 3),
        ("validation_r2", 0.0, [-3.0, -0.1, 0.2], 3),
        ("train_r2", 0.5, [0.6], 1),
        ("train_loss", 0.1, [0.5, 0.11, 0.1], 3),
        ("validation_loss", 0.1, [0.5, 0.4, 0.11], None),
        ("value", -2.0, [3.0, -1.0, -2.5], 3),
    ],
)
def test_a_target_ends_the_run_once_the_series_is_as_good(
    series: str, target: float, values: Sequence[float], ended_after: int | None
) -> None:
    rules = _rules(objective=series, target=target)

    assert _ended_after(rules, series, values) == ended_after
    assert rules.reason == (None if ended_after is None else "target")


@pytest.mark.parametrize(
    ("series", "values", "ended_after"),
    [
        ("validation_accuracy", [0.5, 0.6, 0.6, 0.55, 0.7], 4),
        ("validation_accuracy", [0.5, 0.4, 0.6, 0.5, 0.65], None),
        ("validation_r2", [-1.0, -2.0, -1.5], 3),
        ("validation_loss", [1.0, 1.1, 1.0], 3),
        ("train_loss", [1.0, 0.9, 0.95, 0.8], None),
        ("value", [1.0, 1.0, 1.0], 3),
    ],
)
def test_patience_ends_the_run_after_so_many_looks_without_improvement(
    series: str, values: Sequence[float], ended_after: int | None
) -> None:
    """To be as good as before is none; one improvement starts the wait anew."""
    rules = _rules(objective=series, patience=2)

    assert _ended_after(rules, series, values) == ended_after
    assert rules.reason == (None if ended_after is None else "patience")


@pytest.mark.parametrize(
    ("series", "values"), [("validation_accuracy", [0.5, 0.625, 0.75, 0.875]), ("train_loss", [0.5, 0.375, 0.25, 0.0])]
)
def test_min_delta_is_the_change_that_has_to_be_exceeded_seen_from_the_best(
    series: str, values: Sequence[float]
) -> None:
    """Two small steps in a row are one large one."""
    assert _ended_after(_rules(objective=series, patience=1, min_delta=0.125), series, values) == 2
    assert _ended_after(_rules(objective=series, patience=2, min_delta=0.125), series, values) is None
    assert _ended_after(_rules(objective=series, patience=2, min_delta=0.25), series, values) == 3


def test_the_objective_is_watched_unless_a_series_is_named() -> None:
    metrics = {"validation_accuracy": 0.5, "validation_loss": 0.2}
    objective, named = _rules(target=0.4), _rules(target=0.1, metric="validation_loss")

    for rules in (objective, named):
        rules.consider(metrics, out_of_time=False)

    assert (objective.reason, objective.best) == ("target", 0.5)
    assert (named.reason, named.best) == (None, 0.2)


def test_time_is_up_from_max_seconds_on_whatever_the_series_does() -> None:
    rules = _rules(max_seconds=10)

    assert [rules.is_out_of_time(seconds) for seconds in (0.0, 9.99, 10.0, 11.0)] == [False, False, True, True]
    rules.consider({"validation_accuracy": 0.5}, out_of_time=False)
    assert rules.reason is None
    rules.consider({"validation_accuracy": 0.6}, out_of_time=True)
    assert rules.reason == "max_seconds"


def test_what_was_reached_is_told_before_that_there_was_no_more_time() -> None:
    rules = _rules(max_seconds=10, target=0.5)

    rules.consider({"validation_accuracy": 0.5}, out_of_time=True)

    assert rules.reason == "target"


def test_a_job_without_rules_is_never_ended() -> None:
    rules = StopRules(rules=None, objective="validation_accuracy")

    rules.consider({}, out_of_time=rules.is_out_of_time(1e9))

    assert (rules.reason, rules.is_out_of_time(1e9)) == (None, False)


def test_rules_that_are_put_back_wait_no_longer_for_it() -> None:
    values = [0.5, 0.6, 0.4, 0.4, 0.4]
    whole = _rules(patience=3)
    first, second = _rules(patience=3), _rules(patience=3)
    assert _ended_after(whole, "validation_accuracy", values) == 5

    assert _ended_after(first, "validation_accuracy", values[:4]) is None
    second.load_state_dict(first.state_dict())

    assert _ended_after(second, "validation_accuracy", values[4:]) == 1
    assert second.state_dict() == whole.state_dict() == {"best": 0.6, "waited": 3, "reason": "patience"}
