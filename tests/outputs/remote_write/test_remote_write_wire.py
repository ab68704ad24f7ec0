import math
import struct

from decoding import decode, double, value_bytes
from hypothesis import given
from hypothesis import strategies as st

from sonnen_agent.outputs.remote_write.wire import (
    STALE,
    series_name,
    series_of,
    varint,
    write_request,
)

names = st.text("abc_", min_size=1, max_size=6)
label_sets = st.dictionaries(names, st.text('aü €"\\\n', min_size=1, max_size=9), min_size=1, max_size=4)


@given(
    st.dictionaries(
        label_sets.map(lambda labels: tuple(sorted(labels.items()))),
        st.dictionaries(st.integers(min_value=-(1 << 40), max_value=1 << 50), st.floats(), min_size=1, max_size=4),
        max_size=5,
    )
)
def test_samples_arrive_as_they_were_by_series_and_time(
    series: dict[tuple[tuple[str, str], ...], dict[int, float]],
) -> None:
    samples = sorted(
        (unix_ms, series_of(dict(labels)), value_bytes(value))
        for labels, values in series.items()
        for unix_ms, value in values.items()
    )

    decoded = decode(write_request([(one, unix_ms, value) for unix_ms, one, value in samples]))

    expected = {
        labels: [(unix_ms, value_bytes(value)) for unix_ms, value in sorted(values.items())]
        for labels, values in series.items()
    }
    assert decoded == expected


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_a_varint_has_seven_bits_a_byte(number: int) -> None:
    encoded = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == number
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]


def test_labels_are_sorted_and_an_empty_one_is_left_out() -> None:
    series = series_of({"job": "sonnen", "__name__": "sonnen_online", "site": "", "instance": "home"})

    (labels,) = decode(write_request([(series, 1, value_bytes(1))]))

    assert labels == (("__name__", "sonnen_online"), ("instance", "home"), ("job", "sonnen"))


def test_a_series_is_shown_as_people_write_it() -> None:
    series = series_of({"job": "sonnen", "__name__": "sonnen_online", "instance": "Haus Süd " * 20})
    assert series_name(series) == f'sonnen_online{{instance="{"Haus Süd " * 20}",job="sonnen"}}'


def test_a_stale_marker_keeps_its_bits() -> None:
    series = series_of({"__name__": "x"})

    ((_, value),) = decode(write_request([(series, 1, STALE)]))[(("__name__", "x"),)]

    assert struct.unpack("<Q", value) == (0x7FF0000000000002,)
    assert math.isnan(double(value))
