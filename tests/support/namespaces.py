"""Network namespaces of a test's own: a home, a cloud, and the line between them.

None has a name: each lives as long as the process that was made with it, and so ends with the test,
whatever becomes of that.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Namespace:
    """The network of the process `pid`."""

    pid: int

    def command(self, *words: str) -> list[str]:
        """The command that runs `words` in it."""
        return ["nsenter", "--target", str(self.pid), "--net", *words]

    def run(self, *words: str, text: str = "") -> str:
        """Runs one to its end, `text` as its input; what it printed."""
        done = subprocess.run(
            self.command(*words), input=text, capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def rules(self, *rules: str) -> None:
        """nft's rules for what comes in, in place of those there were."""
        lines = ["flush ruleset", "table inet faults {", "chain input {"]
        lines += ["type filter hook input priority 0;", *rules, "}", "}"]
        self.run("nft", "-f", "-", text="\n".join([*lines, ""]))


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace with a loopback and nothing else."""
    # `cat` ends with its input, so also where this process is killed.
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        made = Namespace(holder.pid)
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        holder.kill()
        holder.communicate()


@contextmanager
def connected(home: str, cloud: str) -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces with these addresses, and a line of their own between them."""
    with namespace() as here, namespace() as there:
        line = ["link", "add", "line", "type", "veth", "peer", "name", "line", "netns", str(there.pid)]
        here.run("ip", *line)
        for each, address in ((here, home), (there, cloud)):
            each.run("ip", "address", "add", f"{address}/24", "dev", "line")
            each.run("ip", "link", "set", "line", "up")
        yield here, there
