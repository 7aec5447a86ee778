"""Builds the Debian package: `.venv/bin/python systemd/package/build.py --out DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import collector
from deb.building import BuildError, build


def main() -> int:
    """Builds it and prints its path; 1 and the reason where that is impossible."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the package goes")
    parser.add_argument("--version", default=collector.__version__, help="default: %(default)s")
    options = parser.parse_args()
    try:
        print(build(options.out, options.version))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
