"""A simulated Shelly Cloud on loopback, with all variants of the API: for `demo`, `simulate` and tests.

`async with Simulator(Scenario.default()) as cloud:` serves at `cloud.url`; the true energy of an
hour is `Device.energy` and `Device.total`. `tests/support/faulty_cloud.py` adds faults and counters.
"""

from collector.simulator.scenario import Account, Device, Hole, Limit, Revision, Scenario, Shrink
from collector.simulator.scenario_file import parse
from collector.simulator.server import Simulator
from collector.simulator.truth import Energy, truth

__all__ = [
    "Account", "Device", "Energy", "Hole", "Limit", "Revision", "Scenario", "Shrink", "Simulator", "parse",
    "truth",
]  # fmt: skip
