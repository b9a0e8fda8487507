"""The frame of every model in the contract: strict, frozen, self-documenting values."""

from collections.abc import Callable, Mapping
from typing import Final, cast

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


class SpecModel(BaseModel):
    """A value of the contract. Unknown fields and loose types are refused; docstrings are descriptions."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
        serialize_by_alias=True,
    )


class ResourceModel(BaseModel):
    """A value the server sends. Unknown fields are passed over, so that an older client reads a newer server."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


def wire_fields(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """A model's fields by the names they have in JSON; Python has some of those for itself."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


#: The largest number an option may be: far beyond sense, and within what float32 can still compute with.
LARGEST: Final = 1e30

#: Patterns of text, and how they are said to people.
#: Characters that end a line, steer a terminal, or turn text around.
_CONTROL: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
LABEL: Final = rf"^[^{_CONTROL}]+$"
TAG: Final = rf"^[^{_CONTROL}:]+$"
URL: Final = r"^https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?([/?#][!-~]*)?$"
MACHINE_LABEL: Final = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
SECRET: Final = r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$"
PATTERNS: Final[Mapping[str, str]] = {
    LABEL: "one line of text, without control characters",
    TAG: "one line of text, without control characters and colons",
    URL: "a URL of ASCII characters that starts with http:// or https://, without a user and password",
    SECRET: "whsec_ and 24 to 64 random bytes in base64",
    MACHINE_LABEL: "1 to 63 letters, digits, '.', '_', '/' and '-', the first a letter or digit",
}


class Conflict(ValueError):
    """Fields that are right alone and wrong together; `field` is the one to look at first, relative to the model."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class Unfit(ValueError):
    """A value that is none of those that its field takes; the message says what is."""

    def __init__(self, accepted: str) -> None:
        super().__init__(f"give {accepted}")


#: What `shorthand` returns: a function for pydantic's `BeforeValidator`.
Expand = Callable[[object], object]


def shorthand(tag: str, aliases: Mapping[str, str] | None = None) -> Expand:
    """Let a string stand for an object whose `tag` field it is, and let a tag be spelled by an alias.

    Args:
        tag: the discriminator's field name, `"name"` or `"variant"`.
        aliases: other spellings, compared after lower-casing, with `_` read as `-`.
    """
    known: Final = aliases or {}

    def expand(value: object) -> object:
        if not isinstance(value, str | Mapping):
            return value
        given = {tag: value} if isinstance(value, str) else cast("Mapping[str, object]", value)
        name = given.get(tag)
        if not isinstance(name, str):
            return given
        plain = name.strip().lower().replace("_", "-")
        return {**given, tag: known.get(plain, plain)}

    return expand
