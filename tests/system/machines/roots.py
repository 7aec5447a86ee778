"""Debian roots: built once, unpacked for each trial, entered or booted in a container without a network.

`unpacked(suite, folder)` gives a machine's files, `inside(root, …)` runs one command among them, and
`booted(root, script, results)` starts the machine's own systemd, runs the script under it and powers off.
Tests that use them carry the marker `machines`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

SUITES = ("bookworm", "trixie")
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libnss-systemd", "iproute2", "procps"),
    *("python3", "python3-venv", "tzdata"),
    *("python3-aiohttp", "python3-apscheduler", "python3-structlog", "python3-tenacity"),
)
CACHE_VARIABLE = "SHELLY_COLLECTOR_MACHINES"
_CACHE = Path(__file__).parents[3] / ".machines"
_TOOLS = ("mmdebstrap", "systemd-nspawn")
_BUILD_S = 600  # half a minute, but much more beside other tests on a slow computer
_TRIAL = """\
[Unit]
Description=What is tried on this machine
RequiresMountsFor=/results
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=exec
ExecStart=/bin/sh -c '/results/script; echo $$? > /results/code'
StandardOutput=file:/results/output
StandardError=file:/results/output
[Install]
WantedBy=multi-user.target
"""


def needed() -> None:
    """Skips the test where there can be no machines, and says why; fails it under CI."""
    if os.geteuid() != 0:
        without("only root can make and boot machines")
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            without(f"no {tool} here (apt-get install systemd-container mmdebstrap)")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        without("this root cannot mount")


def unpacked(suite: str, folder: Path) -> Path:
    """A fresh machine of that suite in a new folder below `folder`; about 260 MB.

    The first call on a computer builds it, which takes half a minute and needs Debian's archive.
    """
    with _locked(_cache() / f"{suite}.lock"):
        archive = _built(suite)
    root = folder / suite
    root.mkdir(parents=True)
    subprocess.run(["tar", "-xpf", archive, "--numeric-owner", "-C", root], check=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc/hostname").write_text(f"{suite}\n")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants.parent / "trial.service").write_text(_TRIAL)
    (wants / "trial.service").symlink_to("../trial.service")
    return root


def inside(
    root: Path,
    *command: str,
    binds: Mapping[str, Path] | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs one command in the machine, which is not booted; what it changes stays in `root`.

    `binds` shows folders of this computer, read-only: path inside to path here.
    """
    words = ["--pipe", "--as-pid2", *(f"--setenv={name}={value}" for name, value in (env or {}).items())]
    return _container(root, [*words, *_bound(binds)], command, timeout_s)


def booted(
    root: Path,
    script: str,
    results: Path,
    binds: Mapping[str, Path] | None = None,
    timeout_s: float = 200,
) -> Path:
    """Boots the machine, runs `script` (it begins with #!) as a unit and powers off; gives `results`.

    `results` is /results inside, where the script leaves what it saw; `output` there has its stdout and
    stderr. Nothing else that happens is kept. A script that does not end with 0 in time fails the test.
    """
    results.mkdir(parents=True)
    (results / "script").write_text(script)
    (results / "script").chmod(0o755)
    words = ["--boot", "--volatile=overlay", f"--bind={results}:/results", *_bound(binds)]
    console = _container(root, words, (), timeout_s)
    code, output = results / "code", results / "output"
    if not code.exists() or code.read_text() != "0\n":
        how = f"ended with {code.read_text()}" if code.exists() else "did not come to its end\n"
        said = output.read_text(errors="replace") if output.exists() else ""
        ended = f"container: {console.returncode}, {console.stderr}\n{console.stdout[-4000:]}"
        pytest.fail(f"The trial on {root.name} {how}{said[-6000:]}\n{ended}")
    return results


def without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"CI must try the program on whole machines: {reason}")
    pytest.skip(reason)


def _built(suite: str) -> Path:
    """The tar archive of a machine, from the cache or made now."""
    recipe = " ".join((suite, *PACKAGES))
    archive = _cache() / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
    if archive.exists():
        return archive
    for old in _cache().glob(f"{suite}-*.tar"):
        old.unlink()
    new = archive.with_name(f"new-{archive.name}")
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(new)]
    try:
        made = subprocess.run(words, capture_output=True, text=True, timeout=_BUILD_S, check=False)
    except subprocess.TimeoutExpired:
        without(f"no {suite} machine could be built within {_BUILD_S} s")
    if made.returncode:
        without(f"no {suite} machine can be built here: {made.stderr[-2000:]}")
    new.replace(archive)
    return archive


def _cache() -> Path:
    cache = Path(os.environ.get(CACHE_VARIABLE) or _CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bound(binds: Mapping[str, Path] | None) -> list[str]:
    return [f"--bind-ro={here.resolve()}:{inside}" for inside, here in (binds or {}).items()]


def _container(
    root: Path, words: list[str], command: tuple[str, ...], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Ends the container, whatever goes on in it, after `timeout_s` (exit code 124)."""
    return subprocess.run(
        [
            *("timeout", "--kill-after=10", str(timeout_s), "systemd-nspawn", "--quiet"),
            *("--register=no", "--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off"),
            *(f"--machine={root.name}-{os.getpid()}", f"--hostname={root.name}", f"--directory={root}"),
            *words,
            *command,
        ],
        capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
