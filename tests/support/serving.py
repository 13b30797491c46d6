"""segkit-serve in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx


class Server(NamedTuple):
    url: str
    process: subprocess.Popen[str]
    client: httpx.Client

    def predict(self, file: bytes, name: str = "a.png", **params: object) -> httpx.Response:
        return self.client.post("/predict", files={"file": (name, file)}, params=params)


@contextmanager
def serving(checkpoint: Path, *arguments: str, end: signal.Signals = signal.SIGTERM) -> Iterator[Server]:
    """Starts ``segkit-serve``; at the end a signal stops it, cleanly."""
    command = [sys.executable, "-m", "segkit.cli.serve", str(checkpoint), "--port", "0", "--device", "cpu", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)
    try:
        lines = []
        while not lines or not lines[-1].startswith("http"):
            line = process.stdout.readline()
            assert line, process.communicate()
            lines.append(line)
        url = lines[-1].split()[0]
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield Server(url, process, client)
        process.send_signal(end)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()
