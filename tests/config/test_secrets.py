import logging
import os
from pathlib import Path

import pytest

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Secret


class SecretReader:
    """Reads what `token_file` says, in a folder with a folder of credentials, and keeps the problems."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.credentials = folder / "credentials"
        self.credentials.mkdir()
        self.problems: list[str] = []

    def read(self, value: object, credential: str | None = None, *, credentials: bool = True) -> Secret | None:
        section = Section({"token_file": value}, "batteries[0]", self.problems)
        secrets = Secrets(folder=self.folder, credentials=self.credentials if credentials else None)
        return secrets.read(section, "token_file", credential)

    def write(self, content: str | bytes, mode: int = 0o600, name: str = "home.token") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path


@pytest.fixture
def reader(tmp_path: Path) -> SecretReader:
    return SecretReader(tmp_path)


@pytest.mark.parametrize("content", ["hunter2", "hunter2\n", "  hunter2\r\n", "\nhunter2\n\n"])
def test_a_secret_is_read_without_the_space_around_it(reader: SecretReader, content: str) -> None:
    reader.write(content)
    assert reader.read("home.token") == Secret("hunter2")
    assert reader.problems == []


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_file_that_only_its_owner_and_group_can_read_is_fine(reader: SecretReader, mode: int) -> None:
    reader.write("hunter2", mode)
    assert reader.read("home.token") == Secret("hunter2")
    assert reader.problems == []


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_a_file_that_everybody_can_read_is_refused_with_the_command_to_mend_it(reader: SecretReader, mode: int) -> None:
    path = reader.write("hunter2", mode)
    reader.read("home.token")
    assert reader.problems == [
        f"batteries[0].token_file: '{path}' can be read by every user of this machine; run: chmod 600 {path}"
    ]


def test_the_command_to_mend_a_file_works_with_a_space_in_its_path(reader: SecretReader) -> None:
    path = reader.write("hunter2", 0o644, name="my token")
    reader.read("my token")
    (problem,) = reader.problems
    assert problem.endswith(f"run: chmod 600 '{path}'")


def test_a_missing_file_is_named_with_the_fix(reader: SecretReader) -> None:
    assert reader.read("home.token") is None
    assert reader.problems == [
        (
            f"batteries[0].token_file: cannot read '{reader.folder / 'home.token'}': No such file or directory; "
            "create it, or mend the path"
        )
    ]


def test_a_missing_file_whose_name_could_be_the_secret_is_told_by_its_folder(reader: SecretReader) -> None:
    assert reader.read("sonnen-pushgateway-password") is None
    (problem,) = reader.problems
    assert problem.startswith("batteries[0].token_file: ")
    assert "sonnen-pushgateway-password" not in problem
    assert f"'{reader.folder}'" in problem


def test_a_file_without_permission_is_named_with_the_fix(reader: SecretReader) -> None:
    path = reader.write("hunter2", 0o000)
    if os.access(path, os.R_OK):
        pytest.skip("root can read every file")
    assert reader.read("home.token") is None
    assert reader.problems == [
        (
            f"batteries[0].token_file: cannot read '{path}': Permission denied; "
            "the user that runs the agent has to be able to read it"
        )
    ]


@pytest.mark.parametrize("path", [".", os.devnull])
def test_what_is_no_file_is_no_secret_and_nobody_is_told_to_change_its_mode(reader: SecretReader, path: str) -> None:
    reader.folder.chmod(0o755)
    assert reader.read(path) is None
    (problem,) = reader.problems
    assert problem.startswith("batteries[0].token_file: ")
    assert f"'{reader.folder / path}'" in problem
    assert "chmod" not in problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; it should hold the secret and nothing else"),
        (" \n\n", "is empty; it should hold the secret and nothing else"),
        ("hunter2\nhunter3\n", "should hold the secret and nothing else, on one line"),
        ("token: hunter2\n", "should hold the secret and nothing else, on one line"),
        ("hunter2\x00", "should hold the secret and nothing else, on one line"),
        ("hünter2", "should hold the secret and nothing else, on one line"),
        (b"hunter2\xff\n", "is not a text file; it should hold the secret and nothing else"),
    ],
)
def test_a_file_with_something_else_in_it_is_refused_and_not_shown(
    reader: SecretReader, content: str | bytes, words: str
) -> None:
    path = reader.write(content)
    assert reader.read("home.token") is None
    assert reader.problems == [f"batteries[0].token_file: '{path}' {words}"]


@pytest.mark.parametrize(
    "secret",
    [
        "3f1c9a52-0b7e-4f43-9c11-5f7de7c0ffee",
        "glsa_HOeHqF0nQk3nhY2wXb1e9d7Z5hQm4tR8_1a2b3c4d",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzb25uZW4ifQ.c2lnbmF0dXJl",
        "c29ubmVuLWFnZW50LXRva2Vu+2Q==",
        pytest.param("0123456789abcdef" * 20, id="longer-than-a-file-name"),
        20250102030405060708,
        "3f1c9a520b7e\n4f439c115f7d",
    ],
)
def test_a_secret_where_its_path_should_be_is_refused_and_never_shown(reader: SecretReader, secret: object) -> None:
    assert reader.read(secret) is None
    (problem,) = reader.problems
    assert problem.startswith("batteries[0].token_file: ")
    assert "path" in problem
    for part in str(secret).splitlines():
        assert part[:20] not in problem


def test_a_file_with_the_name_of_a_secret_is_read(reader: SecretReader) -> None:
    reader.write("hunter2", name="3f1c9a52-0b7e-4f43-9c11-5f7de7c0ffee")
    assert reader.read("3f1c9a52-0b7e-4f43-9c11-5f7de7c0ffee") == Secret("hunter2")
    assert reader.problems == []


def test_a_credential_stands_in_where_no_file_is_named(reader: SecretReader) -> None:
    reader.write("hunter2\n", name="credentials/token-home")
    assert reader.read(None, "token-home") == Secret("hunter2")
    assert reader.problems == []


def test_a_credential_that_is_not_there_is_no_problem(reader: SecretReader) -> None:
    assert reader.read(None, "token-home") is None
    assert reader.read(None, "token-home", credentials=False) is None
    assert reader.read(None, None) is None
    assert reader.problems == []


def test_a_secret_beside_the_config_stands_in_where_systemd_has_none(reader: SecretReader, tmp_path: Path) -> None:
    beside = tmp_path / "secrets"
    beside.mkdir()
    reader.write("beside", name="secrets/token-home")
    secrets = Secrets(folder=tmp_path, credentials=reader.credentials, beside=beside)
    assert secrets.read(Section({}, "", reader.problems), "token_file", "token-home") == Secret("beside")
    reader.write("systemd's", name="credentials/secrets_token-home")
    assert secrets.read(Section({}, "", reader.problems), "token_file", "token-home") == Secret("systemd's")
    assert reader.problems == []


def test_credentials_that_a_container_kept_back_are_told_with_the_ways(
    reader: SecretReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, container = tmp_path / "secrets", tmp_path / "container"
    folder.mkdir()
    monkeypatch.setattr("sonnen_agent.config.secrets.CONTAINER", container)
    Secrets(folder=tmp_path, credentials=reader.credentials).tell_if_lost(folder)
    assert caplog.text == ""

    container.write_text("lxc")
    Secrets(folder=tmp_path, credentials=reader.credentials).tell_if_lost(tmp_path / "nowhere")
    assert caplog.text == ""
    for credentials in (reader.credentials, None):
        Secrets(folder=tmp_path, credentials=credentials).tell_if_lost(folder)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert f"no secret of {folder}: " in caplog.text
    assert "nesting=1" in caplog.text
    assert "token_file" in caplog.text

    caplog.clear()
    reader.write("hunter2", name="credentials/secrets_token-home")
    Secrets(folder=tmp_path, credentials=reader.credentials).tell_if_lost(folder)
    assert caplog.text == ""


def test_an_empty_credential_is_refused(reader: SecretReader) -> None:
    credential = reader.write("\n", name="credentials/token-home")
    assert reader.read(None, "token-home") is None
    assert reader.problems == [
        f"batteries[0].token_file: '{credential}' is empty; it should hold the secret and nothing else"
    ]


def test_a_secret_reveals_itself_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    assert f"{secret} {secret!r}" == "Secret() Secret()"


def test_a_secret_whose_file_has_changed_is_read_again(reader: SecretReader, caplog: pytest.LogCaptureFixture) -> None:
    path = reader.write("old-one")
    secret = reader.read("home.token")
    assert secret is not None

    with caplog.at_level(logging.INFO, logger="sonnen_agent"):
        first, _, again = secret.reveal(), reader.write("new-one\n"), secret.reveal()
        secret.reveal()

    assert (first, again) == ("old-one", "new-one")
    assert [record.getMessage() for record in caplog.records] == [
        f"batteries[0].token_file: {path} has changed and was read again"
    ]


def test_a_credential_that_systemd_has_refreshed_is_read_again(reader: SecretReader) -> None:
    reader.write("old-one", name="credentials/token-home")
    secret = reader.read(None, "token-home")
    assert secret is not None

    reader.write("the-new-one", name="credentials/token-home")

    assert secret.reveal() == "the-new-one"


@pytest.mark.parametrize("midst", ["", None])
def test_a_secret_is_that_of_before_while_its_file_is_being_written(
    reader: SecretReader, caplog: pytest.LogCaptureFixture, midst: str | None
) -> None:
    path = reader.write("old-one")
    secret = reader.read("home.token")
    assert secret is not None

    path.unlink()
    if midst is not None:
        reader.write(midst)
    assert secret.reveal() == "old-one"
    reader.write("the-new-one")

    assert secret.reveal() == "the-new-one"
    assert [record.levelname for record in caplog.records if record.levelname != "INFO"] == []


def test_what_is_no_secret_is_told_once_and_that_of_before_stays_in_use(
    reader: SecretReader, caplog: pytest.LogCaptureFixture
) -> None:
    path = reader.write("old-one")
    secret = reader.read("home.token")
    assert secret is not None
    reader.write("two\nlines")

    assert (secret.reveal(), secret.reveal()) == ("old-one", "old-one")
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"batteries[0].token_file: '{path}' should hold the secret and nothing else, on one line; "
            "the one of before is still in use"
        )
    ]


def test_each_secret_knows_what_to_do_where_it_is_refused(reader: SecretReader) -> None:
    path = reader.write("hunter2")
    reader.write("hunter2", name="credentials/secrets_token-home")
    named, credential = reader.read("home.token"), reader.read(None, "token-home")
    assert named is not None
    assert credential is not None

    assert named.renewal == f"write the right one into '{path}': it is read again by itself"
    assert credential.renewal == (
        "write the right one into the file of the systemd credential token-home "
        "and run: systemctl restart sonnen-agent (a running unit keeps the copy of its start)"
    )
