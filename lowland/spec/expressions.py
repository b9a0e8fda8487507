"""Expressions in x, or in x0, x1, ...: read by a whitelist over Python's syntax, never run as code.

    values        numbers, the variables, pi, e
    operators     + - * / ** and parentheses, with Python's precedence
    functions     abs cos cosh exp log sin sinh sqrt tan tanh

What is read is a flat sequence in postfix order: nothing here recurses into what somebody sent. One loop computes it
over any kind of numbers: floats here, tensors in the engine.
"""

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, assert_never

from lowland.spec.show import cut, nearest, shown

T = TypeVar("T")

#: Characters of a text that is read at all; everything that takes time here is bounded by it.
MAX_LENGTH: Final = 1000
#: Nodes inside each other. Whether Python's parser takes more depends on the stack it is called with.
MAX_DEPTH: Final = 500


@dataclass(frozen=True, slots=True)
class Constant:
    """A finite number."""

    value: float


@dataclass(frozen=True, slots=True)
class Variable:
    """x is the one with index 0, as x0 is."""

    index: int


@dataclass(frozen=True, slots=True)
class Operation:
    """What takes so many values before it and gives one."""

    name: str
    operands: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic(Generic[T]):
    """A kind of numbers: how a constant becomes one, and each of the operations."""

    constant: Callable[[float], T]
    operations: Mapping[str, Callable[..., T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """An expression that has been read."""

    text: str
    variables: int
    """How many numbers it is a function of."""
    postfix: tuple[Constant | Variable | Operation, ...]

    def evaluate(self, variables: Sequence[T], arithmetic: Arithmetic[T]) -> T:
        """Its value where the variables have these values."""
        stack: list[T] = []
        for part in self.postfix:
            match part:
                case Constant():
                    stack.append(arithmetic.constant(part.value))
                case Variable():
                    stack.append(variables[part.index])
                case Operation():
                    operands = stack[-part.operands :]
                    stack[-part.operands :] = [arithmetic.operations[part.name](*operands)]
                case _:
                    assert_never(part)
        (value,) = stack
        return value


#: What stands for -x: "-" is the difference of two.
NEGATE: Final = "negate"

#: Python's own floats. Outside a function's domain, and where a result is too large, these raise as `math` does.
FLOATS: Final[Arithmetic[float]] = Arithmetic(
    constant=float,
    operations={
        "+": float.__add__,
        "-": float.__sub__,
        "*": float.__mul__,
        "/": float.__truediv__,
        "**": math.pow,
        NEGATE: float.__neg__,
        "abs": math.fabs,
        "cos": math.cos,
        "cosh": math.cosh,
        "exp": math.exp,
        "log": math.log,
        "sin": math.sin,
        "sinh": math.sinh,
        "sqrt": math.sqrt,
        "tan": math.tan,
        "tanh": math.tanh,
    },
)

#: The functions of one value, by the names they are written with.
FUNCTIONS: Final[Sequence[str]] = sorted(name for name in FLOATS.operations if name.isalpha() and name != NEGATE)
CONSTANTS: Final[Mapping[str, float]] = {"pi": math.pi, "e": math.e}

_BINARY: Final[Mapping[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
}

_ACCEPTED: Final = (
    f"give numbers, x or x0, x1, ..., {', '.join(CONSTANTS)}, + - * / **, parentheses and {', '.join(FUNCTIONS)}"
)

_TOO_DEEP: Final = f"it is nested too deeply; give one with at most {MAX_DEPTH} operations inside each other"

#: Looked for first: what is made of other characters is no expression, whatever else it may be.
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_ .,+\-*/()]")
_NUMBER_AND_NAME: Final = re.compile(
    r"(?<![\w.])((?:\d[\d_]*+(?:\.[\d_]*+)?+|\.\d[\d_]*+)(?:[eE][+-]?\d++)?+)([A-Za-z_]\w*)", re.ASCII
)
_VARIABLE: Final = re.compile(r"x(0|[1-9][0-9]*)?")

#: How the rest of Python that those characters can spell is called when it is refused.
_REFUSED: Final[Mapping[type[ast.AST], str]] = {
    ast.Attribute: "is an attribute",
    ast.Await: "is a keyword of Python",
    ast.BoolOp: "is a condition",
    ast.Call: "calls what is no function (write * to multiply)",
    ast.Compare: "is a comparison",
    ast.Constant: "is no number",
    ast.IfExp: "is a condition",
    ast.Starred: "is a list of arguments",
    ast.Tuple: "is more than one value",
}


class ExpressionInvalid(ValueError):
    """A text is no expression; the message says what was met and what is accepted."""


def read_expression(text: str) -> Expression:
    """Read an expression. x alone makes one variable; of x0, x1, ... none may be left out.

    Raises:
        ExpressionInvalid: it is none.
    """
    text = text.strip()
    nodes, parts = [(_parse(text), 1)], list[Constant | Variable | Operation]()
    while nodes:
        node, depth = nodes.pop()
        if depth > MAX_DEPTH:
            raise ExpressionInvalid(_TOO_DEEP)
        part, operands = _read(node, text)
        parts += part
        nodes += [(operand, depth + 1) for operand in operands]
    expression = Expression(text=text, variables=_count_variables(text, parts), postfix=tuple(reversed(parts)))
    expression.evaluate([None] * expression.variables, _KNOWN_VALUES)
    return expression


def _parse(text: str) -> ast.expr:
    if not text:
        raise ExpressionInvalid(f"there is nothing in it; {_ACCEPTED}")
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"it has {len(text)} characters; give at most {MAX_LENGTH}")
    if foreign := _FOREIGN.search(text):
        hint = "; write ** for powers" if foreign[0] == "^" else ""
        raise ExpressionInvalid(f"{shown(foreign[0])} has no meaning here{hint}; {_ACCEPTED}")
    if together := _NUMBER_AND_NAME.search(text):
        number, name = together.groups()
        raise ExpressionInvalid(f"{shown(together[0])} is neither a number nor a name; write {number}*{name}")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ExpressionInvalid(f"it is not complete, or not in order ({error.msg}); {_ACCEPTED}") from error
    except (RecursionError, MemoryError) as error:
        raise ExpressionInvalid(_TOO_DEEP) from error


def _read(node: ast.expr, text: str) -> tuple[list[Constant | Variable | Operation], list[ast.expr]]:
    """What one node is, if it is anything, and the nodes of its operands."""
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return [_number(value)], []
        case ast.Name(id=name):
            return [_value(name)], []
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return [Operation(NEGATE, 1)], [operand]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return [], [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return [Operation(_BINARY[type(op)], 2)], [left, right]
        case ast.Call(func=ast.Name(id=name), args=[operand]) if name in FUNCTIONS:
            return [Operation(name, 1)], [operand]
        case ast.Call(func=ast.Name(id=name), args=args) if name in FUNCTIONS:
            raise ExpressionInvalid(f"{name} takes one value and is given {len(args)}; write {name}(x)")
        case ast.Call(func=ast.Name(id=name)) if not _is_value(name):
            raise _unknown(name, FUNCTIONS)
        case _:
            pass
    what = _REFUSED.get(type(node), "is not accepted")
    raise ExpressionInvalid(f"{shown(ast.get_source_segment(text, node))} {what}; {_ACCEPTED}")


def _number(value: float) -> Constant:
    try:
        number = float(value)
    except OverflowError:  # an integer that no float holds
        number = math.inf
    if math.isinf(number):
        raise ExpressionInvalid("it has a number that is too large; give numbers below 1.8e308")
    return Constant(number)


def _value(name: str) -> Constant | Variable:
    if name in CONSTANTS:
        return Constant(CONSTANTS[name])
    if variable := _VARIABLE.fullmatch(name):
        return Variable(int(variable[1] or 0))
    if name in FUNCTIONS:
        raise ExpressionInvalid(f"{name} is a function; write {name}(x)")
    raise _unknown(name, [*FUNCTIONS, *CONSTANTS, "x"])


def _is_value(name: str) -> bool:
    return name in CONSTANTS or _VARIABLE.fullmatch(name) is not None


def _unknown(name: str, known: Iterable[str]) -> ExpressionInvalid:
    near = nearest(name, list(known))
    hint = f" (did you mean {shown(near)}?)" if near else ""
    return ExpressionInvalid(f"{shown(name)} is not known{hint}; {_ACCEPTED}")


def _count_variables(text: str, parts: Iterable[Constant | Variable | Operation]) -> int:
    indices = {part.index for part in parts if isinstance(part, Variable)}
    if not indices:
        raise ExpressionInvalid("it has no variable; give one in x, or in x0, x1, ...")
    for index in range(len(indices)):
        if index not in indices:
            raise ExpressionInvalid(
                f"{cut(f'x{max(indices)}')} is there and x{index} is not; number the variables from x0 on, all of them"
            )
    names = set(re.findall(r"\bx\d*\b", text))
    if "x" in names and len(names) > 1:
        raise ExpressionInvalid(f"x and {min(names - {'x'})} are both there; give x alone, or x0, x1, ...")
    return len(indices)


def _of_known(name: str, operation: Callable[..., float]) -> Callable[..., float | None]:
    def compute(*operands: float | None) -> float | None:
        known = [operand for operand in operands if operand is not None]
        if len(known) < len(operands):
            return None
        try:
            value = operation(*known)
        except (ArithmeticError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            of = " and ".join(f"{operand:g}" for operand in known)
            raise ExpressionInvalid(f"{name} of {of} is not a finite number; give constants that can be computed")
        return value

    return compute


#: Floats as far as they are known; what depends on a variable is None. So 1/0 and 9**9**9 are found before any run.
_KNOWN_VALUES: Final[Arithmetic[float | None]] = Arithmetic(
    constant=float,
    operations={name: _of_known(name, operation) for name, operation in FLOATS.operations.items()},
)
