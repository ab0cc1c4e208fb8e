"""Alertmanager's configuration for one machine: all routes, and no receiver outside of it."""

from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("alertmanager.yml")


def local_config(webhook_url: str | None = None, path: Path = FILE) -> str:
    """Return the configuration with the same routes and inhibitions, but without secrets.

    Its receivers send to the webhook only, and to nobody without one. Alerts that need nobody, and
    the dead man's switch, are not sent.
    """
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    del document["global"]
    sending = {"page", "ticket"} if webhook_url else set()
    document["receivers"] = [
        {"name": each["name"], "webhook_configs": [{"url": webhook_url}]}
        if each["name"] in sending
        else {"name": each["name"]}
        for each in document["receivers"]
    ]
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
