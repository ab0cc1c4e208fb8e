"""SeaweedFS: an S3 with one bucket that all may read from and only the service writes to."""

import json
import signal

from deploy.embedded import probe
from deploy.embedded.binaries import find_weed
from deploy.embedded.home import Home, write_private
from deploy.embedded.process import Part
from infra.settings import Settings

BUCKET = "media"
KNOWN_OBJECT = ".embedded-ready"
HTTP_OK, HTTP_CREATED, HTTP_NOT_FOUND = 200, 201, 404


class SeaweedFS:
    """The image store."""

    name = "storage"
    title = "SeaweedFS (S3)"

    def __init__(self, home: Home, region: str) -> None:
        self._home = home
        self._region = region
        self._folder = home.root / "seaweedfs"
        self._program = find_weed()
        self._ports = {
            name: home.ports.take(f"weed_{name}", with_grpc=True)
            for name in ("s3", "master", "volume", "filer", "admin", "metrics")
        }
        self.port = self._ports["s3"]

    @staticmethod
    def is_wanted(settings: Settings) -> bool:
        """Tell whether no image store is named in the settings."""
        return settings.storage is None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {
            "STORAGE_URL": f"s3://{BUCKET}",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self._home.secrets["s3_access_key"],
            "AWS_SECRET_ACCESS_KEY": self._home.secrets["s3_secret_key"],
            "AWS_REGION": self._region,
        }

    async def prepare(self) -> Part:
        """Write who may do what."""
        self._folder.mkdir(exist_ok=True)
        configuration = self._home.run / "s3.json"
        write_private(configuration, json.dumps(self._identities()))
        options = {
            "dir": ".",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": str(configuration),
            "bucket": BUCKET,
            **{f"{name}.port": str(self._ports[name]) for name in ("master", "volume", "filer")},
            "s3.port": str(self.port),
            "admin.port": str(self._ports["admin"]),
            "metricsPort": str(self._ports["metrics"]),
            # A second instance dies on these two's default ports.
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",
            # Relative to its folder: the default is in /tmp, another user's perhaps.
            "s3.localSocket": "s3.sock",
            "filer.localSocket": "filer.sock",
        }
        arguments = [f"-{key}={value}" for key, value in options.items()]
        return Part(
            self.name,
            (str(self._program), "mini", *arguments),
            is_ready=self._is_ready,
            environment={"WEED_S3_SSE_KEK": self._home.secrets["s3_encryption_key"]},
            folder=self._folder,
            stop_signal=signal.SIGTERM,
        )

    def _identities(self) -> dict[str, object]:
        keys = {
            "accessKey": self._home.secrets["s3_access_key"],
            "secretKey": self._home.secrets["s3_secret_key"],
        }
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return {
            "identities": [
                {"name": "service", "credentials": [keys], "actions": actions},
                {"name": "anonymous", "actions": [f"Read:{BUCKET}"]},
            ]
        }

    async def _is_ready(self) -> bool:
        """Tell whether a stranger can read an object, which the first question creates."""
        object_url = f"http://127.0.0.1:{self.port}/{BUCKET}/{KNOWN_OBJECT}"
        status, _ = await probe.http(object_url)
        if status == HTTP_NOT_FOUND:
            filer = f"http://127.0.0.1:{self._ports['filer']}/buckets/{BUCKET}/{KNOWN_OBJECT}"
            created, _ = await probe.http(filer, b"ready\n", "PUT")
            status = (await probe.http(object_url))[0] if created == HTTP_CREATED else 0
        return status == HTTP_OK
