"""A real S3 server for tests: SeaweedFS, which ends with the process that started it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpcore
import obstore
from obstore.store import S3Store

ACCESS_KEY, SECRET_KEY = "dits", "an S3 key of the tests"
# Of one who may only read.
READER_KEY, READER_SECRET = "reader", "another S3 key of the tests"
BUCKET = "dits-packs"
_READY_SECONDS = 60.0
_PORTS = [
    f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")
]
# The end of its standard input is the end of the process that started it.
_GUARD = '"$@" & read _; kill -9 $!'


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server that runs, with one bucket.

    Attributes:
        endpoint: its URL.
        credentials: file with the keys.
        reader_credentials: file with those of one who may only read.
    """

    endpoint: str
    credentials: Path
    reader_credentials: Path

    def url(self, prefix: str, *, bucket: str = BUCKET, endpoint: str = "", **more: str) -> str:
        """The URL of a store, as the settings want it."""
        parameters = {
            "endpoint": endpoint or self.endpoint,
            "region": "us-east-1",
            "credentials": str(self.credentials),
            **more,
        }
        return f"s3://{bucket}/{prefix}?" + "&".join(f"{k}={v}" for k, v in parameters.items())

    def client(self, prefix: str = "", *, bucket: str = BUCKET) -> S3Store:
        """A client of the tests' own."""
        return S3Store(
            bucket,
            prefix=prefix or None,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )

    def names(self, prefix: str) -> list[str]:
        """The names of the objects behind a prefix."""
        return sorted(meta["path"] for meta in self.client(prefix).list().collect())

    def make_bucket(self) -> bool:
        """Makes the bucket; returns whether the server was ready to."""
        url = obstore.sign(self.client(), "PUT", "", timedelta(minutes=1))
        try:
            return httpcore.request("PUT", url).status == 200
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            return False


class S3Process:
    """The process of a server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        credentials = _write_keys(folder / "credentials", ACCESS_KEY, SECRET_KEY)
        readers = _write_keys(folder / "readers", READER_KEY, READER_SECRET)
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _GUARD, "sh", *_command(folder, ports)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Where its logs lie.
                env={**os.environ, "TMPDIR": str(folder)},
            )
        self._sockets = [
            Path("/tmp", f"seaweedfs-{name.partition('.')[0]}-grpc-{port}.sock")  # noqa: S108
            for name, port in ports.items()
        ]
        self.server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", credentials, readers)

    def wait_until_ready(self) -> S3Server:
        """Returns the server as soon as it has the bucket."""
        end = time.monotonic() + _READY_SECONDS
        while not self.server.make_bucket():
            assert self._process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < end, self._log.read_text()[-4000:]
            time.sleep(0.05)
        return self.server

    def stop(self) -> None:
        """Ends it at once."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        # It has a fixed place for them, and no time to take them away.
        for each in self._sockets:
            each.unlink(missing_ok=True)


def _write_keys(file: Path, name: str, secret: str) -> Path:
    file.write_text(f"[default]\naws_access_key_id = {name}\naws_secret_access_key = {secret}\n")
    return file


def _command(folder: Path, ports: dict[str, int]) -> list[str]:
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": name, "secretKey": secret}],
            "actions": rights,
        }
        for name, secret, rights in (
            (ACCESS_KEY, SECRET_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
            (READER_KEY, READER_SECRET, ["Read", "List"]),
        )
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    program = Path(sys.executable).with_name("weed")
    return [
        str(program if program.exists() else shutil.which("weed") or "weed"),
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.config={config}",
        *(f"-{name}={port}" for name, port in ports.items()),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        f"-filer.localSocket={folder}/filer.sock",
        f"-s3.localSocket={folder}/s3.sock",
        "-master.telemetry=false",
        "-master.peers=none",
        "-master.electionTimeout=100ms",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=64",
    ]


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
