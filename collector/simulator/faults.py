"""Which requests go wrong: the scenario's rules applied to one request after the other. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from collector.simulator.breakage import BREAKAGES
from collector.simulator.refusals import ECHO, REDIRECTS, REFUSALS
from collector.simulator.scenario import Fault
from collector.simulator.tampering import TAMPERINGS

KINDS: tuple[str, ...] = (*REFUSALS, ECHO, *REDIRECTS, *TAMPERINGS, *BREAKAGES)
"""Every kind of fault; what each does stands in the module that it comes from."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule can see of a request. `day` is None where `date_from` is no date."""

    account: str | None
    device: str
    channel: str
    day: date | None
    now: datetime


class FaultPlan:
    """The rules of a scenario, and how many requests each has met."""

    def __init__(self, rules: Sequence[Fault]) -> None:
        self._rules = rules
        self._met: Counter[int] = Counter()
        self._played: Counter[int] = Counter()

    def next(self, asked: Asked) -> Fault | None:
        """The fault to play on this request; every rule that names the request counts it."""
        due = [place for place, rule in enumerate(self._rules) if self._is_due(place, rule, asked)]
        if not due:
            return None
        self._played[due[0]] += 1
        return self._rules[due[0]]

    def _is_due(self, place: int, rule: Fault, asked: Asked) -> bool:
        if not _names(rule, asked):
            return False
        self._met[place] += 1
        met = self._met[place]
        if rule.times is not None and self._played[place] >= rule.times:
            return False
        if rule.on_requests:
            return met in rule.on_requests
        return rule.every is None or met % rule.every == 0


def _names(rule: Fault, asked: Asked) -> bool:
    return (
        rule.account in (None, asked.account)
        and rule.device in (None, asked.device)
        and (rule.channel is None or str(rule.channel) == asked.channel)
        and (not rule.days or asked.day in rule.days)
        and (rule.since is None or rule.since <= asked.now)
        and (rule.until is None or asked.now < rule.until)
    )
