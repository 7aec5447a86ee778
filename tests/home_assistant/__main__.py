"""`python -m tests.home_assistant`: sends all cases to a real Home Assistant and to the stand-in, compares.

`HA_URL` is its address, `HA_TOKEN` a token of an administrator. Use one that was made for tests: a user is
added and removed again, and so are statistics whose IDs begin with `shelly_collector:trial`. Ends with 1 if
an answer differs. With `--record`, keeps what the real one answered, for the tests of the stand-in.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp

from tests.home_assistant.cases import cases, play, record
from tests.support.home_assistant import ADMIN_TOKEN, USER_TOKEN, HomeAssistantServer

_STAND_INS = {"admin": ADMIN_TOKEN, "user": USER_TOKEN, "wrong": ADMIN_TOKEN[:-1]}
_NAME, _PASSWORD = "shelly_collector_trial", "for trials only"


async def main(*, is_recording: bool) -> int:
    """0 where the two agree in everything."""
    url, token = os.environ["HA_URL"].rstrip("/"), os.environ["HA_TOKEN"].strip()
    real, differing = {}, 0
    async with aiohttp.ClientSession() as session, _user(session, url, token) as (version, user):
        tokens = {"admin": token, "user": user, "wrong": token[:-1]}
        async with HomeAssistantServer(version) as home:
            for case in cases(version):
                real[case.name] = one = await play(session, url, case, tokens)
                other = await play(session, home.url, case, _STAND_INS)
                if one != other or one.verdict != case.verdict:
                    differing += 1
                    print(f"{case.name}: {case.verdict} expected\n  real: {one}\n  ours: {other}")
    print(f"Home Assistant {version}: {len(real)} cases, {differing} differences")
    if is_recording:
        record(version, real)
    return int(differing > 0)


@asynccontextmanager
async def _user(session: aiohttp.ClientSession, url: str, token: str) -> AsyncIterator[tuple[str, str]]:
    """The version there, and the token of a user who is no administrator and is removed in the end."""
    async with session.ws_connect(f"{url}/api/websocket") as socket:
        version = (await socket.receive_json())["ha_version"]
        await socket.send_json({"type": "auth", "access_token": token})
        if (await socket.receive_json())["type"] != "auth_ok":
            raise SystemExit(
                "HA_TOKEN was refused: create one in the profile of an administrator, under Security"
            )
        numbers = count(1)

        async def call(command: str, **fields: Any) -> Any:
            await socket.send_json({"id": next(numbers), "type": command, **fields})
            answer = await socket.receive_json()
            if not answer["success"]:
                raise SystemExit(f"{command}: {answer['error']}")
            return answer["result"]

        for each in await call("config/auth/list"):
            if each["name"] == _NAME:
                await call("config/auth/delete", user_id=each["id"])
        made = (await call("config/auth/create", name=_NAME, group_ids=["system-users"]))["user"]
        try:
            await call(
                "config/auth_provider/homeassistant/create",
                user_id=made["id"],
                username=_NAME,
                password=_PASSWORD,
            )
            yield version, await _logged_in(session, url)
        finally:
            await call("config/auth/delete", user_id=made["id"])


async def _logged_in(session: aiohttp.ClientSession, url: str) -> str:
    """The token that this user gets by name and password."""
    client = f"{url}/"
    flow: Mapping[str, Any] = {
        "client_id": client,
        "handler": ["homeassistant", None],
        "redirect_uri": client,
    }
    async with session.post(f"{url}/auth/login_flow", json=flow) as answer:
        begun = (await answer.json())["flow_id"]
    login = {"client_id": client, "username": _NAME, "password": _PASSWORD}
    async with session.post(f"{url}/auth/login_flow/{begun}", json=login) as answer:
        code = (await answer.json())["result"]
    form = {"client_id": client, "grant_type": "authorization_code", "code": code}
    async with session.post(f"{url}/auth/token", data=form) as answer:
        return str((await answer.json())["access_token"])


if __name__ == "__main__":
    sys.exit(asyncio.run(main(is_recording="--record" in sys.argv[1:])))
