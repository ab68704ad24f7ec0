"""What a battery answers cannot make the agent large, whatever it is: measured at a real process."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import free_port, wait_until
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.battery.client import BODY_LIMIT_BYTES

GOOD = b'{"Production_W": 800, "Consumption_W": 500, "GridFeedIn_W": 300, "Pac_total_W": 0}'
MEBIBYTE = 2**20


def documents(size: int) -> Iterator[bytes]:
    """Yield JSON of at most so many bytes, each of a kind that takes much memory."""
    yield b"[" * (size // 2) + b"]" * (size // 2)
    yield b'{"a":' * (size // 6 - 1) + b"1" + b"}" * (size // 6 - 1)
    yield b"[" + b"[],{}," * (size // 6 - 1) + b"0]"
    yield b"[" + b'{"":0},' * (size // 7 - 1) + b"0]"
    yield b"[" + b",".join([b'{"a":' * 25 + b"1" + b"}" * 25] * (size // 152)) + b"]"
    yield b"{" + b",".join(b'"%x":0' % number for number in range(size // 10)) + b"}"
    yield b'{"a":0' + b',"a":1.5e300' * (size // 12 - 1) + b"}"
    yield b'{"Production_W":' + b"9" * (size - 100) + b"}"
    yield b'{"Production_W":800,"ReturnCode":"' + b"0" * (size - 100) + b'13"}'
    yield b'{"status":' * (size // 11) + b"1" + b"}" * (size // 11)
    yield b'"' + b'\\"' * (size // 2 - 1) + b'"'


class HostileBattery:
    """Answers the same to every question, and counts them."""

    def __init__(self, server: HTTPServer) -> None:
        self.port = server.port
        self.document = GOOD
        self.asked = 0
        server.expect_request(re.compile("")).respond_with_handler(self._answer)

    def _answer(self, _: Request) -> Response:
        self.asked += 1
        return Response(self.document)


@pytest.fixture
def battery(httpserver: HTTPServer) -> HostileBattery:
    return HostileBattery(httpserver)


def memory_bytes(pid: int, field: str) -> int:
    """Return VmRSS, or VmHWM, the most that it was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


def test_documents_of_any_kind_and_size_leave_the_process_as_small_as_it_was(
    battery: HostileBattery, tmp_path: Path
) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("a-made-up-token")
    config = tmp_path / "config.yml"
    config.write_text(
        "interval_seconds: 1\n"
        f"batteries: [{{name: home, url: 'http://127.0.0.1:{battery.port}', token_file: token}}]\n"
        f"pull: {{listen: '127.0.0.1:{free_port()}'}}\n"
    )

    def wait_for_answers(number: int) -> None:
        before = battery.asked
        wait_until(lambda: battery.asked >= before + number, f"{number} questions")

    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "sonnen_agent", "run", f"--config={config}"]
        agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
    try:
        wait_for_answers(8)
        before = memory_bytes(agent.pid, "VmRSS")
        Path(f"/proc/{agent.pid}/clear_refs").write_text("5")
        # What is too large is refused before it is looked at, whatever it holds.
        for size, questions in ((240_000, 2), (BODY_LIMIT_BYTES, 4)):
            for battery.document in documents(size):
                assert len(battery.document) <= size
                wait_for_answers(questions)
        assert memory_bytes(agent.pid, "VmHWM") - before < 8 * MEBIBYTE
        battery.document = GOOD
        wait_until(lambda: "home: readable again" in (tmp_path / "log").read_text(), "the battery to be back")
        assert memory_bytes(agent.pid, "VmRSS") - before < 8 * MEBIBYTE
    finally:
        agent.terminate()
        assert agent.wait(60) == 0
    # One for the battery, and one for each of its endpoints.
    lines = (tmp_path / "log").read_text().splitlines()
    assert "Traceback" not in "".join(lines)
    assert max(map(len, lines)) < 1000
