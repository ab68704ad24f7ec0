"""The rules of grafana/dashboard-linter, and what else makes a provisioned dashboard work, held on the committed JSON.

Where one of the linter's rules does not fit, EXCEPTIONS says why, and another test holds what it is for.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_asking import MOST_POINTS, moment
from grafana_asking import Prometheus as Grafana

REPOSITORY = Path(__file__).parents[2]
# Any: what JSON holds is checked here, value by value.
Json = dict[str, Any]

DASHBOARDS: dict[str, Json] = {
    path.stem: json.loads(path.read_text()) for path in sorted((REPOSITORY / "grafana/dashboards").glob("*.json"))
}
LINTER = {
    "template-datasource",
    "template-job",
    "template-instance",
    "template-label-promql",
    "template-on-time-change-reload",
    "panel-datasource",
    "panel-title-description",
    "panel-units",
    "panel-no-targets",
    "target-logql",
    "target-logql-auto",
    "target-promql",
    "target-rate-interval",
    "target-job",
    "target-instance",
    "target-counter-agg",
    "uneditable-dashboard",
}
EXCEPTIONS = {
    "target-logql": "there is no Loki; test_every_query_goes_to_prometheus holds that",
    "target-logql-auto": "the same",
    "target-rate-interval": "an energy is an increase over the chosen time or a day, and $__rate_interval is neither; "
    "test_windows_are_much_longer_than_the_beat holds what the rule is for",
    "target-job": "of series that are no battery's, the selectors in SELECTORS are asked for instead",
    "target-instance": "the same",
}
BATTERY = {"job=~`${job:regex}`", "instance=~`${instance:regex}`"}
AGENT = {"job=~`${job:regex}_agent`"}
SELECTORS: Mapping[str, set[str]] = {
    # The agent's group has another job, and its instance is a host, not a battery.
    r"sonnen_agent[_:].*|sonnen_build_info|process_.*": AGENT,
    # The Pi's own node_exporter, relayed by the agent.
    r"node_.*": {"instance=~`${agent:regex}`"},
    # Alerts about what is missing have neither.
    r"ALERTS|sonnen:alerts:loaded": set(),
}
NODE = {'job="node"', "instance=~`${agent:regex}`"}
UNITS = {
    *("watt", "watth", "volt", "mvolt", "amp", "hertz", "celsius", "percent", "percentunit", "none", "string"),
    *(
        "suffix:",
        "suffix:kWh",
        "prefix:€",
        "prefix:$",
        "prefix:£",
        "prefix:CHF ",
        "prefix:A$",
        "prefix:NZ$",
        "prefix:C$",
    ),
    *("suffix:kr", "suffix:zł", "suffix:Kč"),
    *(
        "s",
        "m",
        "dtdurations",
        "time:ddd HH:mm",
        "time:YYYY-MM-DD",
        "time:YYYY-MM-DD HH:mm",
        "dateTimeFromNow",
        "bytes",
        "Bps",
        "cpm",
    ),
}
CORE_PANELS = {"stat", "gauge", "bargauge", "timeseries", "barchart", "state-timeline", "table", "row"}
WORDS = {"and", "or", "unless", "bool", "offset", "by", "on", "group_left", "group_right"}
SELECTOR = re.compile(r'([a-zA-Z_:][\w:]*)\{((?:\w+(?:=~|!~|!=|=)(?:"[^"]*"|`[^`]*`),?)*)\}')


def panels(board: Json) -> list[Json]:
    """Return the panels of a dashboard, those that are folded away included."""
    every = [one for panel in board["panels"] for one in (panel, *panel.get("panels", ()))]
    return [panel for panel in every if panel["type"] != "row"]


def targets(board: Json) -> Iterator[tuple[Json, Json]]:
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel, target


def expressions(board: Json) -> list[str]:
    """Return every query of a dashboard, those of annotations included."""
    return [target["expr"] for _, target in targets(board)] + [note["expr"] for note in board["annotations"]["list"]]


def selectors(expr: str) -> list[tuple[str, set[str]]]:
    """Return the metrics of a query with their matchers."""
    return [
        (name, set(re.findall(r'\w+(?:=~|!~|!=|=)(?:"[^"]*"|`[^`]*`)', inside)))
        for name, inside in SELECTOR.findall(expr)
    ]


def known_metrics() -> set[str]:
    """Return the agent's metrics, from the page that its tests hold, and the recorded ones."""
    golden = (REPOSITORY / "tests/metrics/golden.txt").read_text()
    exported = set(re.findall(r"^(\w+)\{", golden, re.MULTILINE)) | set(
        re.findall(r"^(\w+) [\d.]", golden, re.MULTILINE)
    )
    recorded = {
        rule["record"]
        for path in (REPOSITORY / "prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    return exported | recorded | {"push_time_seconds", "ALERTS", "sonnen_agent_relay_up"}


def each_board() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("board", [pytest.param(board, id=uid) for uid, board in DASHBOARDS.items()])


def variables(board: Json) -> dict[str, Json]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def test_there_are_the_seven_dashboards_of_which_the_readme_tells() -> None:
    told = set(re.findall(r"`(sonnen-[a-z]+)`", (REPOSITORY / "grafana/README.md").read_text()))
    assert set(DASHBOARDS) == told - {"sonnen-prometheus"}


def test_exceptions_are_from_rules_that_exist() -> None:
    assert set(EXCEPTIONS) <= LINTER
    assert len(LINTER) == 17


@each_board()
def test_the_data_source_can_be_chosen(board: Json) -> None:  # template-datasource
    choice = variables(board)["datasource"]
    assert (choice["type"], choice["query"], choice["label"]) == ("datasource", "prometheus", "Data source")


@each_board()
@pytest.mark.parametrize("name", ["job", "instance"])
def test_jobs_and_batteries_can_be_chosen(board: Json, name: str) -> None:  # template-job, template-instance
    choice = variables(board)[name]
    assert choice["type"] == "query"
    assert choice["datasource"]["uid"] == "${datasource}"
    assert (choice["label"], choice["multi"], choice["allValue"]) == (name.title(), True, ".+")


@each_board()
def test_choices_are_label_values_and_follow_the_time(board: Json) -> None:
    # template-label-promql, template-on-time-change-reload
    for choice in board["templating"]["list"]:
        if choice["type"] == "query" and choice["name"] != "since":
            assert re.fullmatch(r"label_values\(\w+(\{.*\})?, \w+\)", choice["query"]["query"]), choice["name"]
            assert choice["query"]["query"].split("(")[1].split("{")[0].split(",")[0] in known_metrics()
            assert choice["refresh"] == 2


@each_board()
def test_every_query_goes_to_prometheus(board: Json) -> None:  # panel-datasource
    ref = {"type": "prometheus", "uid": "${datasource}"}
    for panel, target in targets(board):
        assert panel["datasource"] == target["datasource"] == ref
    assert {json.dumps(note["datasource"]) for note in board["annotations"]["list"]} == {json.dumps(ref)}


@each_board()
def test_every_panel_says_what_it_shows_and_from_where(board: Json) -> None:  # panel-title-description
    for panel in panels(board):
        assert panel["title"]
        assert "Source: " in panel["description"] or panel["title"] == panel["description"].split(":")[0], panel[
            "title"
        ]
        assert "  " not in panel["description"]
        assert panel["description"].endswith((".", ")"))


@each_board()
def test_units_are_known_to_grafana(board: Json) -> None:  # panel-units
    for panel in panels(board):
        config = panel["fieldConfig"]
        used = [config["defaults"]["unit"]] + [
            one["value"] for entry in config["overrides"] for one in entry["properties"] if one["id"] == "unit"
        ]
        assert set(used) <= UNITS, panel["title"]


@each_board()
def test_every_panel_asks_something_and_says_when_there_is_nothing(board: Json) -> None:  # panel-no-targets
    for panel in panels(board):
        assert panel["targets"], panel["title"]
        assert [target["refId"] for target in panel["targets"]] == [
            chr(ord("A") + number) for number in range(len(panel["targets"]))
        ]
        assert panel["fieldConfig"]["defaults"]["noValue"]


@each_board()
def test_every_series_is_of_the_chosen_battery(board: Json) -> None:  # target-job, target-instance
    for expr in expressions(board):
        for name, matchers in selectors(expr):
            own = [matchers for pattern, matchers in SELECTORS.items() if re.fullmatch(pattern, name)] or [BATTERY]
            # The gateway tells of all groups alike when they were pushed.
            accepted = [BATTERY, AGENT, NODE] if name == "push_time_seconds" else own
            assert any(wanted <= matchers for wanted in accepted), f"{name} in {expr}"


@each_board()
def test_counters_are_only_read_by_their_increase(board: Json) -> None:  # target-counter-agg
    for expr in expressions(board):
        # A difference of two moments of the same counter, where an end of a window is what is looked for.
        moments = expr.replace(" @ end()", "").replace("[14d:5m]", "").replace("[$__range:1h]", "")
        looked_back = re.sub(r"max by \(job, instance\) \([^()]*\)", "", moments) if moments != expr else expr
        # Nothing but that it is there.
        looked_back = re.sub(r"0 \* max by \(instance\) \([^()]*\)", "", looked_back)
        for match in SELECTOR.finditer(looked_back):
            if re.search(r"_(total|sum|count)(:copy1m)?$", match[1]):
                assert re.search(r"(rate|increase|resets|changes)\($", looked_back[: match.start()]), expr


@each_board()
def test_nobody_can_change_what_the_next_start_would_undo(board: Json) -> None:  # uneditable-dashboard
    assert board["editable"] is False


@each_board()
def test_windows_are_much_longer_than_the_beat(board: Json) -> None:  # what target-rate-interval is for
    for expr in expressions(board):
        for window in re.findall(r"(?:rate|increase)\([^\[]*\[([^\]:]+)", expr):
            assert window in {"$__range", "$__rate_interval", "1d", "24h", "1h", "2m"}, expr


GUARD = re.compile(r"(\[[^\]]*\])?( > 0)?\)* (and|unless) on \(job, instance\) \([^{]*(fresh:bool|push_time_seconds)\{")
"""What follows a raw gauge: a guard that tells whether it was pushed lately."""
UNGUARDED = {
    "ALERTS": "is Prometheus's own",
    "push_time_seconds": "is what tells how old the rest is",
    "sonnen_agent_start_time_seconds": "less the last push it ends with that",
    "sonnen_tariff_price_per_kilowatt_hour": "is a price of the config, no reading",
}
"""Raw gauges that are shown as they are, and why."""


@each_board()
def test_a_raw_gauge_is_guarded_against_a_gateway_that_repeats_it(board: Json) -> None:
    for _, target in targets(board):
        expr = target["expr"]
        for match in SELECTOR.finditer(expr):
            counter = re.search(r"(rate|increase)\($", expr[: match.start()])
            if ":" not in match[1] and not counter and match[1] not in UNGUARDED:
                assert GUARD.match(expr, match.end()), f"{match[1]} in {expr}"


NEEDS_A_TOKEN = re.compile(r"sonnen:(?:\w+_capacity_watt_hours|cell_\w+|meter_\w+|temperature):|usable_watt_hours")


@pytest.mark.parametrize("uid", ["sonnen-battery", "sonnen-grid"])
def test_what_is_not_told_without_a_token_says_so(uid: str) -> None:
    for panel in panels(DASHBOARDS[uid]):
        if all(NEEDS_A_TOKEN.search(target["expr"]) for target in panel["targets"]):
            assert panel["fieldConfig"]["defaults"]["noValue"] == "no data, or no token", panel["title"]


@each_board()
def test_series_without_a_colour_of_their_own_never_share_one(board: Json) -> None:
    modes = {panel["fieldConfig"]["defaults"]["color"]["mode"] for panel in panels(board)}
    # By name, two of one panel may have the same.
    assert modes <= {"thresholds", "palette-classic"}


@each_board()
def test_no_value_is_neither_good_nor_bad(board: Json) -> None:
    for panel in panels(board):
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert (steps[0]["value"], steps[0]["color"]) == (None, "#A1A2A4"), panel["title"]
        assert None not in [step["value"] for step in steps[1:]], panel["title"]


def test_a_price_is_asked_for_with_a_point() -> None:
    boxes = [one for one in variables(DASHBOARDS["sonnen-money"]).values() if one["type"] == "textbox"]
    assert {box["name"] for box in boxes if "(with a point)" in box["label"]} == {
        box["name"] for box in boxes if re.fullmatch(r"[\d.]+", box["query"])
    }


def test_what_is_not_guarded_is_there() -> None:
    shown = {name for board in DASHBOARDS.values() for expr in expressions(board) for name, _ in selectors(expr)}
    assert set(UNGUARDED) <= shown


@each_board()
def test_every_metric_is_one_of_the_agent_s_or_of_the_rules(board: Json) -> None:
    known = known_metrics()
    for expr in expressions(board):
        bare = re.sub(r'"[^"]*"|@ end\(\)', "", SELECTOR.sub("", expr))
        bare = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right) ?\([^)]*\)", "", bare)
        bare = re.sub(r"\[[^\]]*\]|\$\{?\w+\}?|\b\d+[smhdwy]\b|\b1e\d+", "", bare)
        names = {name for name in re.findall(r"[a-zA-Z_:][\w:]*\b(?!\s*\()", bare) if name not in WORDS}
        assert names == set(), f"without a selector in {expr}"
        unknown = {name for name, _ in selectors(expr)} - known
        assert {name for name in unknown if not re.match(r"node_|process_", name)} == set(), expr


