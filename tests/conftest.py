"""Virtual time for every asynchronous test that is not marked `real_time`; and which tests are slow.

`pytest` runs all that are not; `pytest -m slow` the others, `pytest -m ""` all.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import hypothesis
import pytest

from collector import logs
from tests.support import amounts
from tests.support.virtual_time import VirtualTimeLoop
from tests.system.machines import roots

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("tests")

_HERE = Path(__file__).parent
_SLOW = tuple(
    f"{_HERE / each}/"
    for each in (
        "browser",
        "faults",
        "mutation",
        "system/machines",
        "system/package",
        "system/programs",
    )
)
_FIRST = tuple(f"{_HERE / each}/" for each in ("system/machines", "system/package", "browser"))


def pytest_configure(config: pytest.Config) -> None:
    amounts.set_seed()
    # A shell starts background jobs with SIGINT ignored, and programs inherit that: no Ctrl-C would end them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["SHELLY_COLLECTOR_PACE_FOLDER"] = "/proc/nowhere"  # that of this machine's service is not ours
    config.addinivalue_line("markers", "slow: whole years, long lives, rigs and machines; not run by default")
    config.addinivalue_line("markers", "needs(*programs): a rig that needs root and these")
    config.addinivalue_line("markers", "real_time: runs on a real clock, for work with other processes")
    config.addinivalue_line(
        "markers", "machines: boots whole machines; needs root, mmdebstrap, systemd-nspawn"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(_SLOW):
            item.add_marker("slow")
    # What mostly waits for machines comes first, so that others are tried meanwhile.
    items.sort(key=lambda item: not str(item.path).startswith(_FIRST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    form = "long" if amounts.is_long() else "short"
    terminalreporter.write_line(f"faults: the {form} form, FAULTS_SEED={amounts.seed()}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("machines"):
        roots.needed()
    for marker in item.iter_markers("needs"):
        _needed(marker.args)


def _needed(tools: Sequence[str]) -> None:
    """Skips where root or a program is missing; under CI, where all is installed, it fails instead."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing and os.environ.get("CI"):
        pytest.fail(f"this rig was not tried: {', '.join(missing)} missing")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("real_time"):
        return {"real_time": asyncio.new_event_loop}
    return {"virtual_time": VirtualTimeLoop}


@pytest.fixture(autouse=True)
def log_lines() -> io.StringIO:
    """What the test logs, as JSON lines."""
    stream = io.StringIO()
    logs.configure(format="json", level="debug", stream=stream)
    return stream
