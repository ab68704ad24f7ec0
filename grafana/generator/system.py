"""System: the agent, its way to Prometheus, the battery's own health, the Pi, and every alert."""

from generator import alerts, colours, units
from generator.board import Board, Section, variable
from generator.data_quality import DATA_QUALITY
from generator.now import MODES
from generator.promql import RANGE, STEP, agent, fresh, select, while_fresh
from generator.tiles import Chart, Query, Stat, States, Table, Timeline, columns, mapping, steps

_RATE = "$__rate_interval"
_FRESH = agent("sonnen_agent:fresh:bool")
_ALIVE = f"unless on (job, instance) ({_FRESH} == 0)"
_NODE = 'job="node",instance=~`${agent:regex}`'
_ROOT = 'mountpoint="/"'
_UP: States = {1: ("answers", colours.GOOD), 0: ("does not", colours.BAD)}
_STATES = f"max by (component, state, instance) ({while_fresh(select('sonnen_component_state'))})"


def _told(label: str) -> str:
    """Return a label of the battery's information as if it were the state of a component."""
    info = while_fresh(select("sonnen_battery_info"))
    named = f'label_replace({info}, "component", "{label}", "", "")'
    return f'max by (component, state, instance) (label_replace({named}, "state", "$1", "{label}", "(.*)"))'


_COUNTS = "Source: the agent's counts."


def _node(name: str, *matchers: str, over: str = "") -> str:
    """Return a gauge of the Pi that was relayed in the last 15 minutes; a gateway repeats it for ever.

    `over` is what is taken of each step, instead of what the step ends with.
    """
    relayed = f"{name}{{{','.join((_NODE, *matchers))}}}"
    if over:
        relayed = f"{over}({relayed}[{STEP}])"
    return f"({relayed} unless on (job, instance) (time() - push_time_seconds{{{_NODE}}} > 900))"


def _worst_while(fresh: str, gauge: str) -> str:
    """Return the lowest of each step in which pushes arrived at all."""
    return f"min_over_time({gauge}[{STEP}]) unless on (job, instance) (max_over_time({fresh}[{STEP}]) == 0)"


_BATTERY = (
    *DATA_QUALITY,
    Timeline(
        title="Endpoints of the battery",
        description=(
            "Whether the battery answered the last request to each endpoint. One that its generation does not "
            "have, or that needs a token, does not answer; nothing is known while nothing is pushed. Source: "
            "sonnen_endpoint_up."
        ),
        queries=[
            Query(expr=_worst_while(select("sonnen:fresh:bool"), select("sonnen_endpoint_up")), name="{{endpoint}}")
        ],
        states=_UP,
        step="1m",
        w=12,
        h=8,
    ),
    Table(
        title="Firmware and states",
        description=(
            "What the battery says of itself: its firmware, the generation of its API, the present state of its "
            "components. Source: configurations, ic_status of latestdata."
        ),
        queries=[Query(expr=" or ".join((_told("firmware"), _told("generation"), _STATES)), name="states")],
        transformations=[
            columns(
                ["component", "state"],
                {"component": "Part", "state": "Is"},
                hidden=["Time", "Value", "instance"],
            ),
        ],
        w=6,
        h=8,
    ),
    Stat(
        title="Health of the battery",
        description=(
            "Alarm and warning as bit fields (0 is fine), the operating mode, and how far the battery's clock is "
            "from the agent's. Source: systemalarm, systemwarning, OperatingMode, Timestamp."
        ),
        queries=[
            Query(expr=fresh("system_alarm"), name="alarm"),
            Query(expr=fresh("system_warning"), name="warning"),
            Query(
                expr=fresh("operating_mode"),
                name="mode",
                colour=colours.HOUSE,
                look={"mappings": [mapping(MODES)]},
            ),
            Query(expr=fresh("clock_offset_seconds"), name="clock", unit=units.SECONDS, colour=colours.NEUTRAL),
        ],
        thresholds=[(0, colours.GOOD), (1, colours.BAD)],
        w=6,
        h=8,
    ),
)

