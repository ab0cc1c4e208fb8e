"""Settings: sources, defaults, and error messages."""

import errno
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from infra.settings import (
    Environment,
    Settings,
    SettingsError,
    Use,
    embedded_env_file,
    load_settings,
    require_database,
)

SECRET = "hunter2-hunter2-hunter2"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://app:pw@db.example.org/app?sslmode=verify-full",
    "CACHE_URL": "rediss://cache.example.org/0",
    "BROKER_URL": "rediss://broker.example.org/0",
    "STORAGE_URL": "s3://bucket",
    "JWT_SECRET": "a-secret-of-production-of-more-than-32-bytes",
    "ADMIN_PASSWORD": "not-the-default-one",
    "CORS_ORIGINS": "https://app.example.org",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """Starts in an empty folder without settings in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings_of(monkeypatch):
    """Loads the settings of an environment."""

    def load(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return load


@pytest.fixture
def fault_of(settings_of):
    """Returns the error message for an environment."""

    def load(**values):
        with pytest.raises(SettingsError) as caught:
            settings_of(**values)
        return str(caught.value)

    return load


def test_without_settings_it_is_development_without_servers():
    settings = load_settings()
    assert settings.environment is Environment.DEVELOPMENT
    assert (settings.database, settings.cache, settings.storage) == (None, None, None)
    assert (settings.port, settings.admin_username) == (8080, "admin")
    assert settings.admin_password.get_secret_value() == "admin!dev"
    with pytest.raises(SettingsError, match=r"^DATABASE_URL or DB_HOST is missing, and no"):
        require_database(settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("FLOWER_PORT", "1.5"),
        ("DB_PORT", "x"),
        ("DB_SSLMODE", "maybe"),
        ("REDIS_DB", "16"),
        ("REDIS_PORT", "-1"),
        ("ENVIRONMENT", "staging"),
        ("DEBUG", "perhaps"),
        ("SKIP_MIGRATION", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("DATABASE_POOL_SIZE", "0"),
        ("API_WORKERS", "65"),
        ("WORKER_CONCURRENCY", "no"),
        ("WORKER_SHUTDOWN_SECONDS", "soon"),
        ("TOKEN_LIFETIME_SECONDS", "59"),
        ("REFRESH_LIFETIME_SECONDS", "a week"),
        ("RATE_LIMIT_READS", "0"),
        ("RATE_LIMIT_LOGINS", "1/s"),
        ("MAX_UPLOAD_BYTES", "5MB"),
        ("MAX_IMAGE_PIXELS", "0"),
    ],
)
def test_a_bad_value_is_named_with_its_key(fault_of, key, value):
    message = fault_of(**{key: value})
    assert message.startswith(f"{key}: ")
    assert message.endswith(f"(it is {value!r})")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "scheme"),
    [
        ("DATABASE_URL", "mysql"),
        ("CACHE_URL", "http"),
        ("BROKER_URL", ""),
        ("STORAGE_URL", "ftp"),
        ("STORAGE_PUBLIC_URL", "ftp"),
        ("S3_ENDPOINT_URL", "s3"),
    ],
)
def test_a_bad_url_is_named_without_its_password(fault_of, key, scheme):
    message = fault_of(**{key: f"{scheme}://app:{SECRET}@host.example.org/x"})
    assert message.startswith(f"{key}: must be a URL that starts with ")
    assert SECRET not in message


def test_all_faults_are_named_at_once(fault_of):
    message = fault_of(PORT="x", LOG_LEVEL="LOUD", CACHE_URL=f"http://:{SECRET}@cache")
    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "PORT",
        "LOG_LEVEL",
        "CACHE_URL",
    ]
    assert SECRET not in message


def test_secrets_are_not_in_the_repr_of_the_settings(settings_of):
    settings = settings_of(
        DB_PASSWORD=SECRET,
        REDIS_PASSWORD=SECRET,
        JWT_SECRET=SECRET * 2,
        ADMIN_PASSWORD=SECRET,
        AWS_ACCESS_KEY_ID=SECRET,
        AWS_SECRET_ACCESS_KEY=SECRET,
        FLOWER_BASIC_AUTH=f"operator:{SECRET}",
    )
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


@pytest.mark.parametrize("key", ["DATABASE_URL", "CACHE_URL", "BROKER_URL"])
def test_passwords_of_urls_are_not_in_the_repr_of_the_settings(settings_of, key):
    scheme = "postgresql" if key == "DATABASE_URL" else "redis"
    assert SECRET not in repr(settings_of(**{key: f"{scheme}://app:{SECRET}@host/0"}))


def test_production_accepts_safe_settings(settings_of):
    assert settings_of(**PRODUCTION).environment is Environment.PRODUCTION


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"JWT_SECRET": ""}, "JWT_SECRET is the default one"),
        ({"JWT_SECRET": "development-only-secret-of-at-least-32-bytes"}, "JWT_SECRET is the"),
        ({"JWT_SECRET": SECRET}, "JWT_SECRET is shorter than 32 bytes"),
        ({"ADMIN_PASSWORD": ""}, "ADMIN_PASSWORD is the default one"),
        ({"ADMIN_PASSWORD": "admin!dev"}, "ADMIN_PASSWORD is the default one"),
        ({"CORS_ORIGINS": "https://a.example.org,*"}, "CORS_ORIGINS has a wildcard"),
        ({"CORS_ORIGINS": "https://*.example.org"}, "CORS_ORIGINS has a wildcard"),
        ({"DEBUG": "true"}, "DEBUG is on"),
        ({"JWT_KEYS": f"{'x' * 32},{SECRET}"}, "JWT_KEYS has a key shorter than 32 bytes"),
        (
            {"JWT_KEYS": "development-only-secret-of-at-least-32-bytes"},
            "JWT_KEYS has the default key",
        ),
        ({"TOKEN_LIFETIME_SECONDS": "86401"}, "TOKEN_LIFETIME_SECONDS is longer than a day"),
        ({"SESSION_LIFETIME_SECONDS": "7776001"}, "SESSION_LIFETIME_SECONDS is longer than 90"),
        (
            {"REFRESH_LIFETIME_SECONDS": "7000000"},
            "REFRESH_LIFETIME_SECONDS is longer than SESSION_LIFETIME_SECONDS",
        ),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"}, "TRUSTED_PROXIES includes all addresses"),
        ({"RATE_LIMIT_EXEMPT": "::/0"}, "RATE_LIMIT_EXEMPT includes all addresses"),
        ({"DATABASE_URL": ""}, "DATABASE_URL or DB_HOST is missing"),
        ({"CACHE_URL": ""}, "CACHE_URL or REDIS_HOST is missing"),
        ({"BROKER_URL": ""}, "BROKER_URL is missing"),
        ({"STORAGE_URL": ""}, "STORAGE_URL or S3_BUCKET_NAME is missing"),
        ({"DATABASE_URL": "postgresql://a:b@db/app"}, "DATABASE_URL must have sslmode=verify-full"),
        (
            {"DATABASE_URL": "postgresql://a:b@db/app?sslmode=require"},
            "DATABASE_URL must have sslmode=verify-full",
        ),
        ({"DATABASE_URL": "", "DB_HOST": "db"}, "DATABASE_URL must have sslmode=verify-full"),
        (
            {"DATABASE_REPLICA_URL": "postgresql://a:b@db/app?sslmode=require"},
            "DATABASE_REPLICA_URL must have sslmode=verify-full",
        ),
    ],
)
def test_production_refuses_each_unsafe_default(fault_of, changes, named):
    message = fault_of(**PRODUCTION | changes)
    assert message.startswith(named)
    assert "\n" not in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "query",
    ["xsslmode=verify-full", "sslmode=verify-fully", "sslmode=verify-full&sslmode=disable"],
)
def test_production_reads_sslmode_as_the_driver_does(fault_of, query):
    message = fault_of(**PRODUCTION | {"DATABASE_URL": f"postgresql://a:b@db/app?{query}"})
    assert message.startswith("DATABASE_URL must have sslmode=verify-full")


UNPROTECTED = {
    "CACHE_URL is plain redis://": ("CACHE_PLAINTEXT", {"CACHE_URL": f"redis://:{SECRET}@c/0"}),
    "REDIS_HOST is plain redis://": (
        "CACHE_PLAINTEXT",
        {"CACHE_URL": "", "REDIS_HOST": "c", "REDIS_PASSWORD": SECRET},
    ),
    "CACHE_URL is memory://": ("CACHE_IN_PROCESS", {"CACHE_URL": "memory://"}),
    "BROKER_URL is plain redis://": ("BROKER_PLAINTEXT", {"BROKER_URL": f"redis://:{SECRET}@b/0"}),
    "BROKER_URL is plain amqp://": ("BROKER_PLAINTEXT", {"BROKER_URL": f"amqp://u:{SECRET}@b//"}),
    "BROKER_URL is memory://": ("BROKER_IN_PROCESS", {"BROKER_URL": "memory://"}),
    "S3_ENDPOINT_URL is plain http://": (
        "STORAGE_PLAINTEXT",
        {"S3_ENDPOINT_URL": "http://s3:9000"},
    ),
    "STORAGE_URL is memory://": ("STORAGE_IN_PROCESS", {"STORAGE_URL": "memory://"}),
}


@pytest.mark.parametrize("fault", UNPROTECTED)
def test_production_accepts_unprotected_parts_only_with_a_setting(settings_of, fault_of, fault):
    setting, changes = UNPROTECTED[fault]
    every = {key: "true" for key, _ in UNPROTECTED.values()}
    for others in ({}, every | {setting: "false"}):  # each part has a setting of its own
        message = fault_of(**PRODUCTION | changes | others)
        assert message.startswith(f"{fault}")
        assert message.endswith(f"with {setting}=true")
        assert "\n" not in message
        assert SECRET not in message
    settings_of(**PRODUCTION | changes | dict.fromkeys(every, "false") | {setting: "true"})


def test_all_unencrypted_parts_are_named_at_once(fault_of):
    changes = {
        "CACHE_URL": "redis://c/0",
        "BROKER_URL": "amqp://b//",
        "S3_ENDPOINT_URL": "http://s3:9000",
        "DATABASE_URL": "postgresql://a:b@db/app",
    }
    faults = fault_of(**PRODUCTION | changes).splitlines()
    assert {fault.partition(" ")[0] for fault in faults} == changes.keys()


def test_development_accepts_unencrypted_connections(settings_of):
    settings_of(CACHE_URL="redis://c/0", BROKER_URL="amqp://b//", STORAGE_URL="memory://")


@pytest.mark.parametrize("key", ["CACHE_URL", "BROKER_URL"])
@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs"),
        ("ssl_cert_reqs=optional", "ssl_cert_reqs"),
        ("ssl_ca_certs=/a&ssl_check_hostname=false", "ssl_check_hostname"),
        ("ssl_exclude_verify_flags=VERIFY_X509_STRICT", "ssl_exclude_verify_flags"),
    ],
)
def test_tls_is_verified_wherever_it_is_used(fault_of, key, environment, query, named):
    url = f"rediss://:{SECRET}@host.example.org/0?{query}"
    message = fault_of(**PRODUCTION | {"ENVIRONMENT": environment, key: url})
    assert message == f"{key}: may not have {named}: TLS is always verified"


def test_tls_options_without_tls_are_refused(fault_of):
    message = fault_of(CACHE_URL="redis://c/0?ssl_ca_certs=/ca.pem")
    assert message == "CACHE_URL: has TLS options, but redis:// is plain: use rediss://"


def test_the_files_of_tls_can_be_given(settings_of):
    url = "rediss://c/0?ssl_cert_reqs=required&ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k"
    assert settings_of(CACHE_URL=url, BROKER_URL=url).cache == url


def test_production_refuses_all_unsafe_defaults_at_once(fault_of):
    faults = fault_of(ENVIRONMENT="production", DEBUG="1", CORS_ORIGINS="*").splitlines()
    named = {fault.partition(" ")[0] for fault in faults}
    assert len(faults) == 8
    assert named == {
        *("JWT_SECRET", "ADMIN_PASSWORD", "CORS_ORIGINS", "DEBUG"),
        *("DATABASE_URL", "CACHE_URL", "BROKER_URL", "STORAGE_URL"),
    }


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_production_accepts_a_database_given_by_its_parts(settings_of, mode):
    parts = {"DATABASE_URL": "", "DB_HOST": "db.example.org", "DB_SSLMODE": mode}
    assert settings_of(**PRODUCTION | parts).database.endswith(f"?sslmode={mode}")


def test_the_database_url_is_made_of_its_quoted_parts(settings_of):
    password = "p@ss/w:rd?#%é +&"
    settings = settings_of(
        DB_HOST="db.example.org",
        DB_PORT="6543",
        DB_USER="us@er:x",
        DB_PASSWORD=password,
        DB_NAME="my/da ta?base",
        DB_SSLMODE="require",
    )
    url = urlsplit(settings.database)
    assert (url.scheme, url.hostname, url.port) == ("postgresql", "db.example.org", 6543)
    assert (unquote(url.username), unquote(url.password)) == ("us@er:x", password)
    assert unquote(url.path) == "/my/da ta?base"
    assert url.query == "sslmode=require"
    assert settings.database.count("@") == 1
    assert require_database(settings) == settings.database


def test_each_of_several_database_hosts_gets_the_port(settings_of):
    settings = settings_of(DB_HOST="one, two,::1", DB_PORT="6543")
    assert urlsplit(settings.database).netloc == "postgres:@one:6543,two:6543,[::1]:6543"


@pytest.mark.parametrize("target", ["any", "standby", "prefer-standby", "read-only"])
@pytest.mark.parametrize("key", ["DATABASE_URL", "DATABASE_DIRECT_URL"])
def test_what_writes_needs_the_primary(settings_of, fault_of, key, target):
    urls = {"DATABASE_URL": "postgresql://a@pooler/x"} if key == "DATABASE_DIRECT_URL" else {}
    url = f"postgresql://a@one,two/x?target_session_attrs={target}"
    message = fault_of(**urls | {key: url})
    assert message == (
        f"{key}: target_session_attrs must be primary or read-write, for what writes "
        f"(it is '{target}')"
    )
    settings_of(
        DATABASE_URL="postgresql://a@one/x", DATABASE_DIRECT_URL="", DATABASE_REPLICA_URL=url
    )


def test_several_poolers_follow_the_primary_themselves(settings_of):
    poolers = "postgresql://a@one:6432,two:6432/x"
    direct = "postgresql://a@one,two/x"
    settings_of(DATABASE_URL=poolers, DATABASE_DIRECT_URL=direct)


def test_the_cache_url_is_made_of_its_quoted_parts(settings_of):
    settings = settings_of(
        REDIS_HOST="cache", REDIS_PORT="6380", REDIS_PASSWORD="a@b:/c", REDIS_DB="3"
    )
    url = urlsplit(settings.cache)
    assert (url.scheme, url.hostname, url.port, url.path) == ("redis", "cache", 6380, "/3")
    assert unquote(url.password) == "a@b:/c"
    assert url.username == ""


def test_a_cache_without_a_password_and_a_bucket_by_its_name(settings_of):
    settings = settings_of(REDIS_HOST="cache", S3_BUCKET_NAME="photos")
    assert settings.cache == "redis://cache:6379/0"
    assert settings.storage == "s3://photos"


def test_a_url_has_precedence_over_its_parts(settings_of):
    settings = settings_of(
        DATABASE_URL="postgresql://a@one/x",
        DB_HOST="two",
        CACHE_URL="redis://one/0",
        REDIS_HOST="two",
        STORAGE_URL="memory://",
        S3_BUCKET_NAME="two",
    )
    assert settings.database == "postgresql://a@one/x"
    assert settings.cache == "redis://one/0"
    assert settings.storage == "memory://"


def test_an_empty_value_is_the_default(settings_of):
    empty = {name.upper(): "" for name in Settings.model_fields}
    assert settings_of(**empty) == Settings(_env_file=None)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://a.example.org", ("https://a.example.org",)),
        (" https://a.example.org , ,http://b:3000,", ("https://a.example.org", "http://b:3000")),
        (" , ", ()),
    ],
)
def test_origins_are_a_comma_separated_list(settings_of, text, origins):
    assert settings_of(CORS_ORIGINS=text).cors_origins == origins


@pytest.mark.parametrize(
    "origin",
    [
        *("https://app.example.org/", "https://app.example.org/path", "https://App.example.org"),
        *("app.example.org", "null", "ftp://app.example.org", "https://", "https://a:443"),
        *("http://a:80", "https://a:x", "https://u@a", "https://a?", "https://*.example.org"),
        *("https://a:", "https://ünal.example.org", "https://[::1"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(fault_of, origin):
    message = fault_of(CORS_ORIGINS=f"https://fine.example.org,{origin}")
    assert message == (f"CORS_ORIGINS must be exact, as https://app.example.org is: {origin!r}")


def test_development_may_allow_all_origins(settings_of):
    assert settings_of(CORS_ORIGINS="*").cors_origins == ("*",)


def test_a_malformed_setting_does_not_hide_an_unsafe_default(fault_of):
    faults = fault_of(
        ENVIRONMENT="production", PORT="http", DATABASE_URL="mysql://db", CORS_ORIGINS="https://a/"
    ).splitlines()
    named = [fault.partition(" ")[0] for fault in faults]
    assert named[:2] == ["PORT:", "DATABASE_URL:"]
    assert set(named[2:]) == {
        *("JWT_SECRET", "ADMIN_PASSWORD", "CACHE_URL", "BROKER_URL", "STORAGE_URL"),
        "CORS_ORIGINS",
    }


def test_the_env_file_is_read_and_the_environment_has_precedence(settings_of, tmp_path):
    (tmp_path / ".env").write_text(
        "# ours\nPORT=9000\nHOST=0.0.0.0\nADMIN_USERNAME='dé an'\nOF_SOMEBODY_ELSE=1\n",
        encoding="utf-8",
    )
    settings = settings_of(PORT="9001")
    assert (settings.port, settings.host, settings.admin_username) == (9001, "0.0.0.0", "dé an")  # noqa: S104  compared, not bound to


def test_an_error_in_the_env_file_is_named(fault_of, tmp_path):
    (tmp_path / ".env").write_text("PORT=http\n")
    assert fault_of().startswith("PORT: ")


@pytest.fixture
def running(tmp_path):
    """Writes the file in which `make run` records its servers."""
    file = embedded_env_file(tmp_path / ".data")
    file.parent.mkdir(parents=True)
    file.write_text(
        "DATABASE_URL=postgresql://run@127.0.0.1/x\nCACHE_URL=redis://127.0.0.1:1/0\n"
        "S3_ENDPOINT_URL=http://127.0.0.1:2\n"
    )


@pytest.mark.usefixtures("running")
def test_the_servers_of_a_running_service_are_found(settings_of):
    assert settings_of().database == "postgresql://run@127.0.0.1/x"


@pytest.mark.usefixtures("running")
def test_environment_and_env_file_have_precedence_over_a_running_service(settings_of, tmp_path):
    (tmp_path / ".env").write_text("CACHE_URL=memory://\n")
    settings = settings_of(DATABASE_URL="postgresql://own@db/x")
    assert settings.database == "postgresql://own@db/x"
    assert settings.cache == "memory://"


@pytest.mark.usefixtures("running")
def test_parts_in_the_environment_have_precedence_over_a_running_service(settings_of):
    settings = settings_of(DB_HOST="db.example.org", REDIS_HOST="cache.example.org")
    assert "@db.example.org:5432/" in settings.database
    assert settings.cache == "redis://cache.example.org:6379/0"


@pytest.mark.usefixtures("running")
def test_production_does_not_look_for_a_running_service(settings_of, fault_of):
    settings = settings_of(**PRODUCTION)
    assert settings.database == PRODUCTION["DATABASE_URL"]
    assert settings.s3_endpoint_url is None
    assert fault_of(DATABASE_URL="").startswith("DATABASE_URL or DB_HOST is missing")


@pytest.mark.usefixtures("running")
def test_a_running_service_is_only_found_in_its_data_dir(settings_of, tmp_path):
    assert settings_of(DATA_DIR=str(tmp_path / "elsewhere")).database is None


def test_settings_are_immutable(settings_of):
    settings = settings_of()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 9080),
        ({"PORT": "64535"}, 65535),
        ({"PORT": "64536"}, 63536),
        ({"METRICS_PORT": "9464"}, 9464),
        ({"METRICS_PORT": "0"}, None),
    ],
)
def test_the_metrics_have_a_port_of_their_own(settings_of, settings, port):
    assert settings_of(**settings).metrics_at == port


def test_the_broker_defaults_to_the_redis_of_the_settings(settings_of):
    assert settings_of(REDIS_HOST="one").broker == "redis://one:6379/0"
    named = settings_of(REDIS_HOST="one", BROKER_URL="amqp://two")
    assert named.broker == "amqp://two"


@pytest.mark.parametrize(
    ("uses", "named"),
    [
        (Use.BROKER, ["BROKER_URL"]),
        (Use.DATABASE, ["DATABASE_URL"]),
        (Use.TOKENS, ["JWT_SECRET"]),
        (Use.DATABASE | Use.ADMIN, ["ADMIN_PASSWORD", "DATABASE_URL"]),
        (Use.WORKER, ["DATABASE_URL", "CACHE_URL", "BROKER_URL", "STORAGE_URL"]),
    ],
)
def test_production_validates_only_what_a_process_uses(monkeypatch, uses, named):
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsError) as caught:
        load_settings(uses=uses)
    assert [line.split()[0] for line in str(caught.value).splitlines()] == named


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    """A folder of files with secrets, and the setting that names it."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    return folder


def test_secrets_are_read_from_files(secrets, monkeypatch):
    (secrets / "jwt_secret").write_text(f"{SECRET}\n")
    (secrets / "ADMIN_PASSWORD").write_text(SECRET)
    (secrets / "db_user").write_text("of-the-file")
    monkeypatch.setenv("DB_USER", "of-the-environment")
    settings = load_settings()
    assert settings.jwt_secret.get_secret_value() == SECRET
    assert settings.admin_password.get_secret_value() == SECRET
    assert settings.db_user == "of-the-environment"


def test_a_missing_folder_of_secrets_is_a_fault(fault_of):
    assert fault_of(SECRETS_DIR="/nowhere") == "SECRETS_DIR: /nowhere is no folder"


def test_a_secret_that_is_no_text_is_a_fault(secrets, fault_of):
    (secrets / "jwt_secret").write_bytes(b"\xff")
    assert fault_of().startswith("SECRETS_DIR: 'utf-8' codec can't decode")


def test_a_secret_that_cannot_be_read_is_a_fault(secrets, fault_of, monkeypatch):
    (secrets / "jwt_secret").touch()

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read every file
    assert fault_of() == f"SECRETS_DIR: {secrets / 'jwt_secret'} can't be used: Permission denied"
