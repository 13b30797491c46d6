"""A real SLURM on this machine for tests: munged, MariaDB, slurmdbd, slurmctld and a slurmd for each pretended node.

``python tests/support/slurm.py`` starts one, prints the line that points a shell at it, and stops it on Ctrl-C.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PACKAGES = "slurm-wlm munge slurmdbd mariadb-server"
_PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch", "unshare")
_READY_S = 60.0

os.environ["PATH"] += os.pathsep + "/usr/sbin"


def missing() -> str:
    """Why there can be no cluster; "" if there can."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {absent[0]}: apt-get install {PACKAGES}"
    return "" if os.geteuid() == 0 else "SLURM's daemons are started as root"


@contextmanager
def cluster(*, nodes: int = 2, cpus: int = 2) -> Iterator[Path]:
    """A running cluster; yields its slurm.conf, which SLURM_CONF must name.

    Partition ``debug`` is the default; jobs in ``urgent`` have jobs in ``debug`` preempted.
    """
    folder = Path(tempfile.mkdtemp(prefix="segkit-slurm-"))  # short: the path of a Unix socket is, too
    folder.chmod(0o755)
    try:
        with ExitStack() as daemons:
            _start(folder, daemons, nodes=nodes, cpus=cpus)
            yield folder / "slurm.conf"
            subprocess.run(["scancel", "--user=root"], env=_environment(folder), check=False)
            _until(lambda: not _ask(folder, "squeue", "-h"), "no job is left")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, daemons: ExitStack, *, nodes: int, cpus: int) -> None:
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    socket_file = folder / "munge.socket"
    ports = free_ports(nodes + 2)
    _write_configs(folder, ports, nodes=nodes, cpus=cpus)

    def run(name: str, *command: str) -> None:
        daemons.enter_context(_daemon(folder, name, *command))

    seeds = (f"--{option}={folder}/munge.{option}" for option in ("pid-file", "log-file", "seed-file"))
    run("munged", "munged", "--foreground", f"--key-file={folder}/munge.key", f"--socket={socket_file}", *seeds)
    _until(socket_file.exists, "munged answers")
    data = ("--no-defaults", "--user=root", f"--datadir={folder}/mysql", "--innodb-log-file-size=16M")
    access = ("--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db")
    subprocess.run(["mariadb-install-db", *data, *access], check=True, capture_output=True)
    quick = ("--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--skip-networking")
    run("mariadbd", "mariadbd", *data, *quick, f"--socket={folder}/mysql.socket", f"--pid-file={folder}/mysql.pid")
    ping = ["mariadb-admin", "--no-defaults", f"--socket={folder}/mysql.socket", "ping"]
    _until(lambda: subprocess.run(ping, capture_output=True, check=False).returncode == 0, "MariaDB answers")
    run("slurmdbd", "slurmdbd", "-D")
    _until(lambda: _listens(ports[0]), "slurmdbd listens")
    run("slurmctld", "slurmctld", "-D")
    for node in range(1, nodes + 1):
        (folder / f"spool.node{node}").mkdir()
        # In a mount namespace of its own, where the names of the nodes are known.
        script = f"mount --bind {folder}/hosts /etc/hosts; exec slurmd -D -N node{node}"
        run(f"slurmd{node}", "unshare", "--mount", "sh", "-c", script)
    _until(
        lambda: _ask(folder, "sinfo", "-h", "-N", "-p", "debug", "-o", "%T").count("idle") == nodes, "nodes are idle"
    )


def _write_configs(folder: Path, ports: list[int], *, nodes: int, cpus: int) -> None:
    (folder / "state").mkdir()
    host = socket.gethostname().partition(".")[0]
    names = "\n".join(f"127.0.0.1 node{node}" for node in range(1, nodes + 1))
    (folder / "hosts").write_text(f"{Path('/etc/hosts').read_text()}\n{names}\n")
    dbd = folder / "slurmdbd.conf"
    dbd.write_text(_DBD.format(folder=folder, port=ports[0]))
    dbd.chmod(0o600)
    lines = [
        f"NodeName=node{node} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node + 1]} CPUs={cpus} RealMemory=4000"
        for node in range(1, nodes + 1)
    ]
    text = _CONF.format(folder=folder, host=host, controller=ports[1], dbd=ports[0])
    (folder / "slurm.conf").write_text("\n".join([text, *lines, _PARTITIONS]))


_DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
CommunicationParameters=NoInAddrAny
"""

_CONF = """\
ClusterName=segkit
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool.%n
MailProg=/bin/true
MpiDefault=none
# A machine without systemd and cgroups of its own.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# The nodes have what is written here, whatever the machine has.
SlurmdParameters=config_overrides
ReturnToService=2
EnforcePartLimits=ALL
SchedulerParameters=bf_interval=1,sched_interval=2
KillWait=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
"""

_PARTITIONS = """
PartitionName=DEFAULT Nodes=ALL State=UP DefMemPerCPU=500
PartitionName=debug Default=YES PriorityTier=1 GraceTime=20
PartitionName=urgent PriorityTier=2 PreemptMode=OFF
"""


@contextmanager
def _daemon(folder: Path, name: str, *command: str) -> Iterator[None]:
    """A daemon in the foreground of its own session; gone afterwards."""
    with (folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=_environment(folder), start_new_session=True
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf", "MYSQL_UNIX_PORT": f"{folder}/mysql.socket"}


def _ask(folder: Path, *command: str) -> list[str]:
    done = subprocess.run(command, env=_environment(folder), capture_output=True, text=True, check=False)
    return done.stdout.split()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _READY_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"SLURM: not so after {_READY_S:g} s: {what}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]


if __name__ == "__main__":
    if missing():
        sys.exit(missing())
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with cluster() as conf:
        print(f"export SLURM_CONF={conf}", flush=True)  # noqa: T201
        signal.pause()
