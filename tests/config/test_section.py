import math

import pytest

from sonnen_agent.config.section import Section, redacted

EXAMPLE = "http://gateway.example:9091"


def section(path: str = "", **values: object) -> Section:
    return Section(dict[object, object](values.items()), path, [])


@pytest.mark.parametrize("value", ["sonnen", "Küche ☀", "a b", "0"])
def test_a_text_comes_back_as_it_is(value: str) -> None:
    read = section(job=value)
    assert read.text("job") == value
    assert read.problems == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (7, "job: should be text, got 7; put it into quotes"),
        (0, "job: should be text, got 0; put it into quotes"),
        (False, "job: should be text, got False; put it into quotes"),
        ([], "job: should be text, got a list; put it into quotes"),
        ({}, "job: should be text, got a mapping; put it into quotes"),
        ("", "job: should be printable text, got ''"),
        (" ", "job: should be printable text, got ' '"),
        ("a\nb", r"job: should be printable text, got 'a\nb'"),
        ("a\x1b[31m", r"job: should be printable text, got 'a\x1b[31m'"),
        ("a\u202eb", r"job: should be printable text, got 'a\u202eb'"),
    ],
)
def test_what_is_no_text_is_named_and_comes_back_as_none(value: object, problem: str) -> None:
    read = section(job=value)
    assert read.text("job") is None
    assert read.problems == [problem]


def test_an_absent_text_is_no_problem_unless_it_is_required() -> None:
    read = section("batteries[0]")
    assert read.text("name") is None
    assert read.problems == []
    assert not read.required_text("name", "home")
    assert read.problems == ["batteries[0].name: is missing; write for example name: home"]


def test_a_required_text_of_the_wrong_type_is_one_problem() -> None:
    read = section(name=7)
    assert not read.required_text("name", "home")
    assert read.problems == ["name: should be text, got 7; put it into quotes"]


def test_a_choice_is_one_of_the_words_or_the_default() -> None:
    assert section(on_stop="keep").choice("on_stop", ("delete", "keep"), "delete") == "keep"
    assert section().choice("on_stop", ("delete", "keep"), "delete") == "delete"


def test_another_word_is_named_with_the_choices() -> None:
    read = section("pushgateway", on_stop="kep")
    assert read.choice("on_stop", ("delete", "keep"), "delete") == "delete"
    assert read.problems == ["pushgateway.on_stop: should be delete or keep, got 'kep'"]


@pytest.mark.parametrize("value", [1, 1.0, 3600, 2.5])
def test_a_number_in_the_range_comes_back_as_it_is(value: float) -> None:
    read = section(interval_seconds=value)
    assert read.number("interval_seconds", minimum=1, maximum=3600, default=5) == value
    assert read.problems == []


@pytest.mark.parametrize("value", [0, 3600.1, -1, math.nan, math.inf, -math.inf, True, False, "5", "often", [5]])
def test_what_is_no_number_in_the_range_is_named_and_the_default_stands_in(value: object) -> None:
    read = section(interval_seconds=value)
    assert read.number("interval_seconds", minimum=1, maximum=3600, default=5) == 5
    assert read.problems == [f"interval_seconds: should be a number from 1 to 3600, got {redacted(value)}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.20",
        "http://192.168.1.20:8080/",
        "https://gateway.example:9091/some/prefix",
        "http://[fd00::20]:8080",
        "HTTP://Sonnen-A.local",
    ],
)
def test_a_url_with_a_host_is_fine(url: str) -> None:
    read = section(url=url)
    assert read.url("url", EXAMPLE) == url
    assert read.problems == []


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///metrics", "http://:9091", "gateway.example", "//gateway.example", "ftp://a", "http://a b"],
)
def test_a_url_without_a_host_is_named_with_an_example(url: str) -> None:
    read = section(url=url)
    assert not read.url("url", EXAMPLE)
    assert read.problems == [f"url: should be a URL with a host, such as {EXAMPLE}, got {url!r}"]


@pytest.mark.parametrize(
    "url",
    [
        *("http://a:99999", "http://a:port", "http://[::1", "http://[home]", "http://a:-1"),
        # What no host can be called, and what no path can have as it is.
        *("http://a..b", f"http://{'ü' * 64}.example", "http://a/zähler"),
    ],
)
def test_a_url_that_cannot_be_taken_apart_is_named_with_an_example(url: str) -> None:
    read = section(url=url)
    assert not read.url("url", EXAMPLE)
    (problem,) = read.problems
    assert problem.startswith("url: is not a URL (")
    assert problem.endswith(f"got {url!r}; write for example {EXAMPLE}")


def test_port_0_is_no_port_to_connect_to() -> None:
    read = section(url="http://a:0")
    assert not read.url("url", EXAMPLE)
    (problem,) = read.problems
    assert problem.startswith("url: should ")
    assert "port" in problem
    assert problem.endswith("got 'http://a:0'")


