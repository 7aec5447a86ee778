"""One machine that lives through every step; then the same files as an image, and its first boot."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deb.building import TREE
from tests.system.machines import roots
from tests.system.package.life import KEY

_LIFE = """\
#!/bin/sh
cd /repository && exec python3 -B -m tests.system.package.life
"""
_IMAGE = f"""\
set -eu
apt-get install --yes /packages/old.deb
cd /etc/shelly-collector
install -m 640 -g shelly-collector /usr/share/doc/shelly-collector/examples/config.toml .
sed -i 's|shelly-12-eu.shelly.cloud|http://127.0.0.1:8765|' config.toml
install -m 600 /dev/null auth_key
printf %s {KEY} > auth_key
find /usr/share/shelly-collector -name '*.pyc' | wc -l > /root/compiled
"""
_FIRST_BOOT = """\
#!/bin/sh
# After the start of the boot itself, which is none of ours.
systemd-run --quiet --wait --pipe --property=After=shelly-collector.service systemctl show shelly-collector \
    --property=ActiveState --property=Result > /results/unit
"""


@dataclass(frozen=True)
class Life:
    """What was seen on one machine."""

    steps: dict[str, Any]
    archive: Path
    first_boot: str
    compiled_in_image: int

    def after(self, step: str) -> dict[str, Any]:
        """The facts of that step."""
        facts: dict[str, Any] = self.steps[step]
        return facts

    def data(self, step: str) -> dict[str, str]:
        """The day files as they were then, and who owned them."""
        files: dict[str, str] = self.steps[step]["files"]
        return {path: what for path, what in files.items() if path.endswith(".jsonl")}


def lived(suite: str, packages: Path, folder: Path) -> Life:
    """What is seen on a machine of that suite; `packages` holds old.deb and new.deb."""
    root = roots.unpacked(suite, folder)
    binds = {"/packages": packages, "/repository": TREE}
    life = roots.booted(root, _LIFE, folder / "life", binds=binds, timeout_s=260)
    made = roots.inside(root, "sh", "-c", _IMAGE, binds={"/packages": packages})
    assert made.returncode == 0, made.stdout + made.stderr
    compiled = int((root / "root/compiled").read_text())
    booted = roots.booted(root, _FIRST_BOOT, folder / "boot")
    shutil.rmtree(root)
    steps = json.loads((life / "facts.json").read_text())
    return Life(steps, life / "archive", (booted / "unit").read_text(), compiled)
