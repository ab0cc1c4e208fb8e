"""The embedded SeaweedFS: S3 with one bucket, readable by all, writable by the service only.

The S3 port checks signatures. All other ports serve SeaweedFS's own components and require a client
certificate, so that local users and pages in a browser can't use them.
"""

import json
import signal
from pathlib import Path

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deploy.embedded import probe
from deploy.embedded.binaries import WHEELS, Binaries, check_data_version, find_weed
from deploy.embedded.certificates import make_certificates
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import ProcessSpec
from infra.process.private_files import private_folder, write_private_file

BUCKET = "media"
KNOWN_OBJECT = ".embedded-ready"
HTTP_OK, HTTP_NOT_FOUND = 200, 404
SIGNED_SECONDS = 60
# SeaweedFS's components that listen over gRPC and over HTTPS.
GRPC_PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "mq", "msg_broker", "client")
HTTPS_PARTS = ("master", "volume", "filer", "admin")


class SeaweedFS:
    """The image store."""

    name = "storage"
    title = "SeaweedFS (S3)"

    def __init__(
        self,
        data_dir: DataDir,
        region: str,
        binaries: Binaries = WHEELS,
        metrics_port: int | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._region = region
        self._folder = data_dir.root / "seaweedfs"
        self._program = find_weed(binaries.weed)
        self._ports = {
            name: data_dir.ports.assign(f"weed_{name}", with_grpc=True)
            for name in ("s3", "master", "volume", "filer", "admin")
        }
        self._metrics_port = metrics_port
        self.port = self._ports["s3"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            "STORAGE_URL": f"s3://{BUCKET}",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self._data_dir.secrets["s3_access_key"],
            "AWS_SECRET_ACCESS_KEY": self._data_dir.secrets["s3_secret_key"],
            "AWS_REGION": self._region,
        }

    async def prepare(self) -> ProcessSpec:
        """Write the configuration: identities, their permissions, and certificates."""
        private_folder(self._folder)
        check_data_version(self._folder, self._program)
        # SeaweedFS stores its options there; an earlier start's would open other ports.
        (self._folder / "mini.options").unlink(missing_ok=True)
        # SeaweedFS searches its working folder first.
        write_private_file(self._folder / "security.toml", self._security())
        configuration = self._data_dir.run / "s3.json"
        write_private_file(configuration, json.dumps(self._identities()))
        options = {
            "dir": ".",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": str(configuration),
            "bucket": BUCKET,
            **{f"{name}.port": str(self._ports[name]) for name in ("master", "volume", "filer")},
            "s3.port": str(self.port),
            "admin.port": str(self._ports["admin"]),
            # With the default ports of these two a second instance can't start.
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "webdav": "false",
            **({"metricsPort": str(self._metrics_port)} if self._metrics_port else {}),
            "admin.ui": "false",
            "master.telemetry": "false",
            # Relative to its folder; the default is in /tmp, where another user may own it.
            "s3.localSocket": "s3.sock",
            "filer.localSocket": "filer.sock",
        }
        arguments = [f"-{key}={value}" for key, value in options.items()]
        return ProcessSpec(
            self.name,
            (str(self._program.path), "-logtostderr=true", "mini", *arguments),
            is_ready=self._is_ready,
            environment={"WEED_S3_SSE_KEK": self._data_dir.secrets["s3_encryption_key"]},
            folder=self._folder,
            stop_signal=signal.SIGTERM,
        )

    def _security(self) -> str:
        """Return the configuration of mutual TLS between its components."""
        files = make_certificates(self._data_dir.run, self.name)
        identity = _toml(cert=files.certificate, key=files.key)
        authority = _toml(ca=files.authority)
        sections = [f"[grpc]\n{authority}"]
        sections += [f"[grpc.{part}]\n{identity}" for part in GRPC_PARTS]
        sections += [f"[https.{part}]\n{identity}{authority}" for part in HTTPS_PARTS]
        sections += [f"[https.client]\nenabled = true\n{identity}{authority}"]
        return "".join(sections)

    def _identities(self) -> dict[str, object]:
        keys = {
            "accessKey": self._data_dir.secrets["s3_access_key"],
            "secretKey": self._data_dir.secrets["s3_secret_key"],
        }
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {
            "identities": [
                {"name": "service", "credentials": [keys], "actions": actions},
                {"name": "anonymous", "actions": [f"Read:{BUCKET}"]},
            ]
        }

    async def _is_ready(self) -> bool:
        """Return whether an anonymous client can read an object; the first check creates it."""
        object_url = f"http://127.0.0.1:{self.port}/{BUCKET}/{KNOWN_OBJECT}"
        status, _ = await probe.http(object_url)
        if status == HTTP_NOT_FOUND:
            created, _ = await probe.http(self._signed("PUT", object_url), b"ready\n", "PUT")
            status = (await probe.http(object_url))[0] if created == HTTP_OK else 0
        return status == HTTP_OK

    def _signed(self, method: str, url: str) -> str:
        secrets = self._data_dir.secrets
        keys = Credentials(secrets["s3_access_key"], secrets["s3_secret_key"])
        request = AWSRequest(method, url)
        S3SigV4QueryAuth(keys, "s3", self._region, expires=SIGNED_SECONDS).add_auth(request)
        return str(request.url)


def _toml(**files: Path) -> str:
    return "".join(f"{key} = {json.dumps(str(file))}\n" for key, file in files.items())
