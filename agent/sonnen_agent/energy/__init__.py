"""Counts energy: totals, flows, days, tariffs and money from successive readings. Pure: time is an argument.

A reading becomes a `Sample`. Between two samples no further apart than a maximum gap, `integral` takes the
trapezoid of each part above zero, after it decided at both ends which part goes where. What the clamps
say is counted at once, by the monotonic clock alone, so that no step of the wall clock adds, loses or
doubles energy. A longer gap counts nothing, not even observed seconds.

Days and tariffs need the wall clock, which the caller gives with each reading, or None while it does not
trust it. Each interval is given to days and prices once, by the wall clock at its end:

* Known: `schedule` cuts the interval where a day ends or a price may change, and each piece, by its share
  of the time, is counted in its day (`days`) and at its price.
* Not known: the interval waits, by the monotonic clock, until the wall clock is known; then
  it is cut and counted in the same way. After a reboot what waits is taken for the time just before it.
* It was believed and steps: what is counted stays where it is. Forward over a midnight, the open day
  ends; days without data are left out. Back before a finished day, energy goes to the open day, since a
  finished day is never opened again. A day that the clock says for 24 h is still to come was opened by a
  clock that was ahead, and takes the date of the present. (A day that was even *finished* by such a clock
  is in the ledger already: the open day then waits until time has caught up with it.)

So for what one meter counts, finished days + open day + undated = totals, always.

Money is counted when the price applies. At a price below zero it goes the other way, into a counter of its own
(`TariffCounts`): counters never go backwards. A standing charge (`standing`) is counted by the wall clock alone.
`MeterState` is all of it as frozen data, which `state` writes as a JSON document and reads back.
`EnergyMeter.merge_recovered` takes back counters from a copy of our metrics.
"""
