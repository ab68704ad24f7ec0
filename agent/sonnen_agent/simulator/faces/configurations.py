"""The configurations answers of v2: an object of texts (SONNEN_API 5.6)."""

import json

from sonnen_agent.simulator.faces.view import View


def sb10_configurations(view: View) -> dict[str, object]:
    """Return the settings under software 1.8.7."""
    return _configurations(view) | {"DE_Software": "1.8.7", "EM_RE_ENABLE_MICROGRID": "0"}


def evo_configurations(view: View) -> dict[str, object]:
    """Return the settings under software 1.18.2, which has a bool among the texts."""
    return _configurations(view) | {"DE_Software": "1.18.2", "EM_RE_ENABLE_MICROGRID": True}


def _configurations(view: View) -> dict[str, object]:
    house = view.house
    schedule = [{"start": "12:00", "stop": "14:00", "threshold_p_max": 2000}]
    return {
        "CM_MarketingModuleCapacity": f"{house.marketing_capacity_watt_hours}",
        "CN_CascadingRole": "none",
        "DE_Software": "",
        "EM_CHP_Max_SOC": "95",
        "EM_CHP_Min_SOC": None,
        "EM_OperatingMode": "2",
        "EM_Prognosis_Charging": "0",
        "EM_RE_ENABLE_MICROGRID": "0",
        "EM_ToU_Schedule": json.dumps(schedule, separators=(",", ":")),
        "EM_USER_INPUT_TIME_ONE": "00:00",
        "EM_USER_INPUT_TIME_TWO": "00:00",
        "EM_USOC": f"{house.backup_buffer_percent}",
        "EM_US_GENRATOR_TYPE": "automatic",
        "EM_US_GEN_POWER_SET_POINT": "0",
        "IC_BatteryModules": f"{house.modules}",
        "IC_InverterMaxPower_w": f"{house.max_discharge_watts:.0f}",
        "NVM_PfcFixedCosPhi": "1",
        "NVM_PfcIsFixedCosPhiActive": "0",
        "NVM_PfcIsFixedCosPhiLagging": "1",
        "SH_HeaterOperatingMode": "0",
        "SH_HeaterTemperatureMax": "65",
        "SH_HeaterTemperatureMin": "42",
    }
