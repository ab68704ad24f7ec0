"""Setup without a terminal; tests/system/test_setup.py has the rest of it."""

from pathlib import Path

import pytest
from box import Box
from pytest_httpserver import HTTPServer
from status_fields import RAW_STATUS

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


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("a-made-up-token\nof-two-lines\n", "on one line"),
        ("a-made-up-töken", "nothing else"),
        ("two words", "nothing else"),
        ("\n", "is empty"),
    ],
)
def test_what_can_be_no_token_is_refused_and_not_shown(
    tmp_path: Path, httpserver: HTTPServer, capfd: pytest.CaptureFixture[str], token: str, words: str
) -> None:
    file, given, url = tmp_path / "etc/config.yml", tmp_path / "token", httpserver.url_for("")
    given.write_text(token)
    with Box(httpserver) as box:
        box.answers["/api/v2/status"] = RAW_STATUS
        with pytest.raises(StartError, match=words) as refused:
            setup.run(file, unit_config=tmp_path, yes=True, battery=url, token_file=given, gateway=url)
    told = f"{refused.value}{capfd.readouterr()}"
    assert not any(word in told for word in ("made-up", "two words"))
    assert not file.parent.exists()


def test_a_token_that_notepad_has_saved_is_taken(
    tmp_path: Path, httpserver: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    file, given, url = tmp_path / "etc/config.yml", tmp_path / "token", httpserver.url_for("")
    given.write_bytes(b"\xef\xbb\xbfa-made-up-token\r\n")
    with Box(httpserver) as box:
        box.answers = {"/api/v2/status": RAW_STATUS, "/api/v2/powermeter": []}
        box.guarded["/api/v2/powermeter"] = "a-made-up-token"
        with pytest.raises(StartError, match=r"127\.0\.0\.1:9: cannot connect"):
            setup.run(file, unit_config=tmp_path, yes=True, battery=url, token_file=given, gateway="127.0.0.1:9")
    # A token was given: that there is none is no news.
    assert "there is none" not in capfd.readouterr().out


@pytest.mark.parametrize(("battery", "gateway"), [("", "http://127.0.0.1:9"), ("http://127.0.0.1:9", "")])
def test_an_empty_variable_of_a_script_is_no_answer(tmp_path: Path, battery: str, gateway: str) -> None:
    with pytest.raises(StartError, match=r"^setup --yes asks nothing: give it --battery URL and --gateway URL$"):
        setup.run(tmp_path / "c.yml", unit_config=tmp_path, yes=True, battery=battery, token_file=None, gateway=gateway)


def test_a_folder_that_cannot_be_looked_into_is_no_traceback(tmp_path: Path) -> None:
    hidden = tmp_path / ("x" * 300) / "config.yml"  # root may look into every folder, but not into this one
    with pytest.raises(StartError, match="nothing answers"):
        setup.run(hidden, unit_config=tmp_path, yes=True, battery="127.0.0.1:9", token_file=None, gateway="127.0.0.1:9")
