from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonnen_agent.outputs.remote_write.batch import Batch
from sonnen_agent.outputs.remote_write.client import WriteError
from sonnen_agent.outputs.remote_write.wire import Sample, Series

REJECTED = WriteError("rejected", "answered 400: duplicate sample")
TOO_OLD = WriteError("rejected", "answered 400: out of bounds")
LATER = WriteError("timeout", "no answer in time")


def named(number: int) -> Series:
    return (("__name__", f"sonnen_{number}"),)


def samples(series: int, times: int) -> list[Sample]:
    return [(named(one), 1000 * time, b"8 bytes.") for time in range(times) for one in range(series)]


class Trial:
    """A receiver that stores a request unless something in it is bad, and what became of the samples."""

    def __init__(self, bad: Callable[[Sample], bool], error: WriteError = REJECTED) -> None:
        self.bad = bad
        self.error = error
        self.requests: list[Sequence[Sample]] = []
        self.stored: list[Sample] = []
        self.rejected: list[Sample] = []

    def deliver(self, batch: Batch) -> None:
        while batch.next:
            piece = list(batch.next)
            self.requests.append(piece)
            is_bad = any(map(self.bad, piece))
            if not is_bad:
                self.stored += piece
            batch.tell(self.error if is_bad else None)

    def reject(self, dropped: Sequence[Sample], _: WriteError) -> None:
        self.rejected += dropped


def test_a_good_batch_goes_as_one() -> None:
    trial = Trial(lambda _: False)
    trial.deliver(Batch(samples(150, 33), trial.reject))
    assert trial.requests == [samples(150, 33)]


@pytest.mark.parametrize("place", [0, 1234, 4949])
def test_one_bad_sample_of_five_thousand_is_found_and_dropped_alone(place: int) -> None:
    all_samples = samples(150, 33)
    trial = Trial(lambda sample: sample == all_samples[place])

    trial.deliver(Batch(all_samples, trial.reject))

    assert trial.rejected == [all_samples[place]]
    assert sorted(trial.stored) == sorted(set(all_samples) - {all_samples[place]})
    assert len(trial.requests) <= 30


def test_the_samples_of_each_series_stay_in_order() -> None:
    trial = Trial(lambda sample: sample[0] == named(7))
    trial.deliver(Batch(samples(20, 16), trial.reject))
    for series in {sample[0] for sample in trial.stored}:
        times = [unix_ms for one, unix_ms, _ in trial.stored if one == series]
        assert times == sorted(times)
    assert {sample[0] for sample in trial.rejected} == {named(7)}
    assert len(trial.stored) == 19 * 16


@pytest.mark.parametrize(
    "bad",
    [range(40), range(60, 150), range(0, 150, 2), (3, 70, 71, 149), (0,)],
)
@pytest.mark.parametrize("times", [1, 33])
def test_series_that_are_rejected_cost_the_others_nothing(bad: Sequence[int], times: int) -> None:
    names = {named(number) for number in bad}
    trial = Trial(lambda sample: sample[0] in names)
    trial.deliver(Batch(samples(150, times), trial.reject))
    assert {sample[0] for sample in trial.rejected} == names
    assert len(trial.stored) == (150 - len(names)) * times


def test_samples_of_a_batch_that_are_all_too_old_take_two_requests() -> None:
    trial = Trial(lambda _: True, TOO_OLD)
    trial.deliver(Batch(samples(150, 33), trial.reject))
    assert len(trial.requests) == 2
    assert sorted(trial.rejected) == sorted(samples(150, 33))


@pytest.mark.parametrize("boundary", [1, 16, 20, 32])
def test_only_what_is_too_old_is_dropped_for_its_age(boundary: int) -> None:
    trial = Trial(lambda sample: sample[1] < 1000 * boundary, TOO_OLD)
    trial.deliver(Batch(samples(150, 33), trial.reject))
    assert sorted(trial.rejected) == sorted(sample for sample in samples(150, 33) if sample[1] < 1000 * boundary)
    assert len(trial.stored) == 150 * (33 - boundary)
    assert len(trial.requests) <= 40


def test_a_receiver_that_rejects_everything_is_not_asked_for_every_sample() -> None:
    trial = Trial(lambda _: True)
    trial.deliver(Batch(samples(150, 33), trial.reject))
    assert sorted(trial.rejected) == sorted(samples(150, 33))
    assert len(trial.requests) < 300


def test_series_that_were_rejected_before_go_apart_and_as_one() -> None:
    apart = frozenset({named(3), named(4)})
    trial = Trial(lambda sample: sample[0] == named(4))
    trial.deliver(Batch(samples(10, 1), trial.reject, apart))
    assert [{one[0] for one in request} for request in trial.requests] == [
        {sample[0] for sample in samples(10, 1)} - apart,
        apart,
    ]
    assert {sample[0] for sample in trial.rejected} == apart


def test_what_was_not_sent_is_left() -> None:
    trial = Trial(lambda _: False)
    batch = Batch(samples(4, 2), trial.reject)
    batch.tell(REJECTED)
    batch.tell(None)
    batch.tell(LATER)
    trial.deliver(batch)
    assert sorted(trial.stored) == sorted(sample for sample in samples(4, 2) if sample[0] > named(1))
    assert trial.rejected == []


def test_two_samples_of_one_series_and_one_moment_are_dropped_together() -> None:
    twice = [(named(1), 1000, b"8 bytes."), (named(1), 1000, b"8 others")]
    trial = Trial(lambda _: True)
    trial.deliver(Batch(twice, trial.reject))
    assert trial.requests == [twice]
    assert trial.rejected == twice


@given(st.data())
def test_every_sample_is_either_stored_or_rejected(data: st.DataObject) -> None:
    all_samples = samples(
        data.draw(st.integers(min_value=1, max_value=12)), data.draw(st.integers(min_value=1, max_value=8))
    )
    bad = set(data.draw(st.lists(st.sampled_from(all_samples), max_size=5)))
    error = data.draw(st.sampled_from([REJECTED, TOO_OLD]))
    trial = Trial(bad.__contains__, error)

    trial.deliver(Batch(all_samples, trial.reject))

    assert sorted(trial.stored + trial.rejected) == sorted(all_samples)
    assert bad <= set(trial.rejected)
    if error is REJECTED and len(bad) <= 2:
        assert set(trial.rejected) == bad
