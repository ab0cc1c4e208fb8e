"""`enroll`: a fault is one sentence with the right exit code, and never a traceback."""

import asyncio
import json
import os
import socket
import sys
from importlib.metadata import version

import asyncpg
import pytest
from typer.testing import CliRunner

from cli.main import app
from infra.settings import Settings
from tests import forkserver
from tests.factories import NO_ID, free_ports

FAILED, USAGE = 1, 2
SECRET = "hunter2-hunter2"
COMMANDS = {"api", "worker", "flower", "migrate", "demo", "openapi", "seed"}
GROUPS = {
    "tasks": {"list", "show", "retry", "cancel", "drop", "stats", "drain", "watch"},
    "queues": {"list", "pause", "resume", "limit", "unlimit"},
    "workers": {"list", "drain", "resume"},
    "workflows": {"list", "show", "retry", "cancel"},
    "users": {"add", "passwd", "disable", "enable", "list", "sessions"},
    "keys": {"rotate", "list"},
    "migrate": {"status"},
    "backfills": {"list", "start", "pause", "resume"},
    "release": {"check", "run", "status", "abort"},
}
WIDE = {"TERM": "dumb", "COLUMNS": "200"}


@pytest.fixture
def enroll(tmp_path):
    """Runs a command in an empty folder with these settings only."""
    ours = {name.upper() for name in Settings.model_fields}
    clean = {key: value for key, value in os.environ.items() if key not in ours}
    own = {"PORT": str(free_ports(1)[0])}  # another program may use the default port

    async def run(*arguments, **settings):
        env = clean | own | WIDE | settings
        return await forkserver.enroll(*arguments, env=env, cwd=tmp_path)

    return run


def assert_one_sentence(done, code, *named):
    """Assert that a command ended with one line on standard error that has these words."""
    assert done.code == code, done.errors
    assert "Traceback" not in done.errors + done.output
    [line] = done.errors.splitlines()
    assert line.startswith("enroll: ")
    for text in named:
        assert text in line
    assert SECRET not in line
    assert done.output == ""


@pytest.fixture(scope="session")
def unreachable_database():
    """The URL of a database that does not answer."""
    [port] = free_ports(1)
    return f"postgresql://app:{SECRET}@127.0.0.1:{port}/app?sslmode=disable"


async def tables(url):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        )
    finally:
        await connection.close()


async def test_help_lists_every_command(enroll):
    # Help must not depend on the settings, so they are broken here.
    done = await enroll("--help", PORT="x")
    assert (done.code, done.errors) == (0, "")
    assert all(f" {name} " in done.output for name in COMMANDS | GROUPS.keys())
    done = await enroll("tasks", "list", "--help", PORT="x")
    assert (done.code, done.errors) == (0, "")
    assert "enroll tasks list " in done.output


async def test_a_command_starts_without_the_modules_of_others():
    script = (
        "import sys; from typer.testing import CliRunner; from cli.main import app;"
        "CliRunner().invoke(app, ['users', 'list', '--help']);"
        "print(*(name for name in sys.modules if name.startswith('cli.')))"
    )
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), stdout=asyncio.subprocess.PIPE
    )
    imported = set((await command.communicate())[0].decode().split())
    assert "cli.users" in imported
    assert not imported & {"cli.release", "cli.backup", "cli.tasks", "cli.slo"}


@pytest.mark.parametrize("group", GROUPS)
def test_the_help_of_a_group_lists_its_commands(group):
    done = CliRunner().invoke(app, [group, "--help"], env=WIDE, prog_name="enroll")
    assert all(f" {name} " in done.output for name in GROUPS[group])


@pytest.mark.parametrize(
    "call",
    [(name,) for name in sorted(COMMANDS)]
    + [(group, name) for group, names in GROUPS.items() for name in sorted(names)],
)
def test_each_command_has_help(call):
    done = CliRunner().invoke(app, [*call, "--help"], env=WIDE, prog_name="enroll")
    assert (done.exit_code, done.stderr) == (0, "")
    usage, about, *_ = [line for line in done.output.splitlines() if line.strip()]
    assert f"enroll {' '.join(call)} " in usage
    assert about.strip().endswith(".")


