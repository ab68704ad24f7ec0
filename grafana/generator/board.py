"""A dashboard from its tiles: places, variables, links and annotations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import dashboard

from generator import colours
from generator.promql import STEP, first_moment, select
from generator.tiles import DATASOURCE, Tile

TAG, RELEASE = "sonnen", "0.1"
# Days begin where the battery's do, whoever looks from where. In "browser" time Grafana would let those of a stretch
# that is picked in the calendar begin at UTC's midnight (docs/grafana.md#2-what-grafana-does-with-an-answer).
TIMEZONE = "Europe/Berlin"
WIDTH = 24
TIMES = {
    "Today": ("now/d", "now"),
    "Yesterday": ("now-1d/d", "now-1d/d"),
    "This month": ("now/M", "now"),
    "Last month": ("now-1M/M", "now-1M/M"),
    "This year": ("now/y", "now"),
}
# What the time picker offers. Of Grafana's own, Today and its kind end at a midnight to come.
_PICKED = {
    "Last 15 minutes": ("now-15m", "now"),
    "Last hour": ("now-1h", "now"),
    "Last 12 hours": ("now-12h", "now"),
    "Last 24 hours": ("now-24h", "now"),
    "Last 7 days": ("now-7d", "now"),
    "Last 30 days": ("now-30d", "now"),
    "Last 365 days": ("now-365d", "now"),
    **TIMES,
    "Last year": ("now-1y/y", "now-1y/y"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Tiles under a heading."""

    title: str
    tiles: Sequence[Tile]
    folded: bool = False
    """Whether its tiles are seen only where somebody asks for them."""
    repeat: str | None = "instance"
    """Once for each chosen value of a variable: two batteries are never added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard, described."""

    uid: str
    title: str
    description: str
    sections: Sequence[Section]
    start: str
    """Where its time begins, unless one is chosen."""
    refresh: str
    variables: Sequence[dashboard.VariableModel] = ()
    calendar: bool = False
    """Whether links choose a day, a month, a year."""

    def dashboard(self) -> dashboard.Dashboard:
        """Return the dashboard in Grafana's classic model."""
        return dashboard.Dashboard(
            uid=self.uid,
            title=f"Sonnen: {self.title}",
            description=self.description,
            # The agent's doctor looks for the second one: it tells a dashboard of another release.
            tags=[TAG, f"{TAG}-{RELEASE}"],
            timezone=TIMEZONE,
            editable=False,
            graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
            live_now=False,
            # Of the oldest Grafana that shows these panels; a newer one migrates.
            schema_version=39,
            refresh=self.refresh,
            time=dashboard.DashboardDashboardTime(from_val=self.start, to="now"),
            timepicker=dashboard.TimePickerConfig(
                refresh_intervals=["5s", "10s", "30s", "1m", "5m", "1h"],
                quick_ranges=[
                    dashboard.TimeOption(display=title, from_val=begin, to=end)
                    for title, (begin, end) in _PICKED.items()
                ],
            ),
            panels=list(_placed(self.sections)),
            templating=dashboard.DashboardDashboardTemplating(
                list_val=[*_variables(), *([_since()] if self.calendar else []), *self.variables]
            ),
            annotations=dashboard.AnnotationContainer(list_val=_annotations()),
            links=_links(self.uid, calendar=self.calendar),
        )


def _placed(sections: Sequence[Section]) -> Iterator[dashboard.Panel | dashboard.RowPanel]:
    """Yield headings and panels from left to right, in lines as high as their highest panel."""
    y = 0
    for number, section in enumerate(sections, start=1):
        place = dashboard.GridPos(h=1, w=WIDTH, x=0, y=y)
        row = dashboard.RowPanel(id_val=number, title=section.title, grid_pos=place, repeat=section.repeat)
        yield row
        x, y, height = 0, y + 1, 0
        begin = y
        row.collapsed = section.folded
        for tile in section.tiles:
            if x + tile.w > WIDTH:
                x, y, height = 0, y + height, 0
            panel = tile.panel()
            panel.grid_pos = dashboard.GridPos(h=tile.h, w=tile.w, x=x, y=y)
            if section.folded:
                row.panels.append(panel)
            else:
                yield panel
            x, height = x + tile.w, max(height, tile.h)
        # What is folded takes no room.
        y = begin if section.folded else y + height


