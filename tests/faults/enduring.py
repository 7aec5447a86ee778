"""`python -m tests.faults.enduring CONFIG REQUESTS`: a runner that asks for the same days again and again.

Prints a sample of itself as a JSON line every hundred requests or so. A process of its own: what is
measured is the collector, without pytest and the cloud.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from collector import logs
from collector.collect.collector import Lane
from collector.collect.worker import Job
from collector.energy.days import wall_clock
from collector.service.accounts import AccountAtWork, Pacers, assembled
from collector.settings import load

DAYS = 50


async def main(config: Path, requests: int) -> None:
    """Asks for so many days, and says how the process is."""
    settings = load(config, {})
    async with assembled(settings, wall_clock, Pacers()) as (account,):
        worker = asyncio.create_task(account.runner.run())
        while account.pacer.requests < requests:
            await _ask(account)
            print(json.dumps(_sample(account.pacer.requests)), flush=True)
        account.runner.stop()
        await worker


async def _ask(account: AccountAtWork) -> None:
    (collector,) = account.collectors
    today = collector.today()
    await collector.scan()
    days = (today - timedelta(days=number) for number in range(1, DAYS + 1))
    job = Job(Lane.REFRESH, collector, days, asyncio.get_running_loop().time())
    account.runner.put(job)
    await job.done.wait()


def _sample(requests: int) -> dict[str, float]:
    gc.collect()
    return {
        "requests": requests,
        "rss_mb": _rss_mb(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
    }


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


if __name__ == "__main__":
    with Path(os.devnull).open("w") as stream:
        logs.configure(format="json", level="debug", stream=stream)
        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
