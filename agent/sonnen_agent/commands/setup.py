"""`sonnen-agent setup`: from nothing to a running service. Each answer is tried at once; written is only at the end."""

import getpass
import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.discovery import LARGEST_PREFIX, discover, local_networks
from sonnen_agent.clock import Deadline
from sonnen_agent.commands.doctor.battery import check_battery
from sonnen_agent.commands.doctor.machine import UNIT
from sonnen_agent.commands.doctor.receivers import push_and_delete
from sonnen_agent.commands.peer import server
from sonnen_agent.components import Components
from sonnen_agent.config.load import DEFAULT_INTERVAL_SECONDS, Config
from sonnen_agent.config.secrets import wrong_with
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import ExchangeError, StartError
from sonnen_agent.files import read_regular
from sonnen_agent.metrics.exposition import page_of
from sonnen_agent.outputs.pushgateway import Options
from sonnen_agent.systemd import reading_words

_NAME = "home"
_SECONDS = 20
_HEAD = "# Written by sonnen-agent setup. The project's systemd/config.yml has every key with its default.\n"


def run(  # noqa: PLR0913 - the command's options, one for one
    file: Path, *, unit_config: Path, yes: bool, battery: str | None, token_file: Path | None, gateway: str | None
) -> int:
    """Ask for what is not given, and return 0 when a reading has arrived at the gateway, or raise StartError.

    The unit reads `unit_config`: only that is offered to be started.
    """
    if yes and not (battery and gateway):
        raise StartError("setup --yes asks nothing: give it --battery URL and --gateway URL")
    try:
        if os.access(file, os.F_OK) and (yes or not _agrees(f"{file} is there. Overwrite it?", default=False)):
            raise StartError(f"{file} is there, and stays as it is; move it away, or name another file with --config")
        place = next(parent for parent in file.absolute().parents if os.access(parent, os.F_OK))
        if not os.access(place, os.W_OK):
            raise StartError(f"{place} cannot be written: run this with sudo, or name another file with --config")
        options = _battery(battery, token_file, yes=yes)
        receiver = _gateway(options, gateway, file.absolute().parent, yes=yes)
        has_unit = file == unit_config and _systemctl("cat") == ""
        starts = has_unit and (yes or _agrees("Start the service now, and at every boot?", default=True))
    except EOFError:
        raise StartError("setup asks questions: run it in a terminal, or with --yes and its options") from None
    # From here on an impatient Ctrl-C would leave half of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        _write(file, options, receiver, for_unit=file == unit_config)
    except OSError as error:
        raise StartError(f"cannot write {error.filename}: {error.strerror}") from error
    print(f"Written: {file}, and the secrets in {file.parent / 'secrets'}")
    if starts:
        problem = _systemctl("enable") or _systemctl("restart")
        if problem:
            raise StartError(f"the service does not start: {problem}; see journalctl -u {UNIT} -n 30")
        print(f"The service runs. How it is: systemctl status {UNIT}; what is wrong: sudo sonnen-agent doctor")
    elif not has_unit:
        print(f"To run it: sonnen-agent run --config {file}")
    return 0


def _battery(address: str | None, token_file: Path | None, *, yes: bool) -> BatteryOptions:
    """Return a battery that answers, with a token that is taken, or without any."""
    options = BatteryOptions(name=_NAME, destination=Destination(url=""))
    address = address or _ask("Address of the battery, such as 192.168.1.20 (Enter: look for it): ") or _found()
    while (problem := _problem(options := replace(options, destination=_destination(address)))) is not None:
        if "answered 401" in problem or "answered 403" in problem:
            break  # it wants the token for everything
        address = _again(problem, yes=yes, ask=lambda: _ask("Address of the battery: ") or _found())
    token = "" if token_file is None else _read(token_file)
    if problem is not None and yes and not token:
        raise StartError(problem)
    if not token and not yes:
        token = _ask_secret("API token, from the battery's web page, Software-Integration (Enter: none): ")
    while token and (problem := _wrong(token) or _problem(options := replace(options, token=Secret(token)))):
        token = _again(problem, yes=yes, ask=lambda: _ask_secret("API token (Enter: none): "))
    return options if token else replace(options, token=None)


def _found() -> str:
    """Return where a battery is on the networks of this machine; empty where there are none or several."""
    print("Looking for batteries, for some twenty seconds")
    networks = [network for network in local_networks() if network.prefixlen >= LARGEST_PREFIX]
    urls = [found.url for found in discover(networks)]
    print(f"Found: {', '.join(urls) or 'none'}")
    return urls[0] if len(urls) == 1 else ""


