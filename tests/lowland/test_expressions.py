"""Expressions: computed as Python would, and never run as Python."""

import math
import time
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lowland.spec.expressions import (
    CONSTANTS,
    FLOATS,
    FUNCTIONS,
    MAX_LENGTH,
    NEGATE,
    Constant,
    Expression,
    ExpressionInvalid,
    Operation,
    Variable,
    read_expression,
)

_LEAVES = st.sampled_from(["x0", "x1", *CONSTANTS]) | st.floats(0, 10).map(repr)
_TEXTS = st.recursive(
    _LEAVES,
    lambda part: st.one_of(
        st.tuples(part, st.sampled_from(["+", " - ", "*", " / ", "**"]), part).map("".join),
        st.tuples(st.sampled_from(FUNCTIONS), part).map(lambda pair: f"{pair[0]}({pair[1]})"),
        part.map(lambda text: f"({text})"),
        part.map(lambda text: f"-{text}"),
        part.map(lambda text: f"+{text}"),
    ),
    max_leaves=12,
)
_NAMES: Mapping[str, object] = {
    "__builtins__": {},
    **CONSTANTS,
    **{name: abs if name == "abs" else getattr(math, name) for name in FUNCTIONS},
}


@given(text=_TEXTS, x0=st.floats(-5, 5), x1=st.floats(-5, 5))
def test_an_expression_has_the_value_that_python_gives_it(text: str, x0: float, x1: float) -> None:
    text = f"({text}) + 0*x0 + 0*x1"
    try:
        expected = eval(text, {**_NAMES, "x0": x0, "x1": x1})
    except (ArithmeticError, ValueError, TypeError):  # the last of a function of what Python makes complex
        expected = math.nan
    assume(isinstance(expected, float) and math.isfinite(expected))
    # 1/(1e308*10) is 0 to Python and refused here, for the part that is not finite
    assume(not _has_constants_that_overflow(text))

    value = read_expression(text).evaluate([x0, x1], FLOATS)

    assert value == expected


def _has_constants_that_overflow(text: str) -> bool:
    try:
        read_expression(text)
    except ExpressionInvalid as error:
        return "is not a finite number" in str(error)
    return False


@given(text=st.text(max_size=60) | st.text("x01e+-*/()., sincog", max_size=60))
def test_any_text_is_read_or_refused_with_an_explanation(text: str) -> None:
    outcome: Expression | str
    try:
        outcome = read_expression(text)
    except ExpressionInvalid as error:
        outcome = str(error)

    assert outcome


def test_what_is_read_is_flat_and_in_postfix_order() -> None:
    assert read_expression(" sin(x) - 2**-x ") == Expression(
        text="sin(x) - 2**-x",
        variables=1,
        postfix=(
            Variable(0),
            Operation("sin", 1),
            Constant(2.0),
            Variable(0),
            Operation(NEGATE, 1),
            Operation("**", 2),
            Operation("-", 2),
        ),
    )


@pytest.mark.parametrize(
    ("text", "variables"), [("x", 1), ("x0", 1), ("x1 + x0", 2), ("x0*x1*x2 - x1", 3), ("0*x0 + x1", 2)]
)
def test_the_variables_are_x_alone_or_numbered_from_0(text: str, variables: int) -> None:
    assert read_expression(text).variables == variables


