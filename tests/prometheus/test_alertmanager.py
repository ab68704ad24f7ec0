"""From an alert to a phone: a real Alertmanager with our config, and a Telegram that listens on loopback."""

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import find_program, free_port, wait_until

pytestmark = pytest.mark.system

_TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
"""Where Debian's looks for them, wherever it is unpacked."""
_WITH_TEMPLATES = """
mount -t tmpfs tmpfs /usr/share
mkdir /usr/share/prometheus
mount --bind "$0" /usr/share/prometheus
exec "$@"
"""
CONFIG = Path(__file__).parents[2] / "prometheus/alertmanager.yml"


@contextmanager
def telegram(told: list[dict[str, Any]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = b'{"ok": true, "result": {"message_id": 1, "chat": {"id": 987654321}, "date": 1}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def alert(severity: str) -> dict[str, object]:
    return {
        "labels": {"alertname": "SonnenOffGrid", "job": "sonnen", "instance": "my_home", "severity": severity},
        "annotations": {"summary": f"{severity}: my_home", "description": "The charge is 71 %.", "runbook": "Look."},
    }


def test_an_alert_reaches_a_phone_with_its_words_and_an_info_does_not(tmp_path: Path) -> None:
    program = find_program("prometheus-alertmanager")
    command = [str(program)]
    if not _TEMPLATES.exists():
        if os.geteuid() != 0:
            pytest.skip("only root can show an unpacked Alertmanager its templates, and none is installed")
        unpacked = program.parents[1] / "share/prometheus"
        command = ["unshare", "--mount", "sh", "-ec", _WITH_TEMPLATES, str(unpacked), str(program)]
    told: list[dict[str, Any]] = []
    config = yaml.safe_load(CONFIG.read_text())
    config["route"]["group_wait"] = "0s"
    with telegram(told) as url:
        config["receivers"][1]["telegram_configs"][0]["api_url"] = url
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{free_port()}"
        running = subprocess.Popen(
            [
                *command,
                f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: asked(f"http://{address}/-/ready"), "the Alertmanager")
            body = json.dumps([alert("info"), alert("critical")]).encode()
            asked(f"http://{address}/api/v2/alerts", body)
            wait_until(lambda: bool(told), "a message")
        finally:
            running.terminate()
            running.wait(20)
    assert [message["text"].rstrip() for message in told] == ["critical: my_home\nThe charge is 71 %.\nLook."]
    assert {str(message["chat_id"]) for message in told} == {"987654321"}


def asked(url: str, body: bytes | None = None) -> bool:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