_AGENT = (
    Stat(
        title="Agent",
        description=(
            "When it last pushed, how long it has been running (that ends with its last push), the beats it "
            "skipped and the samples it lost in the chosen time. Source: push_time_seconds of the gateway, "
            "sonnen_agent_start_time_seconds, sonnen_agent_missed_beats_total, "
            "sonnen_agent_spool_dropped_samples_total."
        ),
        queries=[
            Query(expr=f"{agent('push_time_seconds')} * 1000", name="last push", unit=units.AGO, colour=colours.HOUSE),
            Query(
                expr=f"{agent('push_time_seconds')} - on (job, instance) {agent('sonnen_agent_start_time_seconds')}",
                name="running for",
                unit=units.DURATION,
                colour=colours.HOUSE,
            ),
            Query(
                expr=f"sum by (instance) (increase({agent('sonnen_agent_missed_beats_total')}[{RANGE}]))",
                name="beats skipped",
                look={"decimals": 0},
            ),
            Query(
                expr=f"sum by (instance) (increase({agent('sonnen_agent_spool_dropped_samples_total')}[{RANGE}]))",
                name="samples lost",
                look={"decimals": 0},
            ),
        ],
        thresholds=[(0, colours.GOOD), (1, colours.WARNING)],
        w=8,
        h=7,
    ),
    Table(
        title="Version",
        description="Which build of the agent runs. Source: sonnen_build_info.",
        queries=[
            Query(
                expr=f"max by (version, revision, pythonversion, instance) ({agent('sonnen_build_info')} {_ALIVE})",
                name="build",
            )
        ],
        transformations=[
            columns(
                ["instance", "version", "revision", "pythonversion"],
                {"instance": "Host", "version": "Version", "revision": "Revision", "pythonversion": "Python"},
                hidden=["Time", "Value"],
            )
        ],
        w=8,
        h=7,
    ),
    Timeline(
        title="Pushes arrive",
        description=(
            "Whether the agent's own group was pushed in the last 30 s; the lowest of each step. Source: recording "
            "rule sonnen_agent:fresh:bool."
        ),
        queries=[Query(expr=f"min_over_time({agent('sonnen_agent:fresh:bool')}[{STEP}])", name="pushes")],
        states={1: ("arrive", colours.GOOD), 0: ("do not", colours.BAD)},
        step="1m",
        w=8,
        h=7,
    ),
    Chart(
        title="Requests to the battery that failed",
        description=f"Requests in a minute that did not end well, by endpoint and outcome. {_COUNTS}",
        queries=[
            Query(
                expr="sum by (instance, endpoint, outcome) (rate("
                + agent("sonnen_agent_reads_total", 'outcome!="ok"')
                + f"[{_RATE}])) * 60 > 0",
                name="{{endpoint}} {{outcome}}",
            )
        ],
        unit=units.PER_MINUTE,
        nothing="none failed",
        low=0,
        w=8,
        h=7,
    ),
    Chart(
        title="Duration of requests and pushes",
        description=f"Mean seconds of a request by endpoint, and of a delivery by sink. {_COUNTS}",
        queries=[
            Query(
                expr=f"sum by (instance, {label}) (rate({agent(f'sonnen_agent_{what}_seconds_sum')}[{_RATE}]))"
                f" / (sum by (instance, {label}) (rate({agent(f'sonnen_agent_{what}_seconds_count')}[{_RATE}])) > 0)",
                name=f"{{{{{label}}}}}",
            )
            for what, label in (("read", "endpoint"), ("send", "sink"))
        ],
        unit=units.SECONDS,
        low=0,
        fill=0,
        w=8,
        h=7,
    ),
    Chart(
        title="Deliveries",
        description=f"Pushes and remote writes in a minute, by sink and outcome. {_COUNTS}",
        queries=[
            Query(
                expr=f"sum by (instance, sink, outcome) (rate({agent('sonnen_agent_sends_total')}[{_RATE}])) * 60",
                name="{{sink}} {{outcome}}",
            )
        ],
        unit=units.PER_MINUTE,
        low=0,
        w=8,
        h=7,
    ),
    Chart(
        title="Spool",
        description=(
            "Samples that wait for the link to come back, and on the right the age of the oldest. Nothing where "
            "nothing is written remotely. Source: sonnen_agent_spool_samples, "
            "sonnen_agent_spool_oldest_timestamp_seconds."
        ),
        queries=[
            Query(expr=f"{agent('sonnen_agent_spool_samples')} {_ALIVE}", name="samples", colour=colours.HOUSE),
            Query(
                expr=f"time() - ({agent('sonnen_agent_spool_oldest_timestamp_seconds')} > 0) {_ALIVE}",
                name="age",
                colour=colours.WARNING,
                unit=units.DURATION,
                look={"custom.axisPlacement": "right"},
            ),
        ],
        nothing="no remote write",
        low=0,
        w=8,
        h=7,
    ),
    Chart(
        title="Sent",
        description=f"Bytes in a second on the wire, bodies as sent, by sink. {_COUNTS}",
        queries=[
            Query(
                expr=f"sum by (instance, sink) (rate({agent('sonnen_agent_sent_bytes_total')}[{_RATE}]))",
                name="{{sink}}",
            )
        ],
        unit=units.BYTES_PER_SECOND,
        low=0,
        w=8,
        h=7,
    ),
    Chart(
        title="Memory and CPU of the agent",
        description=(
            "Resident memory in bytes; on the right the share of one CPU core. Source: "
            "process_resident_memory_bytes, process_cpu_seconds_total."
        ),
        queries=[
            Query(expr=f"{agent('process_resident_memory_bytes')} {_ALIVE}", name="memory", colour=colours.HOUSE),
            Query(
                expr=f"rate({agent('process_cpu_seconds_total')}[{_RATE}]) {_ALIVE}",
                name="CPU",
                colour=colours.WARNING,
                unit=units.SHARE,
                look={"custom.axisPlacement": "right", "min": 0},
            ),
        ],
        unit=units.BYTES,
        low=0,
        w=8,
        h=7,
    ),
)

