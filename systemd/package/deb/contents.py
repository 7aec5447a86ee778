"""Every file of the package, and its mode; the owner is root."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from collector.cli import PROGRAM
from deb import manual, settings_page, unit
from deb.changes import debian_changelog
from deb.completions import bash, fish, zsh

_HOME = f"usr/share/{PROGRAM}"
_DOC = f"usr/share/doc/{PROGRAM}"
_FOR_DEVELOPERS = ("architecture.md", "testing.md")
_LAUNCHER = f'''\
#!/usr/bin/python3 -I
"""{PROGRAM}, with the system's Python and the libraries that the package depends on."""

import sys

# What pip put under /usr/local would come before the libraries that the package was made for.
sys.path[:] = ["/{_HOME}", *(path for path in sys.path if not path.startswith("/usr/local/"))]

from collector.cli import main  # noqa: E402

sys.exit(main())
'''
_ON_A_NEW_PYTHON = f"""\
#!/bin/sh
# Run by the package python3 when the system's Python becomes another one.
set -e
if [ "$1" = rtupdate ]; then
    find /{_HOME} -type d -name __pycache__ -prune -exec rm -rf {{}} +
    python3 -I -m compileall -q -f /{_HOME}
fi
"""
_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: {program}

Files: *
Copyright: {holder}
License: Expat

Files: {bundled_files}
Copyright: {bundled_holder}
License: Expat

License: Expat
{text}
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file by its path below the root; `data` as installed."""

    path: str
    data: bytes
    mode: int = 0o644


def contents(tree: Path, version: str, made: datetime) -> list[File]:
    """All files, from the repository at `tree`, under that Debian version."""
    return [*_program(tree), *_system(tree), *_documents(tree, version, made), *_completions()]


def _program(tree: Path) -> Iterator[File]:
    yield File(f"usr/bin/{PROGRAM}", _LAUNCHER.encode(), 0o755)
    for path in sorted((tree / "collector").rglob("*")):
        below = path.relative_to(tree)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in below.parts)
        if path.is_file() and not hidden and not path.name.endswith("~"):
            yield File(f"{_HOME}/{below}", path.read_bytes())
    yield File(f"usr/share/python3/runtime.d/{PROGRAM}.rtupdate", _ON_A_NEW_PYTHON.encode(), 0o755)


def _system(tree: Path) -> Iterator[File]:
    ours = tree / "systemd"
    service = unit.packaged((ours / f"{PROGRAM}.service").read_text(encoding="utf-8"))
    yield File(f"usr/lib/systemd/system/{PROGRAM}.service", service.encode())
    yield File(f"usr/lib/sysusers.d/{PROGRAM}.conf", (ours / f"{PROGRAM}.sysusers").read_bytes())
    yield File(f"usr/lib/tmpfiles.d/{PROGRAM}.conf", (ours / f"{PROGRAM}.tmpfiles").read_bytes())


def _documents(tree: Path, version: str, made: datetime) -> Iterator[File]:
    example = (tree / "config" / "collector.toml").read_text(encoding="utf-8")
    changes = debian_changelog((tree / "CHANGELOG.md").read_text(encoding="utf-8"), version, made)
    yield File(f"{_DOC}/examples/config.toml", example.encode())
    yield File(f"{_DOC}/README.md", (tree / "README.md").read_bytes())
    for page in sorted([*(tree / "docs").rglob("*.md"), *(tree / "docs" / "grafana").glob("*.json")]):
        if page.name not in _FOR_DEVELOPERS:
            yield File(f"{_DOC}/{page.relative_to(tree)}", page.read_bytes())
    yield File(f"{_DOC}/changelog.gz", _packed(changes))
    licence = (tree / "LICENSE").read_text(encoding="utf-8")
    bundled = (tree / "collector" / "web" / "static" / "uPlot.LICENSE").read_text(encoding="utf-8")
    yield File(f"{_DOC}/copyright", _copyright(licence, bundled).encode())
    yield File(f"usr/share/man/man1/{PROGRAM}.1.gz", _packed(manual.page(made.date())))
    yield File(f"usr/share/man/man5/{PROGRAM}.toml.5.gz", _packed(settings_page.page(made.date())))


def _completions() -> Iterator[File]:
    yield File(f"usr/share/bash-completion/completions/{PROGRAM}", bash.script().encode())
    yield File(f"usr/share/zsh/vendor-completions/_{PROGRAM}", zsh.script().encode())
    yield File(f"usr/share/fish/vendor_completions.d/{PROGRAM}.fish", fish.script().encode())


def _copyright(licence: str, bundled: str) -> str:
    """Of the program, and of the library that its page uses, which has the same licence."""
    _, holder, text = licence.split("\n\n", 2)
    return _COPYRIGHT.format(
        program=PROGRAM,
        holder=holder.removeprefix("Copyright (c) "),
        bundled_files=f"{_HOME}/collector/web/static/uPlot.*",
        bundled_holder=bundled.split("\n\n")[1].removeprefix("Copyright (c) "),
        text="\n".join(f" {line}" if line else " ." for line in text.strip().splitlines()),
    )


def _packed(text: str) -> bytes:
    return gzip.compress(text.encode(), 9, mtime=0)
