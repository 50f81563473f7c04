"""An engine that knows the runtime `runsc` (gVisor), where Debian's package of it is installed.

The engine that the other tests use is asked first. Where it does not know the runtime, a second one
is started beside it, with folders of its own: to register a runtime the first would have to be
started anew, and it is not ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import docker
import pytest

RUNSC = "runsc"
_STARTS_WITHIN = 60.0


@contextmanager
def engine_with_runsc(*images: str) -> Iterator[str]:
    """Gives an engine's address, empty for the usual one; skips where there can be none."""
    with closing(docker.from_env()) as usual:
        if RUNSC in usual.info()["Runtimes"]:
            yield ""
            return
        if why := _why_not():
            pytest.skip(f"the engine does not know the runtime runsc, and {why}")
        with (
            tempfile.TemporaryDirectory(prefix="plumb-runsc-") as folder,
            _started(Path(folder)) as address,
        ):
            with closing(docker.DockerClient(base_url=address)) as second:
                for image in images:
                    second.images.load(b"".join(usual.images.get(image).save(named=image)))
            yield address


def _why_not() -> str:
    if not shutil.which(RUNSC):
        return "runsc is not installed; apt-get install runsc"
    if not all(map(shutil.which, ("dockerd", "docker", "unshare"))) or os.geteuid() != 0:
        return "no second engine can be started: that needs dockerd, unshare, and root"
    return ""


@contextmanager
def _started(folder: Path) -> Iterator[str]:
    # Without a network: plumb's sandboxes have none, and the package's age shows on new kernels.
    runtime = {"path": shutil.which(RUNSC), "runtimeArgs": ["--network=none"]}
    (folder / "daemon.json").write_text(json.dumps({"runtimes": {RUNSC: runtime}}))
    address = f"unix://{folder}/socket"
    with (folder / "log").open("wb") as log:
        engine = subprocess.Popen(
            # In a network of its own: without a bridge, dockerd deletes the machine's docker0.
            ["unshare", "--net", "dockerd", "--config-file", str(folder / "daemon.json"),
             "--host", address, "--data-root", str(folder / "data"),
             "--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"),
             "--bridge=none", "--iptables=false"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(engine, address, folder / "log")
            yield address
        finally:
            engine.terminate()
            engine.wait(60)


def _wait(engine: subprocess.Popen[bytes], address: str, log: Path) -> None:
    ask = ["docker", "--host", address, "version"]
    end = time.monotonic() + _STARTS_WITHIN
    while engine.poll() is None and time.monotonic() < end:
        if subprocess.run(ask, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"the second engine did not start: {log.read_text(errors='replace')[-1000:]}")