def variable(name: str, label: str, query: str) -> dashboard.VariableModel:
    """Return a choice of label values, several or all of them."""
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=name,
        label=label,
        query={"qryType": 1, "query": query, "refId": f"{name}Values"},
        definition=query,
        datasource=DATASOURCE,
        current=dashboard.VariableOption(selected=True, text="All", value="$__all"),
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.NATURAL_ASC,
        multi=True,
        include_all=True,
        all_value=".+",
    )


def textbox(name: str, label: str, value: str, description: str) -> dashboard.VariableModel:
    """Return a value to be typed in."""
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.TEXTBOX,
        name=name,
        label=label,
        description=description,
        query=value,
        current=dashboard.VariableOption(selected=True, text=value, value=value),
        options=[dashboard.VariableOption(selected=True, text=value, value=value)],
    )


def _variables() -> list[dashboard.VariableModel]:
    return [
        dashboard.VariableModel(
            type_val=dashboard.VariableType.DATASOURCE,
            name="datasource",
            label="Data source",
            query="prometheus",
            # Grafana's own word for the default data source.
            current=dashboard.VariableOption(selected=True, text="default", value="default"),
        ),
        variable("job", "Job", "label_values(sonnen_online, job)"),
        variable("instance", "Instance", "label_values(sonnen_online{job=~`${job:regex}`}, instance)"),
    ]


def _since() -> dashboard.VariableModel:
    """Return a hidden variable for titles: from which day on there are numbers of the chosen batteries, or nothing."""
    # PromQL knows UTC only, and Europe's days begin an hour or two before its.
    first = f"(min({first_moment()}) + 7200)"
    number = f"year({first}) * 10000 + month({first}) * 100 + day_of_month({first})"
    dated = f'label_replace(count_values("day", {number}), "since", ", since $1-$2-$3", "day", "(....)(..)(..)")'
    found = variable("since", "", f"query_result({dated})")
    # Of Grafana's kinds of variable queries, the one for results.
    found.query = {"qryType": 3, "query": found.definition, "refId": "sinceValues"}
    found.hide = dashboard.VariableHide.HIDE_VARIABLE
    found.regex = '/since="([^"]+)"/'
    found.multi, found.include_all, found.all_value, found.current = False, False, None, None
    return found


def _annotations() -> list[dashboard.AnnotationQuery]:
    told = select("sonnen:battery_info:copy5m")
    # While it is updated, a battery says nothing.
    known = f"last_over_time({told}[1d] offset 1h)"
    new_firmware = (
        f"(count by (instance, firmware) ({told}) unless count by (instance, firmware) ({known}))"
        f" and on (instance) count by (instance) ({known})"
    )
    on_grid = select("sonnen:on_grid:min5m")
    lowest = f"min_over_time({on_grid}[{STEP}])"
    started = "sonnen_agent_start_time_seconds{job=~`${job:regex}_agent`}"
    return [
        # Only what is above 0 makes a mark. Between two steps none is missed.
        _annotation("Outages", colours.BAD, f"(({lowest} or {on_grid}) == bool 0) > 0", "Off grid", "{{instance}}"),
        _annotation(
            "Alerts",
            colours.WARNING,
            'ALERTS{alertname=~"Sonnen.+",alertstate="firing",severity!="info"}',
            "{{alertname}}",
            "{{severity}} {{instance}}",
        ),
        _annotation("Firmware", colours.HOUSE, new_firmware, "New firmware {{firmware}}", "{{instance}}"),
        # Marks last for an hour: on a year Grafana asks no more often.
        _annotation(
            "Agent started", colours.NEUTRAL, f"(time() - {started} < bool 3600) > 0", "Agent started", "{{instance}}"
        ),
    ]


def _annotation(name: str, colour: str, expr: str, title: str, text: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery(
        name=name,
        datasource=DATASOURCE,
        enable=True,
        icon_color=colour,
        expr=expr,
        step="60s",
        title_format=title,
        text_format=text,
        tag_keys="",
    )


def _links(uid: str, *, calendar: bool) -> list[dashboard.DashboardLink]:
    others = dashboard.DashboardLink(
        title="Dashboards",
        type_val=dashboard.DashboardLinkType.DASHBOARDS,
        icon="external link",
        tags=[TAG],
        include_vars=True,
        # A year is a good time for money, and a bad one for what flows by the minute.
        keep_time=False,
    )
    times = TIMES.items() if calendar else ()
    return [
        others,
        *(
            dashboard.DashboardLink(
                title=title,
                type_val=dashboard.DashboardLinkType.LINK,
                icon="time",
                tooltip=f"Show {title.lower()}",
                url=f"/d/{uid}?from={start}&to={end}",
                include_vars=True,
            )
            for title, (start, end) in times
        ),
    ]
