"""A Shelly Cloud on loopback that plays every variant of the API: for `demo`, `simulate` and the tests.

`async with Simulator(Scenario.default()) as cloud:` serves at `cloud.url`; what really flowed in an
hour is `Device.energy` and `Device.total`. `tests/support/faulty_cloud.py` adds faults and counts.
"""

from collector.simulator.scenario import Account, Device, Hole, Limit, Revision, Scenario, Shrink
from collector.simulator.scenario_file import parse
from collector.simulator.server import Simulator
from collector.simulator.truth import Energy, truth

__all__ = [
    "Account", "Device", "Energy", "Hole", "Limit", "Revision", "Scenario", "Shrink", "Simulator", "parse",
    "truth",
]  # fmt: skip
