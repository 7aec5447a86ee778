"""The collector with a way to hang it: SIGUSR1 stops its loop for good, while the process stays awake."""

from __future__ import annotations

import signal
import sys
import time

from collector.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))
    sys.exit(main())
