"""`python -m tests.faults.bombed GOOD_URL BOMB_URL`: what an answer costs the process that reads it.

Asks the good server a few times first, for what is made once is not what is measured. Says as JSON by
how much memory grew at its peak, in bytes, how long it took, and what came out.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from collector.cloud.client import CloudClient, Session, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.parse import read_day
from collector.cloud.retrying import RetryPolicy
from collector.errors import CollectorError

TIMEOUT_S = 5.0


async def main(good: str, bomb: str) -> None:
    """Prints one line."""
    loop = asyncio.get_running_loop()
    async with open_session() as session:
        for _ in range(3):
            assert await _asked(session, good) == "an answer"
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
        before, began = _memory("VmRSS"), loop.time()
        outcome = await _asked(session, bomb)
        took_s = loop.time() - began
        print(json.dumps({"growth": _memory("VmHWM") - before, "took_s": took_s, "outcome": outcome}))


async def _asked(session: Session, url: str) -> str:
    """What came of a day, from the request to its hours."""
    policy = RetryPolicy(attempts=1, timeout_s=TIMEOUT_S)
    client = CloudClient(session, Account("home", url, "KEY0OF0NOBODY"), Pacer(Pacing(0)), policy)
    meter = Meter("house", "e8db84d2a1b3", solar=False)
    try:
        answer = await client.fetch_day(meter, date(2026, 6, 1))
        read_day(answer, meter, datetime(2026, 6, 15, tzinfo=UTC))
    except CollectorError as error:
        return f"{type(error).__name__}: {error}"
    return "an answer"


def _memory(name: str) -> int:
    """Bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