@pytest.mark.parametrize("call", [(), ("tasks",), ("workers",), ("users",), ("keys",)])
async def test_without_a_command_the_help_is_printed(enroll, call):
    done = await enroll(*call)
    assert "Usage: enroll" in done.output
    assert "Commands" in done.output
    assert "Traceback" not in done.errors


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (["fly"], ["fly"]),
        (["tasks", "fly"], ["fly"]),
        (["--fast"], ["--fast"]),
        (["migrate", "--fast"], ["--fast"]),
        (["migrate", "now"], ["now"]),
        (["seed", "--courses"], ["--courses"]),
        (["seed", "--courses", "many"], ["--courses", "'many'"]),
        (["seed", "--courses", "-1"], ["--courses", "-1"]),
        (["seed", "--courses", "1000001"], ["--courses", "1000001"]),
        (["seed", "--enrollments", "1e3"], ["--enrollments", "'1e3'"]),
        (["worker", "--concurrency", "-2"], ["--concurrency", "-2"]),
        (["worker", "--concurrency", "two"], ["--concurrency", "'two'"]),
        (["tasks", "show"], ["task_id"]),
        (["tasks", "show", "12"], ["'12'"]),
        (["tasks", "retry", "12"], ["'12'"]),
        (["tasks", "list", "--state", "lost"], ["--state", "'lost'"]),
        (["tasks", "list", "--older-than", "5y"], ["--older-than", "'5y'"]),
        (["tasks", "list", "--limit", "0"], ["--limit", "0"]),
        (["tasks", "drain", "--timeout", "soon"], ["--timeout", "'soon'"]),
        (["workers", "resume", "images@here"], ["--queue"]),
        (["release", "run"], ["file"]),
        (["release", "run", "no-plan.yaml"], ["no-plan.yaml can't be read: No such file"]),
        (["release", "status", "no-folder"], ["no-folder has no release"]),
        (["release", "abort", "no-folder"], ["no-folder has no release"]),
        (["workers", "resume"], ["worker"]),
        (["migrate", "--phase", "both"], ["--phase", "'both'"]),
        (["migrate", "--timeout", "-1"], ["--timeout", "-1"]),
        (["backfills", "start", "no.such"], ["there is none"]),
    ],
)
async def test_a_usage_error_is_one_sentence(enroll, call, named):
    assert_one_sentence(await enroll(*call), USAGE, *named)


@pytest.mark.parametrize(
    "call", [("list",), ("drain", "a@b", "--queue=images"), ("resume", "a@b", "--queue=images")]
)
async def test_without_a_broker_no_worker_is_reached(enroll, call):
    [port] = free_ports(1)
    done = await enroll("workers", *call, BROKER_URL=f"redis://127.0.0.1:{port}/0")
    assert_one_sentence(done, FAILED, "The broker is away")


@pytest.mark.parametrize("name", ["api", "worker", "flower", "migrate", "demo", "seed"])
async def test_each_command_validates_the_settings(enroll, name):
    assert_one_sentence(await enroll(name, PORT="x"), USAGE, "PORT", "'x'")


async def test_bad_settings_are_reported_in_one_sentence(enroll):
    assert_one_sentence(
        await enroll("migrate", DATABASE_URL=f"mysql://app:{SECRET}@db/x"), USAGE, "DATABASE_URL"
    )
    assert_one_sentence(
        await enroll("tasks", "stats", LOG_LEVEL="LOUD"), USAGE, "LOG_LEVEL", "LOUD"
    )
    calls = (["migrate"], ["api"], ["demo"], ["seed"], ["worker"], ["tasks", "list"])
    for done in await asyncio.gather(*(enroll(*call) for call in calls)):
        assert_one_sentence(done, USAGE, "DATABASE_URL or DB_HOST is missing")