_HOSTILE = {
    "__import__('os').system('true')": '"\'" has no meaning here; give numbers, x or x0, x1, ...',
    "x.__class__": '"x.__class__" is an attribute; give numbers',
    "(x).real": '"(x).real" is an attribute',
    "[x for x in x]": '"[" has no meaning here',
    "lambda: x": '":" has no meaning here',
    "lambda x": "it is not complete, or not in order (invalid syntax)",
    "x if x else x": '"x if x else x" is a condition',
    "x and x": '"x and x" is a condition',
    "not x": '"not x" is not accepted',
    "x < 1": '"<" has no meaning here',
    "x is x": '"x is x" is a comparison',
    "await x": '"await x" is a keyword of Python',
    "x, x": '"x, x" is more than one value',
    "sin(*x)": '"*x" is a list of arguments',
    "x ^ 2": '"^" has no meaning here; write ** for powers',
    "x % 2": '"%" has no meaning here',
    "x // 2": '"x // 2" is not accepted',
    "x\n+ 1": '"\\n" has no meaning here',
    "x # comment": '"#" has no meaning here',
    "ｘ": '"ｘ" has no meaning here',
    "sni(x)": '"sni" is not known (did you mean "sin"?)',
    "open(x)": '"open" is not known',
    "y": '"y" is not known',
    "X**2": '"X" is not known (did you mean "x"?)',
    "sin": "sin is a function; write sin(x)",
    "sin(x, x)": "sin takes one value and is given 2; write sin(x)",
    "sin()": "sin takes one value and is given 0; write sin(x)",
    "x(x + 1)": '"x(x + 1)" calls what is no function (write * to multiply)',
    "2(x)": '"2(x)" calls what is no function (write * to multiply)',
    "2x": '"2x" is neither a number nor a name; write 2*x',
    "1.5e3x0 + x0": '"1.5e3x0" is neither a number nor a name; write 1.5e3*x0',
    "1j*x": '"1j" is neither a number nor a name; write 1*j',
    "0x10*x": '"0x10" is neither a number nor a name; write 0*x10',
    "True*x": '"True" is no number',
    "None": '"None" is no number',
    "...": '"..." is no number',
    "nan*x": '"nan" is not known (did you mean "tan"?)',
    "inf*x": '"inf" is not known',
    "1e999*x": "it has a number that is too large; give numbers below 1.8e308",
    "9" * 400 + "*x": "it has a number that is too large",
    "9**9**9*x": "** of 9 and 3.8742e+08 is not a finite number; give constants that can be computed",
    "1e308*10*x": "* of 1e+308 and 10 is not a finite number",
    "x + 1/0": "/ of 1 and 0 is not a finite number",
    "log(-1)*x": "log of -1 is not a finite number",
    "(-8)**(1/3)*x": "** of -8 and 0.333333 is not a finite number",
    "2**" * 330 + "x + 2**2**2**2**2": "it has 1007 characters; give at most 1000",
    "2**" * 320 + "2*x": "** of 2 and 65536 is not a finite number",
    "-" * 500 + "x": "it is nested too deeply; give one with at most 500 operations inside each other",
    "+" * 999 + "x": "it is nested too deeply",
    "(" * 300 + "x" + ")" * 300: "it is not complete, or not in order (too many nested parentheses)",
    "(x": "it is not complete, or not in order ('(' was never closed)",
    "x +": "it is not complete, or not in order (invalid syntax)",
    "": "there is nothing in it",
    "pi * e": "it has no variable; give one in x, or in x0, x1, ...",
    "x0 + x2": "x2 is there and x1 is not; number the variables from x0 on, all of them",
    "x" + "9" * 900: "x9999",
    "x + x0": "x and x0 are both there; give x alone, or x0, x1, ...",
}


@pytest.mark.parametrize(("text", "message"), _HOSTILE.items(), ids=lambda text: text[:40])
def test_what_is_no_expression_is_refused_at_once_naming_what_was_met(text: str, message: str) -> None:
    began_at = time.process_time()

    with pytest.raises(ExpressionInvalid) as refused:
        read_expression(text)

    assert time.process_time() - began_at < 0.1
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 400


def test_the_longest_texts_are_read_and_computed_without_recursion() -> None:
    for text in ("x+" * 499 + "x", "-" * 499 + "x", "sin(" * 190 + "x" + ")" * 190, "x**" * 300 + "x"):
        assert len(text) <= MAX_LENGTH

        assert math.isfinite(read_expression(text).evaluate([0.5], FLOATS))
