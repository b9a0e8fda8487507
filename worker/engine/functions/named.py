"""The named test functions: points, float64 [n, ...], to values, [...]. What is known of them is in the contract."""

import math

import torch
from torch import Tensor


def ackley(x: Tensor) -> Tensor:
    """Almost flat far away, with one deep funnel and many dents on the way to it."""
    # vector_norm has a gradient of 0 at the minimum, where that of sqrt would be nan.
    distance = torch.linalg.vector_norm(x, dim=0) / math.sqrt(len(x))
    return 20 + math.e - 20 * torch.exp(-distance / 5) - torch.exp(torch.cos(2 * math.pi * x).mean(0))


def beale(x: Tensor) -> Tensor:
    """A curved valley, with walls at the corners."""
    a, b = x
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def booth(x: Tensor) -> Tensor:
    """A quadratic bowl, askew."""
    a, b = x
    return (a + 2 * b - 7) ** 2 + (2 * a + b - 5) ** 2


def himmelblau(x: Tensor) -> Tensor:
    """Four minima of the same depth."""
    a, b = x
    return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2


def rastrigin(x: Tensor) -> Tensor:
    """A bowl full of dents, about one a unit of length along each variable."""
    return 10 * len(x) + (x**2 - 10 * torch.cos(2 * math.pi * x)).sum(0)


def rosenbrock(x: Tensor) -> Tensor:
    """A long, curved and almost level valley."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(0)


def sphere(x: Tensor) -> Tensor:
    """A round bowl."""
    return (x**2).sum(0)


def three_hump_camel(x: Tensor) -> Tensor:
    """One deep minimum between two shallow ones."""
    a, b = x
    return 2 * a**2 - 1.05 * a**4 + a**6 / 6 + a * b + b**2
