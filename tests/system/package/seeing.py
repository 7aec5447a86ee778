"""What is seen of a machine from within: the service, the files, what a command said."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

NAME = "shelly-collector"
HOME, DATA = Path("/usr/share", NAME), Path("/var/lib", NAME)


def seen() -> dict[str, Any]:
    """The service, and each file that an administrator or the collector may miss."""
    folders = (Path("/etc", NAME), DATA, Path("/etc/credstore"))
    files = {str(path): described(path) for folder in folders for path in (folder, *folder.rglob("*"))}
    compiled = sorted(str(path) for path in HOME.rglob("*.pyc"))
    sources = sorted(str(path) for path in HOME.rglob("*.py"))
    return {
        "unit": show(),
        "files": {path: what for path, what in files.items() if what},
        "compiled": len(compiled),
        "sources": len(sources),
        "program": HOME.exists(),
        "user": told("getent", "passwd", NAME)["out"],
    }


def show() -> dict[str, str]:
    names = "ActiveState,UnitFileState,MainPID,ConditionResult,LoadState,StatusText"
    lines = told("systemctl", "show", f"--property={names}", f"{NAME}.service")["out"].splitlines()
    return dict(line.split("=", 1) for line in lines)


def described(path: Path) -> str:
    """Mode, owner, and a digest of what is in it; nothing where it is not there."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if not path.exists():
        return ""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "folder"
    return f"{path.stat().st_mode & 0o7777:o} {path.owner()}:{path.group()} {digest}"


def copied(folder: Path, name: str) -> list[str]:
    target = Path("/results/archive", name)
    target.mkdir(parents=True)
    return [Path(shutil.copy(path, target)).name for path in sorted(folder.glob("*.jsonl"))]


def journal_until(*words: str) -> list[str]:
    """The service's lines up to the one that holds the words, or all of half a minute."""
    follow = ("timeout", "30", "journalctl", "-u", NAME, "--follow", "--lines=all", "--output=cat")
    journal = subprocess.Popen(follow, stdout=subprocess.PIPE, text=True)
    assert journal.stdout is not None
    lines = []
    for line in journal.stdout:
        lines.append(line)
        if all(word in line for word in words):
            break
    journal.terminate()
    journal.wait()
    return lines


def told(*words: str) -> dict[str, Any]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return {"out": done.stdout, "err": done.stderr, "code": done.returncode}


def run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=60, stdout=subprocess.DEVNULL)