@each_board()
def test_ids_are_unique_and_lie_within_what_grafana_keeps(board: Json) -> None:
    ids = [panel["id"] for panel in [*panels(board), *(one for one in board["panels"] if one["type"] == "row")]]
    assert len(set(ids)) == len(ids)
    assert all(0 < number < 2**31 for number in ids)


def test_uids_are_unique_and_the_file_s_name() -> None:
    assert {uid: board["uid"] for uid, board in DASHBOARDS.items()} == {uid: uid for uid in DASHBOARDS}
    assert all(len(uid) <= 40 for uid in DASHBOARDS)
    assert len({board["title"] for board in DASHBOARDS.values()}) == len(DASHBOARDS)


@each_board()
def test_no_panel_lies_on_another_or_beside_the_grid(board: Json) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in board["panels"]]
    for title, place in places:
        assert place["x"] >= 0, title
        assert place["w"] > 0, title
        assert place["x"] + place["w"] <= 24, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one} lies on {other}"


@each_board()
def test_a_dashboard_can_be_provisioned_from_a_file(board: Json) -> None:
    text = json.dumps(board)
    for foreign in ("__inputs", "__requires", "DS_PROMETHEUS", "apiVersion", '"kind"', '"spec"', "libraryPanel"):
        assert foreign not in text
    assert board.get("id") is None
    assert board["schemaVersion"] == 39
    assert board["timezone"] == "Europe/Berlin"
    assert board["graphTooltip"] == 1