def _problem(options: BatteryOptions) -> str | None:
    """Return why a battery cannot be used as it is; what else is found is said."""
    if not options.destination.url:
        return "write an address, or a URL such as http://192.168.1.20"
    found = list(check_battery(options, DEFAULT_INTERVAL_SECONDS, Deadline(_SECONDS)))
    name = f"battery {_NAME}"
    for finding in found:
        if finding.status == "fail" and finding.check in (name, f"{name} token"):
            return f"{finding.seen}; {finding.fix}" if finding.fix else finding.seen
    for finding in found:
        # Whether there is a token is asked next, or was answered.
        if finding.status in ("warn", "fail") and finding.check != f"{name} token":
            print(finding)
    return None


def _wrong(token: str) -> str | None:
    """Return why this can be no token."""
    wrong = wrong_with(token)
    return f"it {wrong}" if wrong else None


def _gateway(battery: BatteryOptions, address: str | None, folder: Path, *, yes: bool) -> Options:
    """Return a gateway that has taken a reading."""
    components = Components(Config(batteries=(battery,)))
    (poller,) = components.pollers(components.meters(None, {}))
    page = page_of(poller.poll(Deadline(_SECONDS)))
    poller.close()
    if poller.reading is None:
        raise StartError("the battery does not answer any more; try again")
    print(f"The battery says: {reading_words(poller.reading, asked=True)}")
    address = address or _ask("Address of the Pushgateway, such as http://gateway.example:9091: ")
    destination, problems = server("pushgateway", _url(address), folder)
    while True:
        receiver = Options(destination=destination)
        try:
            if problems:
                raise ExchangeError("invalid", problems[0])  # noqa: TRY301 - as the rest
            push_and_delete(receiver, components.config, page, Deadline(_SECONDS))
        except ExchangeError as error:
            if error.outcome == "unauthorized" and not yes:
                print(error)
                name, password = _ask("User name at the gateway: "), Secret(_ask_secret("Password: "))
                destination = replace(destination, username=name, password=password)
            else:
                address = _again(str(error), yes=yes, ask=lambda: _ask("Address of the gateway: "))
                destination, problems = server("pushgateway", _url(address), folder)
        else:
            print("The gateway has taken it, and its trial group is deleted again.")
            return receiver


def _again(problem: str, *, yes: bool, ask: Callable[[], str]) -> str:
    if yes:
        raise StartError(problem)
    print(f"That does not work: {problem}")
    return ask()


def _url(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def _destination(address: str) -> Destination:
    """Return where that is; with an empty URL where it can be none."""
    return Destination(url=Section({"url": _url(address)}, "", []).url("url", "http://192.168.1.20") if address else "")


def _ask(question: str) -> str:
    return input(question).strip()


def _ask_secret(question: str) -> str:
    return getpass.getpass(question).strip()


def _agrees(question: str, *, default: bool) -> bool:
    answer = _ask(f"{question} [{'Y/n' if default else 'y/N'}] ").lower()
    return answer.startswith("y") if answer else default


def _read(file: Path) -> str:
    try:
        token = read_regular(file, 4096, follow=True, pipe=True).decode("utf-8-sig").strip()
    except OSError as error:
        raise StartError(f"--token-file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"--token-file {file} is no text; it should hold the token and nothing else") from error
    if wrong := wrong_with(token):
        raise StartError(f"--token-file {file} {wrong}")
    return token


def _systemctl(verb: str) -> str:
    """Return what systemd says against it; nothing where it is done."""
    try:
        done = subprocess.run(["systemctl", verb, UNIT], capture_output=True, text=True, check=False, timeout=120)  # noqa: S603, S607 - our words, the system's path
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


def _write(file: Path, battery: BatteryOptions, gateway: Options, *, for_unit: bool) -> None:
    """Write config and secrets, each in one go; the unit gets the secrets as credentials, others by their files."""
    secrets = {f"token-{_NAME}": battery.token, "pushgateway-password": gateway.destination.password}
    folder = file.parent / "secrets"
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, secret in secrets.items():
        if secret is not None:
            _replace(folder / name, f"{secret.reveal()}\n", 0o600)
    keys = {"name": _NAME, "url": battery.destination.url}
    receiver = {"url": gateway.destination.url}
    if gateway.destination.username is not None:
        receiver["username"] = gateway.destination.username
    if not for_unit:
        keys |= {"token_file": f"secrets/token-{_NAME}"} if battery.token else {}
        receiver |= {"password_file": "secrets/pushgateway-password"} if gateway.destination.password else {}
    # Each line is YAML, and JSON is its safest spelling.
    entry = "\n    ".join(f"{key}: {json.dumps(value)}" for key, value in keys.items())
    lines = "\n  ".join(f"{key}: {json.dumps(value)}" for key, value in receiver.items())
    _replace(file, f"{_HEAD}batteries:\n  - {entry}\npushgateway:\n  {lines}\n", 0o644)


def _replace(file: Path, content: str, mode: int) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as opened:
        opened.write(content)
        os.fchmod(opened.fileno(), mode)
        opened.flush()
        os.fsync(opened.fileno())
    beside.replace(file)
