"""The power meters: the list of v2 and the keyed, quoted object of the legacy API (SONNEN_API 5.3)."""

from math import hypot, sqrt

from sonnen_agent.simulator.faces.view import View, single

_DEVICE = 4
_REACTIVE_VOLTAMPERES = 64.0
"""What a phase with a load draws beside its power."""


def powermeter_list(view: View) -> list[dict[str, object]]:
    """Return the v2 list; consumption comes first, because the order is not fixed."""
    return [_consumption(view), _production(view)]


def legacy_powermeter(view: View) -> dict[str, dict[str, object]]:
    """Return the legacy object keyed `DEVICEID_CHANNEL`, its numbers quoted."""
    meters = (_production(view), _consumption(view))
    return {
        f"{meter['deviceid']}_{meter['channel']}": {
            name: value if isinstance(value, str) else f"{value}" for name, value in meter.items()
        }
        for meter in meters
    }


def _production(view: View) -> dict[str, object]:
    meter = _meter(view, view.phase_production_watts, view.production_kilowatt_hours)
    return meter | {"channel": 1, "direction": "production"}


def _consumption(view: View) -> dict[str, object]:
    meter = _meter(view, view.phase_consumption_watts, view.consumption_kilowatt_hours)
    return meter | {"channel": 2, "direction": "consumption"}


def _meter(view: View, watts: tuple[float, float, float], kilowatt_hours: float) -> dict[str, object]:
    """Return one meter; the phases a house does not have read exactly 0 (SONNEN_API 5.3)."""
    connected = [phase < view.house.phases for phase in range(3)]
    volts = [
        round(street, 1) if there else 0.0 for street, there in zip(view.state.phase_volts, connected, strict=True)
    ]
    apparent = [hypot(w, _REACTIVE_VOLTAMPERES) if w else 0.0 for w in watts]
    meter: dict[str, object] = {
        "deviceid": _DEVICE,
        "error": 0,
        "kwh_exported": 0,
        "kwh_imported": single(kilowatt_hours),
        "va_total": single(round(sum(apparent), 1)),
        "var_total": single(round(-_REACTIVE_VOLTAMPERES * sum(1 for w in watts if w), 1)),
        "w_total": single(round(sum(watts), 1)),
    }
    for phase in range(3):
        following = (phase + 1) % 3
        between = (
            (volts[phase] + volts[following]) / 2.0 * sqrt(3.0) if connected[phase] and connected[following] else 0
        )
        current = apparent[phase] / volts[phase] if volts[phase] else 0.0
        meter[f"a_l{phase + 1}"] = single(round(current, 3))
        meter[f"v_l{phase + 1}_n"] = single(volts[phase])
        # A house with one phase has no voltage between phases.
        meter[f"v_l{phase + 1}_l{following + 1}"] = single(round(between, 1))
        meter[f"w_l{phase + 1}"] = single(round(watts[phase], 1))
    return meter
