"""Math, code and calls in a section's body."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.report.body import scan
from noisebook.report.formulas import label_faults, math_fault


def spans(body: str) -> list[tuple[str, str]]:
    found, faults = scan(body)
    assert not faults
    for span in found:
        assert body[span.inner : span.inner + len(span.value)] == span.value
    return [(span.kind, span.value) for span in found]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("$x^2$ and $$y$$", [("math", "x^2"), ("display", "y")]),
        ("two lines: $a\n+ b$.", [("math", "a\n+ b")]),
        ("$\\$5$", [("math", "\\$5")]),
        ("as $`a_1 + b`$ or `$`c`$`", [("math", "a_1 + b"), ("code", "$"), ("code", "$")]),
        (
            "$\\colorbox{red}{$k$}$ $\\fcolorbox{red}{blue}{$k$}$",
            [("math", "\\colorbox{red}{$k$}"), ("math", "\\fcolorbox{red}{blue}{$k$}")],
        ),
        ("$\\frac{{a}}{b}$", [("math", "\\frac{{a}}{b}")]),
        ("between $5 and $6, from $5-$6", []),
        ("\\$x$ is text but $y$ is not\\$", [("math", "y")]),
        ("\\$x and \\{\\{ x }}", []),
        ("`$x$` and ``{{ a ` b }}``", [("code", "$x$"), ("code", "{{ a ` b }}")]),
        ("a ` b $x$", [("math", "x")]),
        ("```tex\n$x$ {{ no }}\n```\n$y$", [("fence", "\n$x$ {{ no }}\n```"), ("math", "y")]),
        ("~~~~\n```\n~~~\n~~~~\n", [("fence", "\n```\n~~~\n~~~~")]),
        ("- ```\n  $x$\n  ```\n\n$y$", [("fence", "\n  $x$\n  ```"), ("math", "y")]),
        ("> ```\n> $x$\n> ```\n\n$y$", [("fence", "\n> $x$\n> ```"), ("math", "y")]),
        ('{{ figure("a-1.b") }}', [("figure", "a-1.b")]),
        ("  {{figure( 'a' )}}  \nx {{ ref('b') }}", [("figure", "a"), ("ref", "b")]),
        ("# The `{{ ref }}` of {{ ref('b') }}", [("code", "{{ ref }}"), ("ref", "b")]),
        (
            "it has {{ value('a/b', \"n of x\") }} of\n\n{{ code('x.py', 'f') }}",
            [("value", "a/b"), ("source", "x.py")],
        ),
    ],
)
def test_spans(body, expected):
    assert spans(body) == expected


def test_what_a_call_says_twice():
    found, faults = scan(
        '{{ value("a", "b, (c)") }} {{ value("a") }} {{ ref("a", "b") }} x {{ code("a", "b") }}'
    )
    assert [(span.kind, span.value, span.name) for span in found] == [("value", "a", "b, (c)")]
    assert [fault.message for fault in faults] == [
        "value() takes two texts",
        "ref() takes one text",
        "a piece of code stands on a line of its own",
    ]


def test_a_fault_in_math_points_at_its_character():
    body = "été $a + \\foo$"
    fault = math_fault(scan(body)[0][0])
    assert fault and body[fault.offset :].startswith("\\foo") and "Unknown command" in fault.message


def test_good_math_has_no_fault():
    for tex in (
        r"\sqrt{\bar\alpha_t}\,x_0",
        r"\hat{x}_0",
        r"\mathbb{E}\left[\|x\|^2\right]",
        r"\begin{cases}a\\b\end{cases}",
    ):
        assert math_fault(scan(f"${tex}$")[0][0]) is None


def test_what_the_converter_writes_as_entities_is_read():
    assert math_fault(scan("$\\log\\sigma^2 < a & b$".replace(" & b", ""))[0][0]) is None


def test_labels():
    equation = "$$\\begin{align} a \\label{one} \\end{align}$$\n"
    assert not list(label_faults(scan(equation + "$\\eqref{one}$")[0]))
    (lost,) = label_faults(scan(equation + "$\\eqref{two}$")[0])
    assert "'two'" in lost.message and lost.offset == len(equation + "$\\eqref{")
    (twice,) = label_faults(scan(equation + equation)[0])
    assert "given twice" in twice.message


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="$`{}\\ \nax1~>-\"'()figureref", max_size=80))
def test_any_text_is_scanned_in_order_and_without_overlap(body):
    found, faults = scan(body)
    ends = [0] + [span.end for span in found]
    assert all(end <= span.start < span.end <= len(body) for end, span in zip(ends, found, strict=False))
    assert all(0 <= fault.offset <= len(body) for fault in faults)
    for span in found:
        if span.kind in ("math", "display"):
            math_fault(span)


@pytest.mark.parametrize(
    "piece", ["$x ", "`", "``a ` ", "{{ ", "$$ ", "> ", "- ", "$a", "$\\a", "1) ", "   \n", "\\", "```\n"]
)
def test_time_grows_linearly(piece):
    """A long body of one piece over and over: what is quadratic takes minutes here."""
    start = time.process_time()
    scan(piece * (300_000 // len(piece)))
    assert time.process_time() - start < 6


def test_html_in_a_formula_is_told() -> None:
    fault = math_fault(scan("so $a &lt; b$")[0][0])
    assert fault and fault.offset == 6 and "&lt; is HTML" in fault.message and "sign itself" in fault.hint
