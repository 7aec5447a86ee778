"""All that the record needs of the product: its command line and its simulated cloud.

What the tests patch so that a month passes quickly is imported when it is needed.
"""

from __future__ import annotations

import pytest

from collector.cli import main
from collector.simulator import Account, Device, Hole, Limit, Revision, Shrink
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.service_life import look_about_rarely

__all__ = [
    "Account",
    "Device",
    "Fault",
    "FaultyCloud",
    "Hole",
    "Limit",
    "Revision",
    "Scenario",
    "Shrink",
    "main",
    "make_heartbeats_rare",
]


def make_heartbeats_rare() -> None:
    """In this process, from now on."""
    look_about_rarely(pytest.MonkeyPatch())