@each_board()
def test_panels_are_of_grafana_s_core_and_without_html(board: Json) -> None:
    assert {panel["type"] for panel in board["panels"]} <= CORE_PANELS
    assert "<" not in "".join(
        panel["title"] + panel.get("description", "").replace(" < ", "") for panel in board["panels"]
    )


@each_board()
def test_every_dashboard_leads_to_the_others(board: Json) -> None:
    assert board["tags"][0] == "sonnen"
    (link,) = [link for link in board["links"] if link["type"] == "dashboards"]
    assert link["tags"] == ["sonnen"]
    assert link["includeVars"] is True
    for other in board["links"]:
        if other["type"] == "link":
            assert other["url"].startswith(f"/d/{board['uid']}?from=")


@each_board()
def test_the_strip_of_trust_is_on_top(board: Json) -> None:
    now, strip = panels(board)[:2]
    assert (now["type"], strip["type"]) == ("stat", "state-timeline")
    assert strip["title"] == "Can these numbers be believed?"
    assert now["gridPos"] == {"h": 3, "w": 4, "x": 0, "y": 1}
    assert strip["gridPos"] == {"h": 3, "w": 20, "x": 4, "y": 1}


@each_board()
def test_batteries_are_repeated_never_added_up(board: Json) -> None:
    for expr in expressions(board):
        # An alert is one whatever it fires for.
        if "ALERTS{" in expr:
            continue
        for aggregation in re.findall(r"\b(?:sum|avg|min|max|count)\b(?! by)\s*\(", expr):
            pytest.fail(f"{aggregation} adds batteries up in {expr}")
        for labels in re.findall(r"\b(?:sum|avg|min|max|count) by \(([^)]*)\)", expr):
            assert {"instance", "alertname"} & set(labels.split(", ")), expr


