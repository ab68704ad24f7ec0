import json
from base64 import b64encode
from types import ModuleType

import pytest
from playbooks import filter_plugin

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def filters() -> ModuleType:
    return filter_plugin("sonnen_host")


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ('ARGS=""\n# more\n', {"a": "1"}, 'ARGS="--a=1"\n# more\n'),
        ("ARGS='--mine --a=0'\n", {"a": "1", "b": True}, 'ARGS="--mine --a=1 --b"\n'),
        ('ARGS="--a=1 -b --mine=x"\n', {"a": "", "b": False}, 'ARGS="--mine=x"\n'),
        ("# ARGS=\nARGS=--mine\n", {"a": "1"}, '# ARGS=\nARGS="--mine --a=1"\n'),
        ("ARGS=\n", {"a": "1"}, 'ARGS="--a=1"\n'),
        # As somebody has written it.
        ("ARGS='--a=1 --mine' \n", {"a": "1"}, "ARGS='--a=1 --mine' \n"),
        ("", {"a": "1"}, 'ARGS="--a=1"\n'),
        ("B=2", {"a": "1"}, 'B=2\nARGS="--a=1"\n'),
        # Without quotes it goes to the end of the line, and a backslash makes that later.
        ("ARGS=--mine=1 --yours=2\n", {"a": "1"}, 'ARGS="--mine=1 --yours=2 --a=1"\n'),
        (" ARGS=--mine=1 \\\n  --a=0\n# more\n", {"a": "1"}, 'ARGS="--mine=1 --a=1"\n# more\n'),
        ('ARGS="--mine=1 \\\n  --a=0"\n# more\n', {"a": "1"}, 'ARGS="--mine=1 --a=1"\n# more\n'),
        # A flag and its value are two words, one that needs none is one.
        ('ARGS="--a 0 --b --mine 2"\n', {"a": "1", "b": True}, 'ARGS="--mine 2 --a=1 --b"\n'),
        # Quotes inside of quotes are those by which systemd splits it.
        ("""ARGS='--mine="My home" --a=0'\n""", {"a": "1"}, r'ARGS="--mine=\"My home\" --a=1"' + "\n"),
        ("ARGS=\"--mine='My home' '--a=0 0'\"\n", {"a": "1"}, "ARGS=\"--mine='My home' --a=1\"\n"),
        (r"ARGS='--mine=^a\\.b$|`c`'" + "\n", {"a": "1"}, r'ARGS="--mine=^a\\\\.b\$|\`c\` --a=1"' + "\n"),
    ],
)
def test_flags_of_ours_are_set_and_all_others_stay(
    filters: ModuleType, text: str, flags: dict[str, str | bool], expected: str
) -> None:
    assert filters.arguments(text, flags, "/etc/default/x") == expected
    assert filters.arguments(expected, flags, "/etc/default/x") == expected


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("", {}, 'ARGS="--keep=10y"\n'),
        ('ARGS="--keep=5y --mine"\n', {}, 'ARGS="--keep=5y --mine"\n'),
        ('ARGS="--keep 5y"\n', {}, 'ARGS="--keep 5y"\n'),
        ('ARGS="--keep=5y"\n', {"keep": "1y"}, 'ARGS="--keep=1y"\n'),
    ],
)
def test_a_flag_that_is_missing_is_added_and_one_that_is_there_stays(
    filters: ModuleType, text: str, flags: dict[str, str | bool], expected: str
) -> None:
    assert filters.arguments(text, flags, "/etc/default/x", {"keep": "10y"}) == expected
    assert filters.arguments(expected, flags, "/etc/default/x", {"keep": "10y"}) == expected


@pytest.mark.parametrize("text", ['ARGS="--mine\n', 'ARGS="--mine=\'My home"\n', 'ARGS="--mine" "--yours"\n'])
def test_flags_that_cannot_be_read_are_told_with_the_fix(filters: ModuleType, text: str) -> None:
    message = "^ARGS in /etc/default/x cannot be read: write all flags on one line, such as ARGS="
    with pytest.raises(filters.AnsibleFilterError, match=message):
        filters.arguments(text, {"a": "1"}, "/etc/default/x")


@pytest.mark.parametrize(
    ("text", "was", "expected"),
    [
        # As somebody has written it.
        ('ARGS="--mine --a=1 --b"\n# new\n', "# old\nARGS='--mine'\n", "ARGS='--mine'\n# new\n"),
        ('ARGS="--mine --a=1 --b"\n', "ARGS='--b --a 0 --mine'", "ARGS='--b --a 0 --mine'\n"),
        # What was changed meanwhile stays.
        ('ARGS="--mine --yours --a=1"\n', "ARGS='--a=\"0 0\" --mine'\n", r'ARGS="--mine --yours --a=\"0 0\""' + "\n"),
        ('ARGS="--a=1"\n', "# nothing\n", 'ARGS=""\n'),
    ],
)
def test_flags_of_ours_are_put_back_to_what_they_were(filters: ModuleType, text: str, was: str, expected: str) -> None:
    flags = {"a": "1", "b": True}
    assert filters.without_arguments(text, flags, "/etc/default/x", was) == expected
    assert filters.without_arguments(expected, flags, "/etc/default/x", was) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", {}),
        ('ARGS="--web.listen-address=0.0.0.0:9099"', {"address": "127.0.0.1:9099"}),
        ('ARGS="--web.listen-address :9099 --mine"', {"address": "127.0.0.1:9099"}),
        ('ARGS="--web.listen-address=[::]:9099"', {"address": "127.0.0.1:9099"}),
        ("ARGS='--web.listen-address=\"192.0.2.1:9099\"'", {"address": "192.0.2.1:9099"}),
        (
            "/usr/bin/prometheus\0--config.file=/srv/my prometheus.yml\0--web.config.file\0/srv/web.yml\0",
            {"config_file": "/srv/my prometheus.yml", "guard_file": "/srv/web.yml"},
        ),
        (
            'ARGS="--web.external-url=https://example.org/prom/"',
            {"prefix": "/prom", "metrics_path": "/prom/metrics"},
        ),
        ('ARGS="--web.external-url=https://example.org/prom --web.route-prefix=/"', {}),
        (
            'ARGS="--web.route-prefix=push --web.telemetry-path=/page"',
            {"prefix": "/push", "metrics_path": "/push/page"},
        ),
    ],
)
def test_how_a_server_is_reached_is_read_from_its_flags(
    filters: ModuleType, flags: str, expected: dict[str, str]
) -> None:
    otherwise = {
        "address": "127.0.0.1:9090",
        "prefix": "",
        "metrics_path": "/metrics",
        "guard_file": "",
        "config_file": "",
    }
    assert filters.server(flags, "/etc/default/x", 9090) == {**otherwise, **expected}


def test_what_was_there_before_the_first_run_is_known_in_each_later_one(filters: ModuleType) -> None:
    def found(item: str, text: str | None) -> dict[str, str]:
        # As Ansible says it of a file that is there, and of one that is not.
        return {"item": item, **({"content": b64encode(text.encode()).decode()} if text is not None else {"msg": "no"})}

    first = filters.before([found("record", None), found("a", "ARGS=ä\n"), found("b", None)])
    assert first == {"a": "ARGS=ä\n", "b": None}

    record = found("record", json.dumps(first))
    later = filters.before([record, found("a", "ours"), found("b", "ours"), found("c", "theirs")])
    assert later == {**first, "c": "theirs"}
