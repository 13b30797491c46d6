"""Two machines on this one: network namespaces with a cable between, host names and addresses of their own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from segkit.config.segmentor import SegmentorConfig
from support.runs import start


def run_ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Machine:
    """One end of the cable."""

    name: str
    address: str

    @property
    def interface(self) -> str:
        return f"{self.name[-8:]}-e"

    def start(self, config: SegmentorConfig, folder: Path) -> subprocess.Popen[str]:
        """Starts a training there; processes see the network of this machine only."""
        script = 'hostname "$0" && exec "$@"'
        inside = ("ip", "netns", "exec", self.name, "unshare", "--uts", "sh", "-c", script, self.name)
        return start(config, folder, *inside, shutil.which("python", path=_venv()) or "python")

    def link(self, state: str) -> None:
        """Plugs the cable in ("up") or out ("down")."""
        run_ip("-n", self.name, "link", "set", self.interface, state)


def _venv() -> str:
    import sys

    return str(Path(sys.executable).parent)


def require_namespaces() -> None:
    """Skips where network namespaces cannot be made."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("two machines on one need root, for network namespaces")
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("two machines on one need ip (iproute2) and unshare")
    trial = f"segkit-try-{os.getpid()}"
    try:
        run_ip("netns", "add", trial)
        run_ip("netns", "del", trial)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """The machines; whatever runs there is ended with them."""
    require_namespaces()
    pid = os.getpid()
    first, second = Machine(f"sk{pid}a", "10.77.0.1"), Machine(f"sk{pid}b", "10.77.0.2")
    try:
        for machine in (first, second):
            run_ip("netns", "add", machine.name)
        run_ip(
            *("link", "add", first.interface, "netns", first.name, "type", "veth"),
            *("peer", "name", second.interface, "netns", second.name),
        )
        for machine in (first, second):
            run_ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", machine.interface)
            run_ip("-n", machine.name, "link", "set", "lo", "up")
            machine.link("up")
        yield first, second
    finally:
        for machine in (first, second):
            found = subprocess.run(["ip", "netns", "pids", machine.name], capture_output=True, text=True, check=False)
            for each in found.stdout.split():
                os.kill(int(each), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", machine.name], capture_output=True, check=False)