@each_board()
def test_overrides_find_the_query_they_are_for(board: Json) -> None:
    for panel in panels(board):
        names = {target["legendFormat"] for target in panel["targets"]}
        renamed = {
            name
            for step in panel.get("transformations", [])
            for name in [*step["options"].get("renameByName", {}).values(), *step["options"].get("indexByName", {})]
        }
        for entry in panel["fieldConfig"]["overrides"]:
            if entry["matcher"]["id"] == "byName":
                assert entry["matcher"]["options"] in names | renamed, panel["title"]


def test_one_meaning_has_one_colour() -> None:
    seen: dict[str, set[str]] = {}
    for panel in (panel for board in DASHBOARDS.values() for panel in panels(board)):
        for entry in panel["fieldConfig"]["overrides"]:
            for one in entry["properties"]:
                if one["id"] == "color" and entry["matcher"]["id"] == "byName":
                    seen.setdefault(entry["matcher"]["options"].lower(), set()).add(one["value"]["fixedColor"])
    assert {name: colours for name, colours in seen.items() if len(colours) > 1} == {}


def named(panel: Json, matcher: Json) -> str:
    """Return the name of what an override is for."""
    by_letter = {target["refId"]: str(target["legendFormat"]) for target in panel["targets"]}
    return by_letter.get(matcher["options"], str(matcher["options"]))


