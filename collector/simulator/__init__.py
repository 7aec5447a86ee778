"""A Shelly Cloud on loopback that plays every variant of the API: for `demo` and for the tests.

`async with Simulator(Scenario.default()) as cloud:` serves at `cloud.url`; what really flowed in an
hour is `Device.energy` and `Device.total`, what was asked stands in `cloud.counts`.
"""

from collector.simulator.faults import KINDS
from collector.simulator.scenario import Account, Device, Fault, Hole, Limit, Revision, Scenario, Shrink
from collector.simulator.scenario_file import parse
from collector.simulator.server import Simulator
from collector.simulator.truth import Energy, truth

__all__ = [
    "KINDS", "Account", "Device", "Energy", "Fault", "Hole", "Limit", "Revision", "Scenario", "Shrink",
    "Simulator", "parse", "truth",
]  # fmt: skip