_RELAYED = (
    "Source: the Pi's node_exporter, relayed by the agent as job node in the last 15 minutes; empty without the relay."
)
_PI = (
    Timeline(
        title="Relayed exporters",
        description=(
            "Whether the agent could read the pages of other exporters that it pushes along; nothing is known while "
            "nothing is pushed. Source: sonnen_agent_relay_up; empty without a relay in the agent's config."
        ),
        queries=[Query(expr=_worst_while(_FRESH, agent("sonnen_agent_relay_up")), name="{{relay}}")],
        states=_UP,
        nothing="not relayed",
        step="1m",
        w=24,
        h=3,
    ),
    Stat(
        title="Pi now",
        description=(
            "Temperature of the CPU, which slows down at 80 °C, and what is free of the disk and of the memory. "
            f"{_RELAYED}"
        ),
        queries=[
            Query(
                expr=f"max by (instance) ({_node('node_thermal_zone_temp')})",
                name="CPU temperature",
                unit=units.CELSIUS,
                look={"thresholds": steps([(0, colours.GOOD), (70, colours.WARNING), (80, colours.BAD)])},
            ),
            Query(
                expr=f"min by (instance) ({_node('node_filesystem_avail_bytes', _ROOT)}"
                f" / {_node('node_filesystem_size_bytes', _ROOT)})",
                name="disk free",
            ),
            Query(
                expr=f"{_node('node_memory_MemAvailable_bytes')} / {_node('node_memory_MemTotal_bytes')}",
                name="memory free",
            ),
        ],
        unit=units.SHARE,
        thresholds=[(0, colours.BAD), (0.1, colours.GOOD)],
        nothing="not relayed",
        w=8,
        h=7,
    ),
    Chart(
        title="Temperature of the Pi",
        description=f"Of the CPU, the highest of each step, in degrees Celsius; a Pi slows down at 80. {_RELAYED}",
        queries=[
            Query(
                expr=f"max by (instance) ({_node('node_thermal_zone_temp', over='max_over_time')})",
                name="CPU temperature",
                colour=colours.WARNING,
            )
        ],
        unit=units.CELSIUS,
        nothing="not relayed",
        w=8,
        h=7,
    ),
    Chart(
        title="Load of the Pi",
        description=f"Number of processes that run or wait, mean of one minute, the highest of each step. {_RELAYED}",
        queries=[Query(expr=_node("node_load1", over="max_over_time"), name="load", colour=colours.HOUSE)],
        low=0,
        nothing="not relayed",
        w=8,
        h=7,
    ),
)


BOARD = Board(
    uid="sonnen-system",
    title="System",
    description="The agent, its way to Prometheus, the battery's own health, the Pi, and every alert.",
    start="now-24h",
    refresh="30s",
    variables=[variable("agent", "Agent", "label_values(sonnen_build_info{job=~`${job:regex}_agent`}, instance)")],
    sections=[
        Section(title="Battery $instance", tiles=_BATTERY),
        Section(title="Alerts", tiles=(alerts.now_firing(24, 6),), repeat=None),
        Section(title="Each alert", tiles=tuple(alerts.tiles()), repeat=None, folded=True),
        Section(title="Agent $agent", tiles=_AGENT, repeat="agent"),
        Section(title="Pi $agent", tiles=_PI, repeat="agent"),
    ],
)
