"""Stratified splits: exact counts, every class in proportion, nothing lost, nothing twice."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worker.engine.data.splits import stratified


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def _labels_and_count(draw: st.DrawFn) -> tuple[Tensor, int]:
    labels = draw(st.lists(st.integers(0, 6), min_size=1, max_size=80))
    return torch.tensor(labels), draw(st.integers(0, len(labels)))


@given(_labels_and_count(), st.integers(0, 2**32))
def test_a_split_is_exact_disjoint_complete_and_proportional(case: tuple[Tensor, int], seed: int) -> None:
    labels, count = case

    rest, drawn = stratified(labels, count, _generator(seed))

    assert len(drawn) == count
    assert sorted([*rest.tolist(), *drawn.tolist()]) == list(range(len(labels)))
    for label in labels.unique():
        fair = count * int((labels == label).sum()) / len(labels)
        assert abs(int((labels[drawn] == label).sum()) - fair) < 1


def test_the_generator_decides_who_is_drawn_and_nothing_else_does() -> None:
    labels = torch.arange(10).repeat(20)

    draws = [stratified(labels, 50, _generator(seed))[1] for seed in (1, 1, 2)]

    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("count", [-1, 4])
def test_more_than_there_are_cannot_be_drawn(count: int) -> None:
    with pytest.raises(ValueError, match=f"count is {count}; give 0 to 3"):
        stratified(torch.tensor([0, 1, 2]), count, _generator())
