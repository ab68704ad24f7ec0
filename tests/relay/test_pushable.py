import pytest

from sonnen_agent.errors import ExchangeError
from sonnen_agent.relay import pushable

NODE = b"""\
# HELP go_gc_duration_seconds A summary of the pause duration of garbage collection cycles.
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 4.07e-05
go_gc_duration_seconds_sum 0.000177821
go_gc_duration_seconds_count 3
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 89045.35
# HELP node_filesystem_avail_bytes Filesystem space available to non-root users in bytes.
# TYPE node_filesystem_avail_bytes gauge
node_filesystem_avail_bytes{device="/dev/mmcblk0p2",fstype="ext4",mountpoint="/"} 2.515968e+10
# HELP node_netstat_Ip_Forwarding Statistic IpForwarding.
# TYPE node_netstat_Ip_Forwarding untyped
node_netstat_Ip_Forwarding 1
# HELP reads A counter whose name does not say so.
# TYPE reads counter
reads 7
no_type NaN
"""


OF_THE_NODE = NODE[NODE.index(b"# HELP node_cpu") :]


def test_a_page_without_timestamps_goes_on_as_it_is() -> None:
    assert pushable(OF_THE_NODE) == OF_THE_NODE


def test_what_an_exporter_says_of_its_own_process_is_left_out_with_its_types_and_help_texts() -> None:
    # The gateway has these names, too: where its help texts differ it logs each push as inconsistent.
    assert pushable(NODE) == OF_THE_NODE
    process = (
        b"# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n"
        b"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0.3\n"
        b' promhttp_metric_handler_requests_total{code="200"} 4 1700000000000\n'
    )
    assert pushable(process + NODE + process) == OF_THE_NODE
    kept = b"# HELP gopher go_ and process_ are told of here.\ngopher 1\nnamedprocess_count 2\npromhttpd 3\n# go_ on\n"
    assert pushable(kept) == kept


def test_what_is_left_out_is_in_the_text_format_all_the_same() -> None:
    with pytest.raises(ExchangeError, match=r"^line 2 is not in"):
        pushable(b"a 1\ngo_info one\n")


@pytest.mark.parametrize(
    "sample",
    [
        b"a 1",
        b"a\t-1.5e-07",
        b' a { b = "c" , d="e", }\t+Inf',
        b"a:b_c{}  nan",
        b'a{b="x 1 1700000000000"} .5',
        b'a{b="}"} 1',
        b'a{b="{}", c="\\"} 2 3"} 4',
        b'a{b="\\\\"} 5.',
        b'a{b="line\\nfeed # no comment"} 6E+3',
        'a{b="Küche ☀"} -Inf'.encode(),
        b'a{b=""}7',
    ],
)
@pytest.mark.parametrize("timestamp", [b"", b" 1700000000000", b"\t -5", b" 1700000000.123", b" 1.7e9", b"  "])
def test_a_timestamp_is_taken_off_and_nothing_else(sample: bytes, timestamp: bytes) -> None:
    assert pushable(sample + timestamp + b"\n") == sample + b"\n"


def test_lines_end_in_a_line_feed_alone_and_so_does_the_last() -> None:
    assert pushable(b"# a comment\r\n\r\na 1\r\nb 2 5\r\nc 3") == b"# a comment\n\na 1\nb 2\nc 3\n"


@pytest.mark.parametrize("page", [b"", b"\n", b"# EOF\n", b"# HELP a A help text 1 2 3\n", b"#\n"])
def test_a_page_without_samples_is_a_page(page: bytes) -> None:
    assert pushable(page) == page


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (b"<!DOCTYPE html>\n<html>", "line 1 is not in Prometheus's text format: '<!DOCTYPE html>'"),
        (b"\n<p>node</p>\n", "line 2 is not in Prometheus's text format: '<p>node</p>'"),
        (b'{"up": 1}', "line 1 is not in Prometheus's text format: '{\"up\": 1}'"),
        (b"[1, 2]\n", "line 1 is not in Prometheus's text format: '[1, 2]'"),
        (b"404 page not found\n", "line 1 is not in Prometheus's text format: '404 page not found'"),
        (b"a 1\nOK\n", "line 2 is not in Prometheus's text format: 'OK'"),
        (b'a{b="c} 1\n', "line 1 is not in Prometheus's text format: 'a{b=\"c} 1'"),
        (b"a 1 2 3\n", "line 1 is not in Prometheus's text format: 'a 1 2 3'"),
        (b"a one\n", "line 1 is not in Prometheus's text format: 'a one'"),
        (b"\x1f\x8b\x08\x00\xff", r"line 1 is not in Prometheus's text format: '\x1f�\x08\x00�'"),
        (b"<" * 1000, f"line 1 is not in Prometheus's text format: '{'<' * 80}'"),
    ],
)
def test_what_is_no_page_is_refused_with_the_line(page: bytes, problem: str) -> None:
    with pytest.raises(ExchangeError, match=r"^line \d+ is not in") as caught:
        pushable(page)
    assert caught.value.outcome == "invalid"
    assert str(caught.value) == f"{problem}; the URL of an exporter's page most often ends in /metrics"


def test_a_page_with_a_name_of_our_own_is_refused_with_it() -> None:
    # Pushed before the battery's, it could keep the gateway from ever taking that.
    with pytest.raises(ExchangeError, match="is a name of") as caught:
        pushable(b'# TYPE sonnen_online counter\nup 1\nsonnen_online{a="b"} 1\n')
    assert str(caught.value) == "line 3: sonnen_online is a name of the agent's own, and not pushed along"
    assert pushable(b"sonnenschein 1\n") == b"sonnenschein 1\n"


@pytest.mark.parametrize("name", ["push_time_seconds", "push_failure_time_seconds", "push_time_seconds_bucket"])
def test_a_page_with_a_name_of_the_gateways_own_is_refused_with_it(name: str) -> None:
    with pytest.raises(ExchangeError, match=f"^line 1: {name} is a name of the gateway's own, and not pushed along$"):
        pushable(f"{name} 1\n".encode())
    assert pushable(b"pushes_total 1\n") == b"pushes_total 1\n"


def test_a_line_made_to_take_long_takes_no_longer_than_its_length() -> None:
    # A pattern that tries every way to read this would never come to an end.
    for line in (b"a{" + b'"",' * 100_000, b'a{b="' + b"\\\\" * 100_000, b"a " + b"1" * 200_000 + b"x", b"a{" * 50_000):
        with pytest.raises(ExchangeError, match="is not in Prometheus's text format"):
            pushable(line)
