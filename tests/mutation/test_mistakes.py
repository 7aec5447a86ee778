"""The mistakes that are made: small, one at a time, and each a module that can be read."""

from __future__ import annotations

import ast

import pytest

from tests.mutation.branches import table
from tests.mutation.five import FIVE, ROOT
from tests.mutation.mistakes import mistakes_in
from tests.mutation.scores import equivalents


@pytest.mark.parametrize(
    ("statement", "mistaken"),
    [
        ("return a < 7", {"return a <= 7", "return a >= 7", "return a < 8", "return a < 6", "return None"}),
        ("a = b + c", {"a = b - c"}),
        ("a = (b - c) * (d)", {"a = (b - c) / (d)", "a = (b + c) * (d)"}),
        ("a += b", {"a -= b", "pass"}),
        ("a.b = c", {"pass"}),
        ("a = b and c", {"a = b or c"}),
        ("a = not b", {"a = b"}),
        ("a = x | y | z", {"a = x | y", "a = z", "a = x | z", "a = y | z"}),
        ("a = b if c else d", {"a = b if not c else d"}),
        ("a = [b for b in c if d]", {"a = [b for b in c if not d]"}),
        ("a = min(b, c=d)", {"a = max(b, c=d)", "a = min(c=d)", "a = min(b)"}),
        ("a(b)", {"a()", "pass"}),
        ("a = 'é'", {"a = 'éXX'"}),
        ("a = f'{b}{1}'", {"a = 'XX'"}),
        ("a = True", {"a = False"}),
        ("raise a", {"pass"}),
        (
            "try:\n        pass\n    except b:\n        a()",
            {
                "try:\n        pass\n    except b:\n        raise",
                "try:\n        pass\n    except b:\n        pass",
            },
        ),
        ("a: int = 0", {"a: int = 1", "a: int = -1"}),
        ("import a", set()),
        ("'A docstring.'", set()),
    ],
)
def test_each_kind_of_mistake_is_made(statement: str, mistaken: set[str]) -> None:
    """And no other."""
    whole = "def f():\n    {}\n"
    found = {ast.dump(ast.parse(mistake.source)) for mistake in mistakes_in(whole.format(statement))}
    assert found == {ast.dump(ast.parse(whole.format(each))) for each in mistaken}


@pytest.mark.parametrize("module", FIVE)
def test_every_mistake_has_a_name_and_a_place_of_its_own(module: str) -> None:
    """So that one can be told of, and tried again."""
    source = (ROOT / module).read_text()
    mistakes = mistakes_in(source)
    assert len({mistake.name for mistake in mistakes}) == len(mistakes) > 100
    assert all(mistake.source != source for mistake in mistakes)


def test_what_is_listed_as_no_mistake_needs_a_reason() -> None:
    """Module by module; remarks are left out."""
    assert equivalents("# why\n[a.py]\nf: 1 => 2\n    so small\n    a change\n") == {
        "a.py": {"f: 1 => 2": "so small a change"}
    }
    with pytest.raises(AssertionError, match="no reason given"):
        equivalents("[a.py]\nf: 1 => 2\n")


def test_a_branch_that_is_not_taken_is_told() -> None:
    """And a share of all that is too small."""

    def report(total: float, missing: list[list[int]]) -> tuple[list[str], bool]:
        file = {"missing_lines": [], "missing_branches": missing, "summary": {"percent_covered": 99.0}}
        totals = {"percent_covered": total, "missing_lines": 1, "missing_branches": 2}
        return table({"files": dict.fromkeys(FIVE, file), "totals": totals})

    assert report(92.0, [])[1]
    assert not report(91.9, [])[1]
    rows, kept = report(99.0, [[3, 5], [7, -1]])
    assert not kept
    assert "3->5, 7->exit" in rows[2]
