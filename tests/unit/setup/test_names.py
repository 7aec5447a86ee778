"""Names of folders: safe and different, whatever the meters are called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.settings.schema import NAME
from collector.setup.meters import folder_name


@given(st.lists(st.text(max_size=80), max_size=12))
def test_any_names_become_different_folders_that_the_configuration_allows(texts: list[str]) -> None:
    taken: list[str] = []
    for number, text in enumerate(texts):
        name = folder_name(text, f"{number:012x}", taken)
        assert NAME.read(name) == name
        taken.append(name)
    assert len({each.casefold() for each in taken}) == len(taken)
