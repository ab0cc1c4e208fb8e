"""The parameters and templates of nginx's configuration."""

import re
from dataclasses import fields

import pytest

from api.schemas.responses import ErrorOut
from api.security.cors import EXPOSED
from deploy.embedded.service import ROOT
from deploy.nginx import routes
from deploy.nginx.checks import ParameterError
from deploy.nginx.parameters import PREFIX, Parameters
from deploy.nginx.render import TEMPLATES, render, rendered
from deploy.release.nginx import TEMPLATE
from infra.settings import Settings

ORIGIN = {"NGINX_ORIGIN": "https://api.example.org"}
UNUSABLE = {
    "NGINX_ORIGIN": (
        "http://api.example.org",
        "https://api.example.org/",
        "https://API.example.org",
    ),
    "NGINX_UPSTREAMS": ("a;b", "127.0.0.1:80;", "127.0.0.1", "host:99999", "unix:/a b"),
    "NGINX_HTTPS_LISTEN": ("443 default_server", "0"),
    "NGINX_TLS": ("yes", ""),
    "NGINX_TLS_PROTOCOLS": ("TLSv1.1", "SSLv3 TLSv1.3"),
    "NGINX_CERTIFICATE": ("tls.pem", "/etc/a;b", "/etc/$a", "/a b"),
    "NGINX_TRUSTED_PROXIES": ("10.0.0.0/99", "all", "10.0.0.1;"),
    "NGINX_CORS_ORIGINS": ("*", 'https://a" x', "app.example.org", "https://app.example.org/"),
    "NGINX_LIMIT_RATE": ("0", "-1", "1.5", "²", "many"),
    "NGINX_USER": ("root;", ""),
    "NGINX_RELOAD": ("reload; rm", "a | b"),
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in UNUSABLE.items() for text in texts]
)
def test_an_unusable_parameter_is_named_with_its_value(name, text):
    with pytest.raises(ParameterError, match=f"^{name}: {re.escape(repr(text))} must "):
        Parameters.of(ORIGIN | {name: text})


def test_an_unknown_or_missing_parameter_is_named():
    with pytest.raises(ParameterError, match=r"^NGINX_PORT is no parameter"):
        Parameters.of(ORIGIN | {"NGINX_PORT": "80"})
    with pytest.raises(ParameterError, match=r"^NGINX_ORIGIN must be set"):
        Parameters.of({})


def test_every_place_has_a_value_and_other_variables_are_left_to_nginx(tmp_path):
    found = Parameters.of(ORIGIN | {"NGINX_FOLDER": str(tmp_path), "NGINX_BROTLI": "false"})
    render(found)
    for name, text in rendered(found).items():
        assert "${" not in text
        assert (tmp_path / name).read_text() == text
    assert "$request_uri" in (tmp_path / "https.conf").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in TEMPLATES.iterdir()}


def test_the_weights_of_a_release_stay(tmp_path):
    found = Parameters.of(ORIGIN | {"NGINX_FOLDER": str(tmp_path), "NGINX_BROTLI": "false"})
    render(found)
    upstream = tmp_path / "upstream.conf"
    upstream.write_text(TEMPLATE)
    render(found)
    assert upstream.read_text() == TEMPLATE


def test_the_log_names_the_routes_of_the_api():
    assert routes.FILE.read_text() == routes.routes_conf(routes.routes())


def test_a_connection_that_nginx_keeps_is_kept_by_the_api_for_longer():
    kept = int(
        re.search(r"keepalive_timeout (\d+)s", rendered(Parameters.of(ORIGIN))["upstream.conf"])[1]
    )
    assert kept < Settings(_env_file=None).keep_alive_seconds


def test_a_request_may_take_as_long_as_the_api_allows():
    waited = int(re.search(r"proxy_read_timeout (\d+)s", (TEMPLATES / "site.conf").read_text())[1])
    assert waited > Settings(_env_file=None).response_seconds


def test_each_error_of_nginx_is_an_envelope():
    text = (TEMPLATES / "errors.conf").read_text()
    answered = dict(
        re.findall(
            r"^location (?:= )?(\S+) \{.*?return \d+ '(.*?)';\n\}", text, re.MULTILINE | re.DOTALL
        )
    )
    named = set(re.findall(r"^error_page .* (\S+);", text, re.MULTILINE))
    assert answered.keys() == named - {"${ORIGIN}$request_uri"}
    for body in answered.values():
        ErrorOut.model_validate_json(body.replace("\\'", "'"))


def test_front_ends_read_the_same_headers_of_both():
    assert f'default "{", ".join(EXPOSED)}";' in (TEMPLATES / "client.conf").read_text()


def test_the_documentation_has_each_parameter():
    page = (ROOT / "docs" / "deployment.md").read_text()
    named = re.findall(r"^\| `(NGINX_\w+)` \|", page, re.MULTILINE)
    assert named == [f"{PREFIX}{each.name.upper()}" for each in fields(Parameters)]