@pytest.mark.parametrize("url", ["http://a/?key=value", "http://a#part"])
def test_a_url_with_something_behind_the_path_is_refused(url: str) -> None:
    read = section(url=url)
    assert not read.url("url", EXAMPLE)
    (problem,) = read.problems
    assert problem.startswith("url: should end after the host, the port or a path")


@pytest.mark.parametrize("url", ["http://pi:hunter2@a", "http://hunter2@a", "http://@a", "https://pi:@a/metrics"])
def test_a_url_with_a_user_name_is_refused_and_not_shown(url: str) -> None:
    read = section(url=url)
    assert not read.url("url", EXAMPLE)
    assert read.problems == ["url: holds a user name or password; write the URL without them and use a file of its own"]


def test_the_sections_of_a_list_know_their_paths_and_share_their_problems() -> None:
    root = section(batteries=[{"name": 1}, "garage", {"name": 2}])
    names = [battery.text("name") for battery in root.sections("batteries")]
    assert names == [None, None]
    assert root.problems == [
        "batteries[0].name: should be text, got 1; put it into quotes",
        "batteries[1]: should be a mapping of keys, got 'garage'",
        "batteries[2].name: should be text, got 2; put it into quotes",
    ]


def test_an_absent_list_has_no_sections() -> None:
    root = section(batteries=None)
    assert list(root.sections("batteries")) == []
    assert list(root.sections("relay")) == []
    assert root.problems == []


def test_what_is_read_below_a_key_is_closed() -> None:
    root = section(pull={"listen": "a:1", "port": 1})
    assert root.read("pull", lambda pull: pull.text("listen")) == "a:1"
    assert root.problems == ["pull.port: unknown key; known here are listen"]


def test_nothing_is_read_below_an_absent_key() -> None:
    root = section()
    assert root.read("pull", lambda pull: pull.required_text("listen", "a:1")) is None
    assert root.problems == []


def test_an_unknown_key_is_named_with_the_nearest_and_all_known_ones() -> None:
    read = section("pushgateway", usernme="pi", xyz=1)
    read.text("url")
    read.text("username")
    read.close()
    assert read.problems == [
        "pushgateway.usernme: unknown key; did you mean 'username'? known here are url, username",
        "pushgateway.xyz: unknown key; known here are url, username",
    ]


@pytest.mark.parametrize("key", ["token", "password", "bearer_token"])
def test_a_secret_is_told_where_it_belongs_and_not_shown(key: str) -> None:
    read = Section({key: "hunter2"}, "x", [])
    read.text(f"{key}_file")
    read.close()
    assert read.problems == [
        (
            f"x.{key}: a secret does not belong into this file; "
            f"put it into a file of its own (chmod 600) and write {key}_file: with its path"
        )
    ]


def test_a_secret_where_none_belongs_is_an_unknown_key_and_not_shown() -> None:
    read = section("pull", password="hunter2")
    read.text("listen")
    read.close()
    assert read.problems == ["pull.password: unknown key; known here are listen"]


def test_a_mapping_of_texts_tells_of_each_value_that_is_none() -> None:
    read = section("batteries[0]", labels={"host": "sonnen-a", "sn": 12345, "on": True})
    assert read.texts("labels") == {"host": "sonnen-a"}
    assert read.problems == [
        "batteries[0].labels.sn: should be text, got 12345; put it into quotes",
        "batteries[0].labels.on: should be text, got True; put it into quotes",
    ]


def test_labels_keep_clear_of_the_names_that_the_agent_sets_itself() -> None:
    read = section("batteries[0]", labels={"host": "sonnen-a", "job": "x", "serial-number": "x", "__name__": "x"})
    read.labels("labels", {"job", "instance"})
    assert read.problems == [
        "batteries[0].labels.job: is a label that the agent sets itself; choose another name",
        "batteries[0].labels.serial-number: is no label name; use letters, digits and underscores",
        "batteries[0].labels.__name__: is no label name; use letters, digits and underscores",
    ]
    assert section(labels={"host": "sonnen-a"}).labels("labels", {"job"}) == {"host": "sonnen-a"}
    assert section().labels("labels", {"job"}) == {}


def test_a_key_with_control_characters_cannot_break_the_line_of_its_problem() -> None:
    read = Section({"a\n\x1b[31mb": 1}, "", [])
    read.close()
    (problem,) = read.problems
    assert problem.isprintable()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "5"),
        ("often", "'often'"),
        (None, "None"),
        (["hunter2"], "a list"),
        ({"password": "hunter2"}, "a mapping"),
    ],
)
def test_a_message_shows_a_value_but_not_what_is_inside_of_it(value: object, words: str) -> None:
    assert redacted(value) == words
