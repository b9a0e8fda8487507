"""What a regression does on a part of the data: how far off it is, and how much of the targets' spread it explains.

    mse  mean of (ŷ - y)²
    mae  mean of |ŷ - y|
    r2   1 - Σ (ŷ - y)² / Σ (y - ȳ)²     1 is perfect, 0 is as good as always saying the mean, below is worse

The spread is Σ (y - ȳ)² = Σ (y - k)² - (Σ (y - k))² / n with k the first target: of values far from 0 (years, say) the
squares themselves would leave no digits for their difference. The sums of a constant target are exactly 0.
"""

import torch
from torch import Tensor


class RegressionDetail:
    """Counts batch by batch on the device without waiting for it; whatever is read from it waits.

    Everything read is in the unit of what was given (mse: squared).
    """

    def __init__(self, device: torch.device) -> None:
        self._samples = 0
        self._squared_error = torch.zeros((), dtype=torch.float64, device=device)
        self._absolute_error = torch.zeros((), dtype=torch.float64, device=device)
        self._first = torch.zeros((), dtype=torch.float64, device=device)
        #: Σ (y - k) and Σ (y - k)².
        self._shifted = torch.zeros((), dtype=torch.float64, device=device)
        self._shifted_squares = torch.zeros((), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, predictions: Tensor, targets: Tensor) -> None:
        """Count a batch: what was said and what is true, float32 [B] each.

        Raises:
            ValueError: the shapes differ; taken as they are they would be spread against each other.
        """
        if predictions.shape != targets.shape:
            raise ValueError(
                f"predictions are {list(predictions.shape)} and targets {list(targets.shape)}; give both as [B]"
            )
        y = targets.double()
        if self._samples == 0:
            self._first = y[0].clone()
        self._samples += len(targets)
        error = predictions.double() - y
        shifted = y - self._first
        self._squared_error += error.square().sum()
        self._absolute_error += error.abs().sum()
        self._shifted += shifted.sum()
        self._shifted_squares += shifted.square().sum()

    @property
    def mse(self) -> float:
        """Mean squared error."""
        return self._mean(self._squared_error)

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return self._mean(self._absolute_error)

    @property
    def r2(self) -> float | None:
        """The fraction of the targets' spread that is explained; None where they have none (a constant target)."""
        spread = float(self._shifted_squares) - float(self._shifted) * self._mean(self._shifted)
        return 1 - float(self._squared_error) / spread if spread > 0 else None

    def scalars(self, *, part: str) -> dict[str, float]:
        """The metrics, named after the part ("test"): test_mse, test_mae, and test_r2 where there is one."""
        return {f"{part}_{name}": value for name, value in self._measures().items() if value is not None}

    def report(self) -> dict[str, object]:
        """Everything, in JSON's types."""
        return {"samples": self._samples, **self._measures()}

    def _measures(self) -> dict[str, float | None]:
        return {"mse": self.mse, "mae": self.mae, "r2": self.r2}

    def _mean(self, total: Tensor) -> float:
        if self._samples == 0:
            raise ValueError("no sample has been measured; add a batch first")
        return float(total) / self._samples
