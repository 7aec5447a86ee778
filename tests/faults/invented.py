"""Answers that nobody ever gave: rows that could be, and what could not."""

from __future__ import annotations

from datetime import date

from hypothesis import strategies as st

DAY = date(2025, 10, 26)  # the hour from 1 to 2 comes twice

_STAMPS = st.builds(
    lambda hour, form: form.format(f"{hour:02}"),
    st.integers(0, 24),
    st.sampled_from(["2025-10-26 {}:00:00", "2025-10-26T{}:00:00", "2025-10-26T{}:00:00Z", "{}:00:00"]),
)
_SCALARS = st.none() | st.booleans() | st.integers(-5, 10**8) | st.floats() | st.text(max_size=5) | _STAMPS
_WH = st.integers(0, 10**5) | st.floats(0, 10**5).map(lambda value: round(value, 2))
_TARIFFS = st.sampled_from(["0", "0", "1", "2", 1, None])
_PLAUSIBLE_ROWS = st.fixed_dictionaries(
    {"datetime": _STAMPS, "consumption": _WH, "reversed": _WH},
    optional={"tariff_id": _TARIFFS, "missing": st.sampled_from([True, False])},
)
_ANY_ROWS = st.dictionaries(
    st.sampled_from(["datetime", "consumption", "reversed", "tariff_id", "missing"]), _SCALARS
)
_ROWS = st.lists(_PLAUSIBLE_ROWS | _PLAUSIBLE_ROWS | _ANY_ROWS, max_size=30).map(
    lambda rows: sorted(rows, key=lambda row: str(row.get("datetime")))
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
_HISTORIES = st.one_of(_ROWS, st.lists(_PLAUSIBLE_ROWS, max_size=30), st.lists(_ROWS, max_size=4), _ANYTHING)
BODIES = st.fixed_dictionaries(
    {"timezone": st.sampled_from(["Europe/Dublin", "Europe/Berlin", "UTC"]), "interval": st.just("hour")},
    optional={"history": _HISTORIES, "sum": _ROWS | _ANYTHING},
)
