"""`python -m deploy.embedded`: the whole service on one machine, in the foreground."""

import asyncio
import sys
from collections.abc import Callable

from deploy.embedded import lock, observers
from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import EmbeddedError, InUseError
from deploy.embedded.plan import Plan, service_plan, set_worker_ports
from deploy.embedded.ports import LOOPBACK, listen_error
from deploy.embedded.supervisor import EXIT_FAILED, Supervisor
from infra import error_messages
from infra.error_messages import DISK_FULL, is_disk_full
from infra.process import signals
from infra.settings import Settings, SettingsError, load_settings

EXIT_USAGE = 2


def main(make_plan: Callable[[Settings, DataDir], Plan] = service_plan) -> int:
    """Run the service until a signal stops it; return the exit code."""
    try:
        # The URLs that a killed supervisor left in DATA_DIR are stale.
        settings = load_settings(use_running_servers=False)
        root = settings.data_dir.resolve()
        with lock.hold(root, settings.port):
            _check_ports(settings)
            data_dir = DataDir(root)
            data_dir.remove_env_file()
            data_dir.ports.reserve(*(port for *_, port in _listening(settings)))
            supervisor = Supervisor(settings, make_plan(settings, data_dir), data_dir)
            return asyncio.run(supervisor.run())
    except (SettingsError, InUseError) as error:
        return _fail(str(error), EXIT_USAGE)
    except EmbeddedError as error:
        return _fail(str(error), EXIT_FAILED)
    except OSError as error:
        fault = DISK_FULL if is_disk_full(error) else "DATA_DIR can't be used"
        return _fail(f"{fault}: {error}", EXIT_USAGE)


def _listening(settings: Settings) -> list[tuple[str, str, str, int]]:
    """Return the settings of host and port of each chosen address, and their values."""
    wanted = [
        ("HOST", "PORT", settings.host, settings.port),
        ("HOST", "FLOWER_PORT", settings.host, settings.flower_port),
    ]
    if settings.metrics_at:
        wanted.append(("METRICS_HOST", "METRICS_PORT", settings.metrics_host, settings.metrics_at))
    wanted += [
        ("METRICS_HOST", "WORKER_METRICS_PORT", settings.metrics_host, port)
        for port in set_worker_ports(settings).values()
    ]
    observing = observers.listening(settings)
    return wanted + [("HOST", key, LOOPBACK, port) for key, port in observing.items()]


def _check_ports(settings: Settings) -> None:
    names: dict[int, str] = {}
    for host_key, key, host, port in _listening(settings):
        if port in names:
            raise InUseError(error_messages.same_port_message(names[port], key, port))
        names[port] = key
        if error := listen_error(port, host):
            raise InUseError(error_messages.address_message(host_key, key, host, port, error))


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        sys.stderr.write(f"enroll: {line}\n")
    return code


if __name__ == "__main__":
    signals.raise_on_signal()
    try:
        code = main()
    except KeyboardInterrupt:
        code = EXIT_FAILED
    if signum := signals.received_signal():
        signals.exit_by_signal(signum)
    sys.exit(code)
