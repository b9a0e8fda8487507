"""Stratified splits: exact counts, every class in proportion, nothing lost, nothing twice."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worker.engine.data import Samples
from worker.engine.data.splits import chosen, drawn_by_class, split_off, stratified, with_test_part


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


@pytest.mark.parametrize(
    ("quotas", "drawn"), [([2, 0, 9], [2, 0, 5]), ([0, 0, 0], [0, 0, 0]), ([5, 5, 5], [5, 5, 5])], ids=str
)
def test_of_each_class_its_quota_is_drawn_or_all_it_has(quotas: list[int], drawn: list[int]) -> None:
    labels = torch.arange(3).repeat(5)

    is_drawn = drawn_by_class(labels, torch.tensor(quotas), _generator())

    assert torch.bincount(labels[is_drawn], minlength=3).tolist() == drawn


def _values(count: int) -> Samples:
    return Samples(source=torch.arange(count).float()[:, None], targets=torch.arange(count).float())


def test_choosing_among_chosen_samples_goes_by_their_own_numbers() -> None:
    some = chosen(_values(10), torch.tensor([3, 5, 7, 9]))

    few = chosen(some, torch.tensor([0, 2]))

    assert few.targets.tolist() == [3, 7]
    assert few.inputs(torch.tensor([1, 0])).tolist() == [[7], [3]]


def test_values_are_split_off_at_random() -> None:
    rest, drawn = split_off(_values(100), 30, _generator())

    assert (len(rest), len(drawn)) == (70, 30)
    assert sorted([*rest.targets.tolist(), *drawn.targets.tolist()]) == list(range(100))
    assert torch.equal(drawn.inputs(torch.arange(30))[:, 0], drawn.targets)


@pytest.mark.parametrize(("samples", "test"), [(2, 1), (3, 1), (10, 2), (100, 20)])
def test_the_fixed_test_part_is_a_fifth_and_leaves_something(samples: int, test: int) -> None:
    train, held_out = with_test_part("diabetes", _values(samples))

    assert (len(train), len(held_out)) == (samples - test, test)


def test_the_fixed_test_part_goes_by_the_dataset_s_name_alone() -> None:
    first, again, other = (with_test_part(name, _values(100))[1].targets for name in ("a", "a", "b"))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