async def test_production_reports_each_fault_of_the_settings(enroll):
    done = await enroll("api", ENVIRONMENT="production")
    assert (done.code, done.output) == (USAGE, "")
    lines = done.errors.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("enroll: ") for line in lines)


async def test_an_admin_password_that_cannot_be_hashed_is_one_sentence(enroll, new_database):
    url = await new_database()
    done = await enroll("migrate", DATABASE_URL=url, ADMIN_PASSWORD="short")
    assert_one_sentence(done, USAGE, "ADMIN_PASSWORD")


@pytest.mark.parametrize(
    "call",
    [["migrate"], ["api"], ["demo"], ["seed"], ["tasks", "list"], ["tasks", "show", NO_ID]],
)
async def test_a_database_that_is_down_is_one_sentence(enroll, unreachable_database, call):
    done = await enroll(*call, DATABASE_URL=unreachable_database, STORAGE_URL="memory://")
    assert_one_sentence(
        done, FAILED, "database", unreachable_database.rpartition(":")[2].partition("/")[0]
    )


async def test_a_database_that_refuses_the_login_is_one_sentence(enroll, service):
    url = service.env["DATABASE_URL"]
    own = url.partition("://")[2].partition(":")[2].partition("@")[0]
    for name, wrong in (
        ("password", url.replace(own, SECRET)),
        ("no_such", url.replace("/course_enrollment", "/no_such")),
    ):
        for call in (["migrate"], ["seed"], ["tasks", "stats"]):
            assert_one_sentence(await enroll(*call, DATABASE_URL=wrong), FAILED, "database", name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("api", "PORT"),
        ("api", "METRICS_PORT"),
        ("flower", "FLOWER_PORT"),
        ("worker", "WORKER_METRICS_PORT"),
    ],
)
async def test_a_port_in_use_is_named(enroll, unreachable_database, tmp_path, name, key):
    """The port is checked before the database, which does not answer here."""
    servers = {
        "DATABASE_URL": unreachable_database,
        "BROKER_URL": "memory://",
        "STORAGE_URL": f"file://{tmp_path}",
    }
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = await enroll(name, **servers, **{key: port})
    assert_one_sentence(done, USAGE, f"{key}: {port} of 127.0.0.1 is taken")


async def test_one_port_for_two_servers_is_not_reported_as_in_use(enroll, unreachable_database):
    [port] = map(str, free_ports(1))
    done = await enroll("api", DATABASE_URL=unreachable_database, PORT=port, METRICS_PORT=port)
    assert_one_sentence(done, USAGE, f"PORT and METRICS_PORT are both {port}")


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
async def test_an_address_that_flower_cannot_bind_is_named(enroll, unreachable_database, host):
    done = await enroll(
        "flower", DATABASE_URL=unreachable_database, BROKER_URL="memory://", HOST=host
    )
    assert_one_sentence(done, USAGE, f"HOST: nothing can listen on {host}")


@pytest.mark.parametrize("key", ["HOST", "METRICS_HOST"])
async def test_an_address_of_another_machine_is_named(enroll, unreachable_database, key):
    done = await enroll("api", DATABASE_URL=unreachable_database, **{key: "203.0.113.1"})
    assert_one_sentence(done, USAGE, f"{key}: nothing can listen on 203.0.113.1")


async def test_an_unknown_host_is_one_sentence(enroll):
    done = await enroll("migrate", DB_HOST="db.invalid", DB_PASSWORD=SECRET)
    assert_one_sentence(done, FAILED, "database")


@pytest.mark.parametrize(
    "call",
    [
        ["demo"],
        ["seed"],
        ["seed", "--courses", "0"],
        ["tasks", "list"],
        ["tasks", "stats"],
        ["tasks", "show", NO_ID],
        ["tasks", "retry", "--yes"],
    ],
)
async def test_a_database_without_tables_is_one_sentence(enroll, new_database, call):
    url = await new_database(migrated=False)
    done = await enroll(*call, DATABASE_URL=url)
    assert_one_sentence(done, FAILED, "does not exist", "run `enroll migrate`")
    assert await tables(url) == 0


