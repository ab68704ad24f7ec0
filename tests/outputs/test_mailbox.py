import threading

from sonnen_agent.outputs.mailbox import Mailbox


def test_a_newer_item_takes_the_place_of_an_older_one_of_the_same_sender() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put("a", "old")
    mailbox.put("b", "other")
    mailbox.put("a", "new")

    assert [mailbox.take(), mailbox.take()] == ["new", "other"]


def test_taking_waits_for_an_item() -> None:
    mailbox: Mailbox[str] = Mailbox()
    taken: list[str | None] = []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()))
    thread.start()
    mailbox.put("a", "late")
    thread.join(10)

    assert taken == ["late"]


def test_a_closed_box_wakes_who_waits_and_gives_nothing_more() -> None:
    mailbox: Mailbox[str] = Mailbox()
    taken: list[str | None] = ["unset"]
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()))
    thread.start()
    mailbox.close()
    thread.join(10)
    mailbox.put("a", "too late")

    assert taken == ["unset", None]
    assert mailbox.take() is None
