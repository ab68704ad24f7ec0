"""Remote write 1.0: every sample with its own time, to Prometheus, VictoriaMetrics, Mimir or Thanos.

What the receiver needs:

* Prometheus: `--web.enable-remote-write-receiver`, and in its config, from 2.39 on,

      storage:
        tsdb:
          out_of_order_time_window: 24h

  at least as long as the outages that shall leave no gap. Without the window it takes what was missed
  in an outage of some ten minutes; of a longer one, only what comes after.
* Mimir: the tenant in `headers` (X-Scope-OrgID), and `out_of_order_time_window` in its limits.
* Thanos: `--tsdb.out-of-order.time-window` of its receiver.
* VictoriaMetrics: nothing.

In what order: a short backlog goes out before the present, so that nothing is out of order. Before a
longer one the present goes first, then what waits, oldest first, between the beats. The first request
has no samples; it asks for the receiver's time (see `stamps`).

Written to disk is only what could not be sent (see `spool`).
"""
