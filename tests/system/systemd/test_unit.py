"""The unit, the user and the link that are shipped: valid, hardened, and in agreement with the program."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from collector.archive import mark
from collector.cli import COMMANDS, PROGRAM, exits
from collector.cloud import shared_pace
from collector.settings import keys, schema

_FOLDER = Path(__file__).resolve().parents[3] / "systemd"
_UNIT = _FOLDER / "shelly-collector.service"
_SYSUSERS = _FOLDER / "shelly-collector.sysusers"
_TMPFILES = _FOLDER / "shelly-collector.tmpfiles"
_PROGRAM_PATH = "/opt/shelly-collector/bin/shelly-collector"
_EXPOSURE = 12  # in tenths; Telegraf ships 9.2


def _needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"no {tool} here")


def _directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in _UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


def _the(name: str) -> str:
    (value,) = _directives()[name]
    return value


def _analyzed(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of a unit whose program exists, for ours is not installed here."""
    copy = folder / _UNIT.name
    copy.write_text(text.replace(_PROGRAM_PATH, "/bin/true"))
    return subprocess.run(
        ["systemd-analyze", *words, str(copy)], capture_output=True, text=True, timeout=60, check=False
    )


def _verified(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    return _analyzed(folder, text, "verify", "--man=no", "--recursive-errors=yes")


def _rated(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    return _analyzed(folder, text, "security", "--offline=true", f"--threshold={_EXPOSURE}", "--no-pager")


@_needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    verdict = _verified(tmp_path, _UNIT.read_text())
    assert (verdict.stderr, verdict.returncode) == ("", 0)


@_needs("systemd-analyze")
@pytest.mark.parametrize("line", ["ProtectSytem=strict", "RestartSec=soon", "SystemCallFilter=@no-such-set"])
def test_a_mistake_in_the_unit_would_be_noticed(tmp_path: Path, line: str) -> None:
    verdict = _verified(tmp_path, _UNIT.read_text().replace("[Service]", f"[Service]\n{line}"))
    assert verdict.stderr


@_needs("systemd-analyze")
def test_the_service_is_exposed_no_more_than_it_must_be(tmp_path: Path) -> None:
    verdict = _rated(tmp_path, _UNIT.read_text())
    assert verdict.returncode == 0, verdict.stdout


@_needs("systemd-analyze")
def test_a_line_of_hardening_that_is_lost_would_be_noticed(tmp_path: Path) -> None:
    weaker = _UNIT.read_text().replace("ProtectSystem=strict", "").replace("NoNewPrivileges=yes", "")
    assert _rated(tmp_path, weaker).returncode != 0


def test_each_line_of_the_unit_has_its_reason_above_it() -> None:
    lines = _UNIT.read_text().splitlines()
    bare = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if line and not line.startswith(("#", "[")) and not above.startswith("# ")
    ]
    assert bare == []


def test_what_a_restart_cannot_cure_is_not_restarted() -> None:
    hopeless = {exits.USAGE, exits.KEY_REFUSED, exits.BAD_CONFIGURATION}
    assert {int(code) for code in _the("RestartPreventExitStatus").split()} == hopeless
    assert hopeless <= exits.MEANINGS.keys()


def test_the_unit_starts_a_command_that_there_is() -> None:
    path, command = _the("ExecStart").split()
    assert (Path(path).name, command in COMMANDS) == (PROGRAM, True)


def test_the_archive_lies_by_default_where_the_service_may_write() -> None:
    archive, known = (Path("/var/lib", name) for name in _the("StateDirectory").split())
    assert archive == schema.DEFAULT_ARCHIVE
    assert known == mark.SYSTEM


def test_the_credential_of_the_unit_is_the_one_that_the_program_looks_for(tmp_path: Path) -> None:
    credential, _, _ = _the("LoadCredential").partition(":")
    (tmp_path / credential).write_text("SIMULATED0NOT0A0REAL0KEY")
    offers = keys.offers("home", None, None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [offer.key() for offer in offers] == ["SIMULATED0NOT0A0REAL0KEY"]


def test_a_key_file_that_is_missing_does_not_keep_the_service_from_starting() -> None:
    """systemd ends a start with 243/CREDENTIALS where a path is missing, and not where a name is."""
    _, _, source = _the("LoadCredential").partition(":")
    assert source
    assert "/" not in source


def test_the_credential_is_the_key_file_beside_the_configuration() -> None:
    _, _, source = _the("LoadCredential").partition(":")
    (link,) = (line.split() for line in _TMPFILES.read_text().splitlines() if line.startswith("L"))
    assert link[1] == f"/etc/credstore/{source}"
    target = os.path.normpath(Path(link[1]).parent / link[-1])
    assert target == f"/etc/{_the('ConfigurationDirectory')}/auth_key"


def test_the_user_of_the_unit_is_the_one_that_is_made() -> None:
    (line,) = (line for line in _SYSUSERS.read_text().splitlines() if line.startswith("u "))
    assert line.split()[1] == _the("User") == _the("Group")


@_needs("systemd-sysusers")
def test_the_user_can_be_made(tmp_path: Path) -> None:
    command = ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", str(_SYSUSERS)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"Creating user '{_the('User')}'" in made.stdout + made.stderr


@_needs("systemd-tmpfiles")
@_needs("systemd-sysusers")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders to root")
def test_the_link_to_the_key_and_the_shared_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(_SYSUSERS)], timeout=60, check=True)
    command = ["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(_TMPFILES)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (made.stderr, made.returncode) == ("", 0)
    assert (tmp_path / "etc/credstore/shelly-collector.auth_key").is_symlink()
    folder = (tmp_path / shared_pace.pace_folder({}).relative_to("/")).stat()
    assert (folder.st_uid > 0, folder.st_gid > 0) == (True, True)
    assert stat.S_IMODE(folder.st_mode) == 0o2770  # its group, to the files of all who share


def test_the_shared_folder_lies_where_the_service_may_write() -> None:
    (folder, *_) = shared_pace.pace_folder({}).parents
    assert folder == Path("/run", _the("RuntimeDirectory"))
    assert _the("RuntimeDirectoryPreserve") == "yes"  # or it would be gone with the service
