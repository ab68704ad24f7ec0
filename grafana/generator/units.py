"""Grafana's names of units; it prints one that it does not know as text, without an error."""

WATT = "watt"
WATT_HOUR = "watth"
KILOWATT_HOUR = "suffix:kWh"
"""Always kWh: Grafana's own unit writes 832 Wh beside 24.5 kWh, and the smaller one reads as the larger."""
VOLT = "volt"
MILLIVOLT = "mvolt"
AMPERE = "amp"
HERTZ = "hertz"
CELSIUS = "celsius"
PERCENT = "percent"
SHARE = "percentunit"
"""0 to 1, shown as 0 to 100 %."""
MONEY = "suffix:"
"""A number whose name ends with its currency. For those in CURRENCIES an override puts the sign in front."""
CURRENCIES = {
    "EUR": "prefix:€",
    "USD": "prefix:$",
    "GBP": "prefix:£",
    "CHF": "prefix:CHF ",
    "AUD": "prefix:A$",
    "NZD": "prefix:NZ$",
    "CAD": "prefix:C$",
    "SEK": "suffix:kr",
    "DKK": "suffix:kr",
    "NOK": "suffix:kr",
    "PLN": "suffix:zł",
    "CZK": "suffix:Kč",
}
"""Grafana's own units of money write 1234.56 as 1.23K."""
SECONDS = "s"
MINUTES = "m"
DURATION = "dtdurations"
"""With one decimal it says two parts, as in 14 hours, 30 minutes; with none only the first."""
MOMENT = "time:ddd HH:mm"
"""Milliseconds since 1970, of within a day. Grafana's own units of time follow the viewer's language."""
DATE = "time:YYYY-MM-DD HH:mm"
DAY = "time:YYYY-MM-DD"
AGO = "dateTimeFromNow"
BYTES = "bytes"
BYTES_PER_SECOND = "Bps"
PER_MINUTE = "cpm"
COUNT = "none"
TEXT = "string"
"""A number that is a name, such as a year."""