async def test_an_env_file_that_is_not_text_is_named(enroll, tmp_path):
    (tmp_path / ".env").write_bytes(b"PORT=\xff")
    assert_one_sentence(await enroll("tasks", "list"), USAGE, ".env can't be used")
    (tmp_path / ".env").unlink()
    file = tmp_path / "data/run/service.env"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"DATABASE_URL=\xff")
    done = await enroll("tasks", "list", DATA_DIR=str(tmp_path / "data"))
    assert_one_sentence(done, USAGE, "service.env can't be used")


@pytest.mark.parametrize(
    ("text", "line"), [("PORT=1\n= 3\n", 2), ("# one\n\nNAME='open\nPORT=1\n", 3)]
)
async def test_an_invalid_line_of_env_is_refused(enroll, tmp_path, text, line):
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    for call in (["tasks", "list"], ["worker"]):
        sentence = f".env can't be used: line {line} is not NAME=value"
        assert_one_sentence(await enroll(*call), USAGE, sentence)


async def test_a_folder_named_env_is_refused(enroll, tmp_path):
    """Container runtimes create one when the file to mount is missing."""
    (tmp_path / ".env").mkdir()
    assert_one_sentence(await enroll("tasks", "list"), USAGE, ".env can't be used: Is a directory")


async def test_in_production_a_command_validates_only_what_it_uses(enroll, unreachable_database):
    verified = unreachable_database.replace("sslmode=disable", "sslmode=verify-full")
    production = {"ENVIRONMENT": "production", "DATABASE_URL": verified}
    for call in (["tasks", "list"], ["audit"], ["users", "list"], ["seed"]):
        assert_one_sentence(await enroll(*call, **production), FAILED, "database")
    done = await enroll("keys", "list", ENVIRONMENT="production", JWT_SECRET="s" * 32)
    assert done.code == 0, done.errors
    done = await enroll("flower", ENVIRONMENT="production", FLOWER_BASIC_AUTH=f"me:{SECRET}")
    assert_one_sentence(done, USAGE, "BROKER_URL is missing, and REDIS_HOST")
    done = await enroll("flower", ENVIRONMENT="production")
    assert done.errors.splitlines() == [
        "enroll: BROKER_URL is missing, and REDIS_HOST",
        "enroll: FLOWER_BASIC_AUTH is missing; Flower can stop workers",
    ]


async def test_the_api_needs_tables_if_it_may_not_migrate(enroll, new_database):
    url = await new_database(migrated=False)
    done = await enroll("api", DATABASE_URL=url, STORAGE_URL="memory://", SKIP_MIGRATION="true")
    assert_one_sentence(done, FAILED, "does not exist")
    assert await tables(url) == 0


@pytest.mark.parametrize("name", ["api", "worker"])
async def test_an_invalid_storage_url_is_one_sentence(enroll, unreachable_database, name):
    done = await enroll(name, DATABASE_URL=unreachable_database, BROKER_URL="memory://")
    assert_one_sentence(done, USAGE, "STORAGE_URL or S3_BUCKET_NAME is missing")


