"""Stop rules: when a run has nothing more to gain, or no more time, and ends as a success."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lowland.spec.conflicts import is_score
from lowland.spec.job import Stop
from lowland.spec.states import StopReason


@dataclass(slots=True, kw_only=True)
class StopRules:
    """The rules of a job, and how far they are. None of them holds for a job without `stop`."""

    rules: Stop | None
    objective: str
    """The series that is watched where the rules name none."""
    best: float | None = None
    """The best value of the series so far."""
    waited: int = 0
    """Looks since then."""
    reason: StopReason | None = None
    """Which rule has ended the run."""

    def is_out_of_time(self, seconds: float) -> bool:
        """Whether so many seconds of training are enough."""
        limit = None if self.rules is None else self.rules.max_seconds
        return limit is not None and seconds >= limit

    def consider(self, metrics: Mapping[str, float], *, out_of_time: bool) -> None:
        """Take the latest metrics in, and set `reason` if the run is to end."""
        rules = self.rules
        if rules is None:
            return
        name = rules.metric or self.objective
        sign = 1.0 if is_score(name) else -1.0
        value = metrics[name]
        if self.best is None or sign * (value - self.best) > rules.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if rules.target is not None and sign * (value - rules.target) >= 0:
            self.reason = "target"
        elif rules.patience is not None and self.waited >= rules.patience:
            self.reason = "patience"
        elif out_of_time:
            self.reason = "max_seconds"

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "reason": self.reason}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited, self.reason = state["best"], state["waited"], state["reason"]
