"""Whether the name of an account's host resolves: the first thing that fails where nothing works."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from collector.cloud.meters import Account
from collector.errors import Unavailable
from collector.network import NO_WAY_CURE, noting_a_proxy
from collector.threads import DaemonThreads


def host_of(account: Account) -> str:
    """The host's name or address alone, without scheme and port."""
    return urlsplit(account.base_url).hostname or account.base_url


async def look_up(account: Account, timeout_s: float) -> None:
    """Asks the resolver, and nobody else. Raises `Unavailable`, with words for a person.

    In a daemon thread: a name server that never answers cannot keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    name = host_of(account)
    try:
        async with asyncio.timeout(timeout_s):
            await loop.run_in_executor(
                DaemonThreads(), lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            )
    except TimeoutError:
        says = f"no name server answered within {timeout_s:g} s"
        raise Unavailable(noting_a_proxy(says), cure=NO_WAY_CURE) from None
    except OSError as error:
        says = f"its name does not resolve ({error.strerror})"
        raise Unavailable(noting_a_proxy(says), cure=NO_WAY_CURE) from None
    except UnicodeError:
        raise Unavailable("its name is not one that can resolve") from None
