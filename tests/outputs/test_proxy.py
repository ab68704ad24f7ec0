"""The way to a receiver through an HTTP proxy, which is a real one here."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from forward_proxy import ForwardProxy
from pytest_httpserver import HTTPServer

from sonnen_agent.clock import Deadline
from sonnen_agent.config.load import Config, load_config
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import ConfigError, ExchangeError
from sonnen_agent.outputs import pushgateway

BATTERIES = "batteries: [{name: home, url: http://192.168.1.20}]\n"
Load = Callable[[str], Config]


@pytest.fixture(autouse=True)
def no_proxy_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> Config:
        file = tmp_path / "config.yml"
        file.write_text(text)
        return load_config(file, tmp_path / "credentials")

    return load


def gateway(config: Config) -> Destination:
    options = config.outputs["pushgateway"]
    assert isinstance(options, pushgateway.Options)
    return options.destination


def put(destination: Destination, times: int = 1) -> list[bytes]:
    connection = destination.connect()
    try:
        return [
            connection.request(
                "PUT",
                "/metrics",
                headers=destination.credentials(),
                body=b"a 1\n",
                deadline=Deadline(20),
                body_limit=99,
            ).body
            for _ in range(times)
        ]
    finally:
        connection.close()


def test_a_push_to_http_is_passed_on_by_the_proxy(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/metrics", method="PUT", data="a 1\n").respond_with_data("taken")
    with ForwardProxy() as proxy:
        destination = Destination(
            url=httpserver.url_for(""), username="pi", password=Secret("hunter2"), proxy_url=proxy.url
        )
        assert put(destination, 2) == [b"taken", b"taken"]
    assert proxy.passed == [f"PUT {httpserver.url_for('/metrics')}"] * 2
    request, _ = httpserver.log[0]
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.headers["Host"] == f"{httpserver.host}:{httpserver.port}"
    assert "Proxy-Authorization" not in request.headers


def test_to_https_the_proxy_opens_a_tunnel_and_sees_nothing(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server, ForwardProxy("pi:päss:word") as proxy:
        server.expect_request("/metrics", method="PUT").respond_with_data("taken")
        url = f"https://127.0.0.1:{server.port}"
        login = {"proxy_username": "pi", "proxy_password": Secret("päss:word")}
        destination = Destination(url=url, ca_file=tmp_path / "ca.pem", proxy_url=proxy.url, **login)  # type: ignore[arg-type]
        assert put(destination, 2) == [b"taken", b"taken"]
        # The server here hangs up after each answer.
        assert proxy.passed == [f"CONNECT 127.0.0.1:{server.port}"] * 2
        server.check_assertions()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_asks_for_a_login_is_told_as_that(scheme: str) -> None:
    with ForwardProxy("pi:right") as proxy:
        destination = Destination(
            url=f"{scheme}://127.0.0.1:9", proxy_url=proxy.url, proxy_username="pi", proxy_password=Secret("wrong-one")
        )
        with pytest.raises(ExchangeError) as caught:
            put(destination)
    assert caught.value.outcome == "unauthorized"
    assert str(caught.value) == (
        "the proxy answered 407: it asks for a login; mend proxy_username and the password for it "
        f"(by way of the proxy 127.0.0.1 port {proxy.port})"
    )


def test_a_proxy_that_is_away_is_named(unused_tcp_port: int) -> None:
    with pytest.raises(ExchangeError) as caught:
        put(Destination(url="http://gateway.example", proxy_url=f"http://127.0.0.1:{unused_tcp_port}"))
    assert caught.value.outcome == "refused"
    assert str(caught.value) == (
        f"cannot connect: Connection refused (by way of the proxy 127.0.0.1 port {unused_tcp_port})"
    )


@pytest.fixture
def unused_tcp_port() -> int:
    with ForwardProxy() as gone:
        return gone.port


def test_the_config_has_the_proxy_its_user_and_the_file_with_the_password(load: Load, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/secrets_pushgateway-proxy-password").write_text("hunter2\n")
    config = load(
        f"{BATTERIES}pushgateway: {{url: https://gateway.example, proxy_url: http://proxy.example:3128, "
        "proxy_username: pi}\n"
    )
    assert gateway(config) == Destination(
        url="https://gateway.example",
        proxy_url="http://proxy.example:3128",
        proxy_username="pi",
        proxy_password=Secret("hunter2"),
    )
    assert config.batteries[0].destination == Destination(url="http://192.168.1.20")


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({"http_proxy": "http://proxy.example:3128"}, "http://gateway.example", "http://proxy.example:3128"),
        ({"HTTP_PROXY": "proxy.example:3128/"}, "http://gateway.example", "http://proxy.example:3128"),
        ({"http_proxy": "http://proxy.example"}, "https://gateway.example", None),
        ({"HTTPS_PROXY": "http://[fd00::1]:8080"}, "https://gateway.example", "http://[fd00::1]:8080"),
        ({"ALL_PROXY": "http://proxy.example"}, "https://gateway.example", "http://proxy.example:80"),
        ({"ALL_PROXY": "http://proxy.example", "no_proxy": "a, .example"}, "https://gateway.example", None),
        ({"ALL_PROXY": "http://proxy.example", "NO_PROXY": "*"}, "https://gateway.example", None),
        (
            {"ALL_PROXY": "http://proxy.example", "NO_PROXY": "way.example"},
            "http://gateway.example",
            "http://proxy.example:80",
        ),
    ],
)
def test_without_one_the_usual_variables_count_but_never_for_a_battery(
    load: Load, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = load(f"{BATTERIES}pushgateway: {{url: {url}}}\n")
    assert gateway(config).proxy_url == proxy
    assert config.batteries[0].destination.proxy_url is None


def test_a_login_in_a_variable_is_used_and_not_shown(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://pi:p%40ss@proxy.example:3128")
    destination = gateway(load(f"{BATTERIES}pushgateway: {{url: http://gateway.example}}\n"))
    assert (destination.proxy_username, destination.proxy_password) == ("pi", Secret("p@ss"))
    assert "p@ss" not in repr(destination)


@pytest.mark.parametrize("value", ["socks5://secret@proxy:1080", "http://proxy:port", "://", "https://proxy:443"])
def test_a_variable_that_is_no_http_proxy_is_named_without_its_value(
    load: Load, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ConfigError) as caught:
        load(f"{BATTERIES}pushgateway: {{url: http://gateway.example}}\n")
    (problem,) = caught.value.problems
    assert problem == (
        "pushgateway.proxy_url: is not here, and the environment variable ALL_PROXY (not shown, it may hold a "
        "password) is no http:// with a host and a port; mend that, write proxy_url, or name the host in NO_PROXY"
    )


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("proxy_url: 'https://proxy'", "proxy_url: should be http:// with a host and a port, got 'https://proxy'"),
        ("proxy_url: 'http://proxy/a'", "proxy_url: should be http:// with a host and a port, got 'http://proxy/a'"),
        (
            "proxy_url: 'http://pi:secret@proxy'",
            "proxy_url: holds a user name or password; write the URL without them and use a file of its own",
        ),
        ("proxy_username: pi", "proxy_url: is missing; proxy_username and proxy_password_file go with it"),
        (
            "proxy_url: 'http://proxy', proxy_username: pi",
            "proxy_password_file: is missing; a user name and a password file go together",
        ),
    ],
)
def test_a_bad_key_of_the_proxy_is_named_with_the_fix(load: Load, keys: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"{BATTERIES}pushgateway: {{url: http://gateway.example, {keys}}}\n")
    assert caught.value.problems == (f"pushgateway.{problem}",)
