"""Takes parcels to the receiver, one request at a time, and listens to what else its answers tell."""

from collections.abc import Sequence
from dataclasses import replace

from sonnen_agent.outputs.remote_write.beat import Sample
from sonnen_agent.outputs.remote_write.parcel import Parcel
from sonnen_agent.outputs.remote_write.receiver import Receiver, Verdict
from sonnen_agent.outputs.remote_write.stamps import Stamps


class Courier:
    """Between parcels and a receiver."""

    def __init__(self, receiver: Receiver, stamps: Stamps) -> None:
        self._receiver = receiver
        self._stamps = stamps
        self._takes_empty = False
        """Whether the receiver ever took a request without samples: who did has no reason to refuse one later."""

    def ask(self) -> Verdict:
        """Send a request without samples, for the sake of the answer."""
        verdict = self._write(())
        self._takes_empty = self._takes_empty or verdict.kind == "taken"
        return verdict

    def carry(self, parcel: Parcel, *, errors_are_refusals: bool = False) -> Verdict:
        """Send the next piece of a parcel, and return what became of it.

        When all of it is refused, piece after piece, and then even a request without samples is, the
        samples are not at fault, and are kept: a proxy may answer 400 to everything.
        """
        verdict = self._write(parcel.next())
        if errors_are_refusals and verdict.status == 500:
            verdict = replace(verdict, kind="refused", outcome="rejected")
        parcel.judged(verdict)
        if verdict.kind == "refused" and parcel.hopeless and not parcel.done:
            if self._takes_empty and self._write(()).kind != "taken":
                return replace(verdict, kind="later", words=f"{verdict.words} (and the same to an empty request)")
            parcel.give_up(verdict)
        return verdict

    def close(self) -> None:
        """Close the connection."""
        self._receiver.close()

    def _write(self, samples: Sequence[Sample]) -> Verdict:
        verdict = self._receiver.write(samples)
        if verdict.status is not None:
            self._stamps.heard(verdict.date)
        return verdict
