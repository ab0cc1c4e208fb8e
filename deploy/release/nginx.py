"""nginx as the router: the file that sets `$upstream` (deploy/nginx/templates), and a reload.

nginx's servers pass requests to `http://$upstream`. A canary that is dead costs no request,
because its group has the stable instances as backup; its own metrics still show that it is dead.
A canary that fails is left out for ten seconds, a stable instance never: a restart of one after
the other would leave out all.
"""

import math
import os
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.release.http import HTTP_OK, Unreachable, get
from deploy.release.plan import FULL, Nginx, Plan, Track
from deploy.release.ports import RouterFault

PROBE = "/health/live"
READY = "/health/ready"
COMMAND_SECONDS = 20
# New connections that must agree: workers of the former configuration still end.
CONFIRMATIONS = 20
# Probes through the groups; a share is far off if chance does so once in a million times.
PROBES = 100
FAR = 5.0
READABLE = 0o644

# As in deploy/nginx/templates: less than KEEP_ALIVE_SECONDS of the API, so that it closes none
# under a request.
KEEPALIVE = "keepalive {}; keepalive_requests 100000; keepalive_timeout 60s;"
TEMPLATE = """\
# Written by `enroll release`, which reads it back. Do not edit.
upstream stable {{
    zone stable 128k;
{stable}
    {keepalive}
}}
upstream canary {{
    zone canary 128k;
{canary}
{backup}
    {keepalive}
}}
split_clients $request_id $upstream {{
{split}
}}
server {{
    listen {control};
    access_log off;
    location = /weight {{
        default_type text/plain;
        return 200 "{revision} {weight}\\n";
    }}
    location = {probe} {{
        proxy_pass http://$upstream;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        add_header X-Upstream $upstream_addr always;
    }}
}}
"""


class NginxRouter:
    """The nginx of this host."""

    def __init__(self, plan: Plan) -> None:
        assert plan.nginx is not None  # noqa: S101  the plan has no other router
        self._plan, self._nginx = plan, plan.nginx
        self._confirmed: int | None = None

    def set_weight(self, weight: int) -> None:
        """Write the file, let nginx check it, and reload.

        Raises:
            RouterFault: nginx refuses the configuration; the former file is back.

        """
        self._confirmed = None
        path = self._nginx.include
        try:
            before = path.read_bytes() if path.exists() else None
            _replace(path, render(self._plan, self._nginx, weight).encode())
        except OSError as error:
            raise RouterFault(f"{path} can't be written: {error.strerror}") from None
        try:
            _run(self._nginx.test)
        except RouterFault:
            # Another one's reload must not apply what was refused.
            _replace(path, before) if before is not None else path.unlink()
            raise
        _run(self._nginx.reload)

    def weight(self) -> int | None:
        """Return the weight that all new connections see, once requests were seen to follow it.

        Raises:
            RouterFault: nginx does not answer.

        """
        answers = {_text(self._nginx.control, "/weight") for _ in range(CONFIRMATIONS)}
        revision, _, shown = answers.pop().strip().partition(" ")
        if answers or revision != self._plan.canary.revision or not shown.isdecimal():
            self._confirmed = None
            return None
        weight = int(shown)
        if weight != self._confirmed and not self._is_followed(weight):
            return None
        self._confirmed = weight
        return weight

    def _is_followed(self, weight: int) -> bool:
        """Return whether probes are divided as they should; a retried one counts as it began."""
        instances = _addresses(self._plan.canary.instances)
        threads = ThreadPoolExecutor(8)
        try:
            found = threads.map(lambda _: self._upstream(), range(PROBES))
            canaries = sum(address in instances for address in found)
        finally:
            threads.shutdown(cancel_futures=True)
        expected = weight / FULL
        allowed = FAR * math.sqrt(expected * (1 - expected) * PROBES)
        return abs(canaries - expected * PROBES) <= allowed

    def _upstream(self) -> str:
        try:
            _, headers, _ = get(self._nginx.control, PROBE)
        except Unreachable as error:
            raise RouterFault(error.message) from None
        return headers.get("x-upstream", "").partition(",")[0].strip()

    def ready(self, track: Track) -> float:
        """Return the share of a revision's instances that say that they are ready."""
        instances = self._plan.revision_of(track).instances
        with ThreadPoolExecutor(8) as threads:
            return sum(threads.map(_is_ready, instances)) / len(instances)


def render(plan: Plan, nginx: Nginx, weight: int) -> str:
    """Return the text of the file that gives the canary a percentage of the requests."""
    share = {0: "    * stable;", FULL: "    * canary;"}
    some = f"    {weight}% canary;\n    * stable;"
    return TEMPLATE.format(
        stable=_servers(plan.stable.instances, " max_fails=0"),
        canary=_servers(plan.canary.instances),
        backup=_servers(plan.stable.instances, " max_fails=0 backup"),
        split=share.get(weight, some),
        keepalive=KEEPALIVE.format(nginx.keepalive),
        control=nginx.control,
        revision=plan.canary.revision,
        weight=weight,
        probe=PROBE,
    )


def _servers(instances: Sequence[str], option: str = "") -> str:
    return "\n".join(f"    server {each}{option};" for each in instances)


def _addresses(instances: Sequence[str]) -> frozenset[str]:
    """Return the addresses by which nginx names the instances.

    Raises:
        RouterFault: a name has none.

    """
    found = set()
    for each in instances:
        host, _, port = each.rpartition(":")
        try:
            known = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:
            raise RouterFault(f"{each} has no address: {error}") from None
        found |= {
            f"[{place[0]}]:{port}" if ":" in str(place[0]) else f"{place[0]}:{port}"
            for *_, place in known
        }
    return frozenset(found)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.write_bytes(content)
    draft.chmod(READABLE)
    draft.replace(path)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RouterFault(f"{' '.join(command)} failed: {error}") from None
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().replace("\n", "; ")
        raise RouterFault(f"{' '.join(command)} failed: {reason}")


def _is_ready(address: str) -> bool:
    try:
        return get(address, READY)[0] == HTTP_OK
    except Unreachable:
        return False


def _text(address: str, path: str) -> str:
    try:
        status, _, body = get(address, path)
    except Unreachable as error:
        raise RouterFault(error.message) from None
    if status != HTTP_OK:
        raise RouterFault(f"http://{address}{path} answers with {status}")
    return body.decode(errors="replace")
