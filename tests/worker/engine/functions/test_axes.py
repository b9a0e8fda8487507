"""Axes: round numbers, as many as an axis bears, and pixels that any file can hold."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.functions.axes import Axes, Scale, round_numbers, round_ratios


@given(low=st.floats(-1e12, 1e12), extent=st.floats(1e-6, 1e12))
def test_ticks_are_few_inside_evenly_spaced_and_told_apart(low: float, extent: float) -> None:
    high = low + max(extent, abs(low) * 1e-6)

    ticks = round_numbers(low, high)

    values = [value for value, _ in ticks]
    slack = 1e-6 * (high - low)
    assert 2 <= len(ticks) <= 8
    assert all(low - slack <= value <= high + slack for value in values)
    assert len({label for _, label in ticks}) == len(ticks)
    assert np.ptp(np.diff(values)) <= 1e-6 * (high - low)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-2.0, 2.0, ["-2", "-1", "0", "1", "2"]),
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.9, 1.4, ["0.9", "1", "1.1", "1.2", "1.3", "1.4"]),
        (-1e31, 5e31, ["-1.0e+31", "0", "1.0e+31", "2.0e+31", "3.0e+31", "4.0e+31", "5.0e+31"]),
        (0.0, 3e-5, ["0", "5.0e-06", "1.0e-05", "1.5e-05", "2.0e-05", "2.5e-05", "3.0e-05"]),
    ],
)
def test_ticks_are_written_as_people_write_numbers(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in round_numbers(low, high)] == labels


@given(low=st.floats(1e-300, 1e150), ratio=st.floats(10, 1e150))
def test_ratios_are_round_numbers_inside(low: float, ratio: float) -> None:
    values = round_ratios(low, low * ratio)

    assert 1 <= len(values) <= 24
    assert all(low <= value <= low * ratio for value in values)
    assert values == sorted(values)


def test_a_scale_goes_from_its_low_to_its_high_end() -> None:
    linear, logarithmic = Scale(low=-1.0, high=3.0), Scale(low=1e-4, high=1e4, logarithmic=True)

    assert linear.share(np.array([-1.0, 0.0, 3.0])).tolist() == [0.0, 0.25, 1.0]
    assert logarithmic.share(np.array([1e-4, 1.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
    assert " ".join(label for _, label in logarithmic.ticks()) == "0.0001 0.001 0.01 0.1 1 10 100 1000 10000"


def test_points_far_outside_stay_near_and_those_that_are_nowhere_are_left_out_of_curves() -> None:
    axes = Axes(left=0, right=100, top=0, bottom=50, x=Scale(low=0.0, high=1.0), y=Scale(low=0.0, high=1.0))
    curve = np.array([[0.0, 0.0], [0.5, 1e100], [0.6, math.nan], [0.7, 1.0], [0.8, math.nan], [0.9, 0.5], [1.0, 0.0]])

    runs = axes.runs(curve)

    assert [run.tolist() for run in runs] == [[[0.0, 50.0], [50.0, -150.0]], [[90.0, 25.0], [100.0, 50.0]]]
