"""The table of what can stand in a config, and stand in its place. None of it starts an agent."""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from houses import SECRET

BATTERIES = "batteries: [{name: home, url: http://192.0.2.1}]\n"
GATEWAY = "pushgateway: {url: http://192.0.2.2:9091}\n"
GOOD = BATTERIES + GATEWAY
MEBIBYTE = 1024 * 1024

Make = Callable[[Path], Path]
"""Puts what a row needs into an empty folder, and returns the config."""


class ConfigFault(NamedTuple):
    """A row."""

    name: str
    """What the config is, or has."""
    config: str | bytes | Make
    says: str = ""
    """A word of what is told."""


def gateway(entry: str) -> str:
    """Return a config with one more entry for the gateway."""
    return f"{BATTERIES}pushgateway: {{url: http://192.0.2.2:9091, {entry}}}\n"


def battery(entry: str) -> str:
    """Return a config with one more entry for the battery."""
    return f"batteries: [{{name: home, url: http://192.0.2.1, {entry}}}]\n{GATEWAY}"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def socket_file(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
    return folder / "s"


def loop(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def large(folder: Path) -> Path:
    file = folder / "large"
    with file.open("w") as text:
        for _ in range(50):
            text.write("# a comment\n" * (MEBIBYTE // 12))
    return file


def sparse(folder: Path) -> Path:
    file = folder / "sparse"
    file.touch()
    os.truncate(file, 4 << 30)
    return file


def beside(make: Callable[[Path], Path], key: Callable[[str], str], entry: str, folder: Path) -> Path:
    """Make something, and a config with an entry that names it."""
    file = folder / "config.yml"
    file.write_text(key(f"{entry}: '{make(folder)}'"))
    return file


def names(make: Callable[[Path], Path], entry: str, key: Callable[[str], str] = battery) -> Make:
    """Return what makes something, and a config with an entry that names it."""
    return partial(beside, make, key, entry)


def at(path: str) -> Make:
    return lambda _: Path(path)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
CONFIG_FAULTS = (
    # Another thing than a file.
    ConfigFault("is missing", at("/nowhere/config.yml"), "cannot be read: No such file or directory; name the config"),
    ConfigFault("is a folder", lambda folder: folder, "cannot be read: it is no regular file; name the config"),
    ConfigFault("is a FIFO that nobody writes to", fifo, "is empty"),
    ConfigFault("is a socket", socket_file),
    ConfigFault("is a link to itself", loop),
    ConfigFault("is /dev/zero", at("/dev/zero"), "cannot be read: it is no regular file; name the config"),
    ConfigFault("is /dev/null", at("/dev/null")),
    ConfigFault("has 50 megabytes of comments", large),
    ConfigFault("has four gigabytes of nothing", sparse),
    # Bytes.
    ConfigFault("is empty", "", "empty"),
    ConfigFault("is only comments", "# a\n#b\n", "empty"),
    ConfigFault("has null bytes", GOOD.encode() + b"\0\0"),
    ConfigFault("is UTF 16", GOOD.encode("utf-16")),
    ConfigFault(
        "is Latin 1", "batteries: [{name: Küche}]".encode("latin-1"), "cannot be read: it is not a UTF-8 text file"
    ),
    ConfigFault("is a program", b"\x7fELF" + bytes(range(256)) * 40),
    ConfigFault("has escape sequences", f"{GOOD}\x1b[2J: \x1b[31m\n"),
    ConfigFault("has quoted escape sequences", f'{GOOD}"\\x1b[2J\\n\\0 forged": "\\x1b[31m"\n'),
    ConfigFault("is indented with tabs", "batteries:\n\t- name: home\n", "tabs"),
    # YAML.
    ConfigFault("is a token", SECRET, "single value"),
    ConfigFault("is a list", f"- {SECRET}\n", "a list"),
    ConfigFault("is two documents", f"{GOOD}---\n{GOOD}"),
    ConfigFault("goes on behind its end", f"{GOOD}...\n{GATEWAY}"),
    ConfigFault("has a key twice", GOOD + GATEWAY, "twice"),
    ConfigFault("has a map of a text", f"{GOOD}interval_seconds: !!map x\n"),
    ConfigFault("has a map of a list", f"{GOOD}interval_seconds: !!map [a]\n"),
    ConfigFault("has a list of a text", f"{GOOD}relay: !!seq x\n"),
    ConfigFault("has a set", f"{GOOD}relay: !!set {{a, b}}\n"),
    ConfigFault("has an ordered map of texts", f"{GOOD}relay: !!omap [a]\n"),
    ConfigFault("has pairs of a text", f"{GOOD}relay: !!pairs x\n"),
    ConfigFault("has an empty whole number", f"{GOOD}interval_seconds: !!int ''\n"),
    ConfigFault("has an empty number", f"{GOOD}interval_seconds: !!float ''\n"),
    ConfigFault("has a whole number of a map", f"{GOOD}interval_seconds: !!int {{}}\n"),
    ConfigFault("has a time of nothing", f"{GOOD}timezone: !!timestamp ''\n"),
    ConfigFault("has binary data", f"{GOOD}timezone: !!binary '****'\n"),
    ConfigFault("has a truth value of a text", f"{GOOD}timezone: !!bool maybe\n"),
    ConfigFault("has an object of Python", f"{GOOD}timezone: !!python/object/apply:os.system [id]\n"),
    ConfigFault("has a list in itself", "batteries: &a [*a]\n" + GATEWAY),
    ConfigFault("has a map in itself", f"batteries: &a [{{name: home, url: *a, labels: *a}}]\n{GATEWAY}"),
    ConfigFault("has a billion laughs", f"{LAUGHS}{GOOD}labels: *a39\n"),
    ConfigFault("merges a number", f"{GOOD}<<: 5\n"),
    ConfigFault("merges itself", f"a: &a {{<<: *a}}\n{GOOD}"),
    ConfigFault("has a list as a key", f"{GOOD}? [a, b]\n: c\n"),
    ConfigFault("has a map as a key", f"{GOOD}? {{a: b}}\n: c\n"),
    ConfigFault("has nothing as a key", f"{GOOD}? \n: c\n.nan: d\n"),
    ConfigFault("nests lists", f"batteries: {'[' * 50_000}"),
    ConfigFault("nests maps", f"batteries: {'{a: ' * 20_000}"),
    ConfigFault("nests by indentation", "".join(f"{' ' * n}a:\n" for n in range(1000))),
    ConfigFault("has a thousand unknown keys", GOOD + "".join(f"k{n}: {SECRET}\n" for n in range(1000)), "more"),
    ConfigFault("has thirty thousand unknown keys", GOOD + "".join(f"k{n}: {SECRET}\n" for n in range(30_000))),
    ConfigFault("has a key of 100,000 characters", f"{GOOD}? {'k' * 100_000}\n: 1\n"),
    ConfigFault("has an alias for a password", gateway(f"username: pi, password: *{SECRET} ")),
    ConfigFault("has a tag for a password", gateway(f"username: pi, password: !{SECRET} x")),
    ConfigFault("leaves a quote open", gateway(f"password: '{SECRET}")),
    # Values.
    ConfigFault("has a password in the URL", f"{BATTERIES}pushgateway: {{url: 'http://pi:{SECRET}@192.0.2.1'}}\n"),
    ConfigFault("has a password in the query", f"{BATTERIES}remote_write: {{url: 'http://192.0.2.1/w?p={SECRET}'}}\n"),
    ConfigFault("has a password", gateway(f"password: '{SECRET}'")),
    ConfigFault("has a beat that is no number", f"{GOOD}interval_seconds: .nan\n"),
    ConfigFault("has a beat without end", f"{GOOD}interval_seconds: .inf\n"),
    ConfigFault("has a beat of ten thousand digits", f"{GOOD}interval_seconds: {'9' * 10_000}\n"),
    ConfigFault("has a beat of 1e999 seconds", f"{GOOD}interval_seconds: 1.0e+999\n"),
    ConfigFault("has a yes for a beat", f"{GOOD}interval_seconds: yes\n"),
    ConfigFault("has a list for a beat", f"{GOOD}interval_seconds: [5]\n"),
    ConfigFault("has a port of 99999", f"{BATTERIES}pushgateway: {{url: 'http://192.0.2.1:99999'}}\n"),
    ConfigFault("has a port of digits of another script", f"{BATTERIES}pushgateway: {{url: 'http://192.0.2.1:٣'}}\n"),
    ConfigFault("has half an address", f"{BATTERIES}pushgateway: {{url: 'http://[::1'}}\n"),
    ConfigFault("has a URL with a line feed", f'{BATTERIES}pushgateway: {{url: "http://a\\r\\nX: y"}}\n'),
    ConfigFault("has a URL of 100,000 characters", f"{BATTERIES}pushgateway: {{url: 'ftp://{'a' * 100_000}'}}\n"),
    ConfigFault("has a file as URL", f"{BATTERIES}pushgateway: {{url: 'file:///etc/shadow'}}\n"),
    ConfigFault("has a name with a line feed", f'batteries: [{{name: "a\\nWARNING b", url: ftp://a}}]\n{GATEWAY}'),
    ConfigFault("has a name of 100,000 characters", f"batteries: [{{name: {'n' * 100_000}, url: ftp://a}}]\n{GATEWAY}"),
    ConfigFault("has a label of ours", battery("labels: {instance: a, job: b, __name__: c, 'a-b': d}")),
    ConfigFault("has a zone in another folder", f"{GOOD}timezone: ../../../etc/passwd\n", "time zone"),
    ConfigFault("has a zone that is a folder", f"{GOOD}timezone: Europe\n", "time zone"),
    ConfigFault("has a zone with a null byte", f'{GOOD}timezone: "Europe/\\0Berlin"\n', "timezone"),
    ConfigFault("has a price that is no number", GOOD + "tariffs: {currency: EUR, import: [{name: a, price: .nan}]}\n"),
    ConfigFault(
        "has a time that is no text", GOOD + "tariffs: {import: [{name: a, price: 1, from: 22:00}]}\n", "quotes"
    ),
    ConfigFault("has a state directory with a null byte", f'{GOOD}state_directory: "a\\0b"\n'),
    # Files that it names.
    ConfigFault("names a token that is missing", battery("token_file: nowhere"), "token_file"),
    ConfigFault("names a token that is a FIFO", names(fifo, "token_file"), "token_file"),
    ConfigFault("names a token that is a folder", names(lambda folder: folder, "token_file"), "token_file"),
    ConfigFault("names a token that is /dev/zero", names(at("/dev/zero"), "token_file"), "token_file"),
    ConfigFault("names a token of 50 megabytes", names(large, "token_file"), "token_file"),
    ConfigFault("names a link to itself as token", names(loop, "token_file"), "token_file"),
    ConfigFault("names a FIFO as authority", names(fifo, "ca_file", gateway), "ca_file"),
    ConfigFault("names /dev/zero as authority", names(at("/dev/zero"), "ca_file", gateway), "ca_file"),
    ConfigFault("names 50 megabytes as authority", names(large, "ca_file", gateway), "ca_file"),
)
