"""Query parameters as models: unknown ones are refused, mistakes are explained as those in a job spec are."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from api.errors import ParametersInvalid
from lowland.spec.explain import explain


class Parameters(BaseModel):
    """The query parameters of a route, each with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(given)
        except ValidationError as error:
            raise ParametersInvalid(explain(error, cls, given, kind="parameter")) from error