TO_GRID = {"to grid", "to the grid", "feed-in", "feeding in", "earned {{currency}}"}
FROM_GRID = {"from the grid", "import", "importing", "paid {{currency}}"}
"""Names that say which way energy, or money, goes."""


@pytest.mark.parametrize(("names", "colour"), [(TO_GRID, "#E8920C"), (FROM_GRID, "#D8B0F5")], ids=["to", "from"])
def test_to_the_grid_and_from_it_have_the_colours_that_the_readme_tells(names: set[str], colour: str) -> None:
    seen = {
        (name, one["value"]["fixedColor"])
        for board in DASHBOARDS.values()
        for panel in panels(board)
        for entry in panel["fieldConfig"]["overrides"]
        for one in entry["properties"]
        for name in [named(panel, entry["matcher"]).lower()]
        if one["id"] == "color" and name in names
    }
    assert seen == {(name, colour) for name in names}


@each_board()
def test_a_panel_with_a_time_of_its_own_shows_it_and_says_when_it_does_not_count(board: Json) -> None:
    for panel in panels(board):
        told = "timeFrom" in panel and "hideTimeOverride" not in panel
        assert told == ("It has a time of its own" in panel["description"]), panel["title"]
        assert "whatever time" not in panel["description"], panel["title"]


@each_board()
def test_what_is_the_case_now_is_looked_for_now_and_not_at_the_end_of_the_day(board: Json) -> None:
    now = [panel for panel in panels(board) if "hideTimeOverride" in panel]
    assert {panel["timeFrom"] for panel in now} == {"1m"}
    # What is asked about a time, or is a course, is of the time that is told.
    assert not [panel["title"] for panel in now if "$__" in "".join(target["expr"] for target in panel["targets"])]
    assert not [panel["title"] for panel in now if not all(target["instant"] for target in panel["targets"])]


@each_board()
def test_no_time_that_the_picker_offers_ends_in_the_future(board: Json) -> None:
    offered = {one["display"]: (one["from"], one["to"]) for one in board["timepicker"]["quick_ranges"]}
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert not [name for name, (_, end) in offered.items() if moment(end, now, last=True) > now]
    assert offered["Today"] == ("now/d", "now")