async def test_a_failed_start_ends_only_its_own_processes(tmp_path, service):
    """The failed server process ends its own process group and not its caller's."""
    failing = (
        "import os, sys; from api.protocol import server; from cli.main import main;"
        "server.create_app = lambda *_: sys.exit('no such luck');"
        "sys.argv[1:] = ['api']; main()"
    )
    caller = f'"{sys.executable}" -c "{failing}"; echo "ended with $?"'
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", caller),
        env=os.environ | service.env | {"PORT": str(port), "DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    output, complaint = await asyncio.wait_for(process.communicate(), 60)
    assert output.decode().splitlines() == ["ended with 1"]
    assert "Traceback" not in complaint.decode()


async def test_the_processes_of_the_api_know_the_arguments_of_tasks(tmp_path, service):
    showing = (
        "import sys; from api.protocol import server; from cli.main import main;"
        "from infra.queue.kind import KINDS;"
        "server.create_app = lambda *_: print(*KINDS, flush=True) or sys.exit(1);"
        "sys.argv[1:] = ['api']; main()"
    )
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", showing),
        env=os.environ | service.env | {"PORT": str(port), "DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert "images.process" in output.decode().split()


async def test_unusable_keys_are_one_sentence(enroll, new_database, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/keys.json").write_text('{"keys": [')
    places = {
        "DATABASE_URL": await new_database(),
        "DATA_DIR": str(tmp_path / "data"),
        "STORAGE_URL": "memory://",
    }
    for call in (["api"], ["keys", "list"], ["keys", "rotate"]):
        assert_one_sentence(await enroll(*call, **places), USAGE, "keys.json can't be used")


async def test_migrate_creates_tables_and_admin_once(enroll, new_database):
    url = await new_database(migrated=False)
    # SKIP_MIGRATION only applies to the start of the API, not to the command itself.
    first = await enroll("migrate", DATABASE_URL=url, SKIP_MIGRATION="true", ADMIN_USERNAME="root")
    assert first.code == 0, first.errors
    assert first.output.startswith("applied 0_")
    second = await enroll("migrate", DATABASE_URL=url, ADMIN_USERNAME="root")
    assert (second.code, second.output) == (0, "")
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT array_agg(username::text) FROM users") == ["root"]
    await connection.close()


async def test_seed_fills_an_empty_catalogue_and_demo_keeps_an_existing_one(enroll, new_database):
    url = await new_database()
    done = await enroll("seed", "--courses", "0", "--enrollments", "5", DATABASE_URL=url)
    assert_one_sentence(done, FAILED, "--courses")
    done = await enroll("seed", "--courses", "3", "--enrollments", "7", DATABASE_URL=url)
    assert done.code == 0, done.errors
    connection = await asyncpg.connect(url)
    counts = "SELECT (SELECT count(*) FROM courses), (SELECT count(*) FROM enrollments)"
    assert tuple(await connection.fetchrow(counts)) == (3, 7)
    done = await enroll("demo", DATABASE_URL=url)
    assert (done.code, done.output) == (0, "there are courses already\n")
    assert tuple(await connection.fetchrow(counts)) == (3, 7)
    await connection.close()


async def test_output_to_a_pipe_is_not_truncated(enroll, new_database):
    url = await new_database()
    connection = await asyncpg.connect(url)
    name = "a.rather.long.name.of.a.task" * 4
    await connection.execute(
        "INSERT INTO tasks (id, name, args, error) VALUES ($1, $2, '{}', $3)",
        *(NO_ID, name, "[/x] \x1b[31mred\u202e"),
    )
    await connection.close()
    done = await enroll("tasks", "list", DATABASE_URL=url, COLUMNS="40")
    assert all(text in done.output for text in (NO_ID, name, r"[/x] \x1b[31mred\u202e"))


async def test_version(enroll):
    done = await enroll("--version")
    assert (done.code, done.output) == (0, f"enroll {version('course-enrollment-service')}\n")


async def test_an_unknown_task_is_one_sentence(enroll, new_database):
    done = await enroll("tasks", "show", NO_ID, DATABASE_URL=await new_database())
    assert_one_sentence(done, FAILED, "The requested task does not exist")


async def test_openapi_needs_no_settings_and_prints_the_served_document(enroll, client):
    done = await enroll("openapi")
    assert (done.code, done.errors) == (0, "")
    assert json.loads(done.output) == (await client.get("/openapi.json")).json()


@pytest.mark.parametrize("call", [("nothing",), ("tasks", "--nothing"), ("api",)])
async def test_with_json_each_complaint_is_a_log_line(enroll, tmp_path, call):
    (tmp_path / ".env").write_text("LOG_FORMAT=json\n", encoding="utf-8")
    done = await enroll(*call, LOG_LEVEL="no level")
    lines = [json.loads(line) for line in done.errors.splitlines()]
    assert {line["event"] for line in lines} == {"command_failed"}
    assert (done.code, done.output) == (2, "")
