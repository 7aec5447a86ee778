"""The rules of docs/testing.md: which tests may import what, and that it names tests that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import tree_of

TESTS = Path(__file__).parents[1]
TABLE = (TESTS.parent / "docs" / "testing.md").read_text()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_no_test_module_imports_another_one() -> None:
    """What two of them need is in tests/support, or beside the rigs in tests/faults."""
    for path in TESTS.rglob("*.py"):
        assert not [name for name in imports(path) if re.search(r"\btest_\w+\.", name)], path


def test_only_the_fault_programme_imports_its_rigs() -> None:
    """The other tests run without them."""
    for path in TESTS.rglob("*.py"):
        if TESTS / "faults" not in path.parents:
            assert not [name for name in imports(path) if name.startswith("tests.faults")], path


def test_the_table_of_promises_names_tests_that_exist() -> None:
    """By the name of the module."""
    modules = {path.stem for path in TESTS.rglob("test_*.py")}
    named = set(re.findall(r"\btest_\w+", TABLE))
    assert named <= modules
    rigs = {path.stem for path in (TESTS / "faults").glob("test_*.py")}
    assert rigs <= named