def test_bars_of_months_and_years_begin_with_a_whole_one() -> None:
    every = [panel for board in DASHBOARDS.values() for panel in panels(board) if panel["type"] == "barchart"]
    for panel in (one for one in every if one["options"]["xField"] != "side"):
        assert panel["timeFrom"].endswith({"month": "/M", "year": "/y"}[panel["options"]["xField"]]), panel["title"]


@pytest.mark.parametrize("uid", ["sonnen-energy", "sonnen-money", "sonnen-battery"])
def test_long_ranges_read_only_what_is_recorded(uid: str) -> None:
    for expr in expressions(DASHBOARDS[uid]):
        for match in re.finditer(SELECTOR.pattern + r"\[(\$__range|1?\d+d|\$__interval)", expr):
            # Prices change seldom: they are looked at every ten minutes only.
            assert match[1].startswith("sonnen:") or expr.startswith(":10m]", match.end()), expr


def test_a_year_of_the_grid_is_read_from_what_is_recorded_every_five_minutes() -> None:
    for _, target in targets(DASHBOARDS["sonnen-grid"]):
        for match in re.finditer(SELECTOR.pattern + r"\[\$__interval", target["expr"]):
            assert not match[1].endswith(":fresh") or match[1] == "sonnen:meter_current:fresh", target["expr"]


def test_no_range_from_an_hour_to_ten_years_asks_for_more_points_than_prometheus_gives() -> None:
    asked = Grafana(url="", now=datetime(2026, 1, 1, tzinfo=UTC), choices={})
    courses = [
        (panel, target["refId"])
        for board in DASHBOARDS.values()
        for panel, target in targets(board)
        if not target["instant"]
    ]
    assert len(courses) > 50
    for hours in range(1, 10 * 366 * 24, 7):
        begin = asked.now - timedelta(hours=hours)
        for points in {panel.get("maxDataPoints") or 1900 for panel, _ in courses}:
            for least in {panel.get("interval", "5s") for panel, _ in courses if panel.get("maxDataPoints") == points}:
                step = asked.step({"maxDataPoints": points, "interval": least}, begin, asked.now)
                assert hours * 3600 / step + 1 <= MOST_POINTS, (hours, points, least)


@each_board()
def test_durations_have_two_parts_and_money_two_decimals(board: Json) -> None:
    wanted = {"dtdurations": 1, "suffix:": 2, "suffix:kWh": 1}
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        for unit, decimals in wanted.items():
            if defaults["unit"] == unit:
                assert defaults["decimals"] == decimals, panel["title"]
        for entry in panel["fieldConfig"]["overrides"]:
            of = {one["id"]: one["value"] for one in entry["properties"]}
            if of.get("unit") in wanted or str(of.get("unit")).startswith("prefix:"):
                assert of["decimals"] == wanted.get(of["unit"], 2), panel["title"]


@each_board()
def test_a_year_or_a_month_on_an_axis_is_a_text(board: Json) -> None:
    for panel in panels(board):
        if panel["type"] == "barchart":
            named = {entry["matcher"]["options"]: entry["properties"] for entry in panel["fieldConfig"]["overrides"]}
            assert {"id": "unit", "value": "string"} in named[panel["options"]["xField"]], panel["title"]


@each_board()
def test_a_table_s_columns_fit_and_an_empty_cell_says_no_words(board: Json) -> None:
    for panel in panels(board):
        if panel["type"] != "table":
            continue
        (shown,) = (step["options"] for step in panel["transformations"] if step["id"] == "organize")
        # 24 columns are some 1300 pixels.
        assert len(shown["indexByName"]) * panel["fieldConfig"]["defaults"]["custom"]["minWidth"] <= (
            panel["gridPos"]["w"] * 52
        ), panel["title"]
        cells = {entry["matcher"]["options"]: entry["properties"] for entry in panel["fieldConfig"]["overrides"]}
        for column in (name for name in shown["renameByName"].values() if name in cells):
            assert "noValue" in {one["id"] for one in cells[column]} or panel["title"] == "Outages", column
