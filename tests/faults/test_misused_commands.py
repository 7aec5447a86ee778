"""X1, on the command line: a key in the wrong place is not repeated to whoever looks over the shoulder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import figures
from tests.support.key_forms import AWKWARD_KEY
from tests.support.processes import collector
from tests.support.scanner import assert_no_key_in

_PLAIN_KEY = "MTIzNDU2NzhhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejEyMzQ1Njc4OTA"
_MISUSES = [
    ["{key}"],
    ["--key", "{key}"],
    ["run", "{key}"],
    ["run", "--nonsense", "{key}"],
    ["run", "--nonsense={key}"],
    ["backfill", "--authkey", "{key}"],
    ["backfill", "--authkey={key}"],
    ["backfill", "--days", "{key}"],
    ["backfill", "--days={key}"],
    ["backfill", "--since", "{key}"],
    ["backfill", "--until", "{key}"],
    ["backfill", "--auth_key", "{key}", "--host", "{key}", "--id", "a8032abe41fc"],
    ["backfill", "--auth_key", "{key}", "--host", "shelly-12-eu.shelly.cloud", "--id", "{key}"],
    ["backfill", "--auth_key", "{key}"],
    ["status", "--max-age", "{key}"],
    ["status", "{key}"],
    ["doctor", "{key}"],
    ["verify", "--key", "{key}"],
    ["simulate", "--port", "{key}"],
    ["demo", "--auth_key", "{key}"],
    ["config", "{key}"],
    ["config", "check", "{key}"],
]


@pytest.mark.parametrize("key", [AWKWARD_KEY, _PLAIN_KEY], ids=["awkward", "plain"])
def test_no_misuse_repeats_the_key(key: str, tmp_path: Path) -> None:
    """Each ends with an error that names what is wrong, and not the key."""
    for misuse in _MISUSES:
        words = [word.replace("{key}", key) for word in misuse]
        done = collector(*words, cwd=tmp_path, env={"HOME": str(tmp_path)})
        said = (done.stdout + done.stderr).encode()
        assert done.returncode not in (0, 1), (misuse, said)
        assert_no_key_in(said, key)
    figures.note("X1", misuses_of_the_command_line=len(_MISUSES), keys_repeated=0)
