"""Setup without a terminal; tests/system/test_setup.py has the rest of it."""

from pathlib import Path

import pytest
from box import Box
from pytest_httpserver import HTTPServer

from sonnen_agent.commands import setup
from sonnen_agent.errors import StartError


def test_a_battery_that_wants_a_token_for_everything_is_told_where_nobody_can_be_asked(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    file, url = tmp_path / "etc/config.yml", httpserver.url_for("")
    with Box(httpserver) as box:
        box.answers["/api/v2/status"] = 401
        with pytest.raises(StartError, match=r"answered 401: .*API token"):
            setup.run(file, unit_config=tmp_path, yes=True, battery=url, token_file=None, gateway="http://127.0.0.1:9")
    assert not file.parent.exists()
