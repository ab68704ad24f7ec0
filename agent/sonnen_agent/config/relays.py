"""The relays of the config."""

from sonnen_agent.config.model import DEFAULT_JOB, DEFAULT_RELAY_INTERVAL_SECONDS, PushgatewayConfig, RelayConfig
from sonnen_agent.config.section import Section


def read_relays(root: Section, key: str, pushgateway: PushgatewayConfig | None) -> tuple[RelayConfig, ...]:
    """Return the relays; each needs a group of its own on the gateway."""
    if root.values.get(key) and root.values.get("pushgateway") is None:
        root.problem(
            key,
            "needs pushgateway, which alone takes other exporters' pages: "
            f"add pushgateway: {{url: http://gateway.example:9091}}, or remove {key}",
        )
    battery_job = pushgateway.job if pushgateway is not None else DEFAULT_JOB
    taken = {battery_job: "the batteries", f"{battery_job}_agent": "the agent"}
    return tuple(_relay(section, taken) for section in root.sections(key))


def _relay(section: Section, taken: dict[str, str]) -> RelayConfig:
    relay = RelayConfig(
        url=section.url("url", "http://127.0.0.1:9100/metrics"),
        job=section.required_text("job", "node"),
        interval_seconds=section.number(
            "interval_seconds", minimum=1, maximum=3600, default=DEFAULT_RELAY_INTERVAL_SECONDS
        ),
    )
    if relay.job in taken:
        section.problem("job", f"{relay.job!r} is the job of {taken[relay.job]}, too; choose another")
    elif relay.job:
        taken[relay.job] = "another relay"
    section.close()
    return relay
