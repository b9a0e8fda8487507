"""The contract between everyone who submits, serves or trains a job. pydantic only; nothing heavy is imported."""

from lowland.errors import FieldError, SpecInvalid
from lowland.spec.job import JobSpec
from lowland.spec.states import TERMINAL, TRANSITIONS, Event, Status

__all__ = ["TERMINAL", "TRANSITIONS", "Event", "FieldError", "JobSpec", "SpecInvalid", "Status"]
