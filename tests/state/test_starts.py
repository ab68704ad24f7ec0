from pathlib import Path

import pytest

from sonnen_agent.state.starts import Starts


def test_the_pause_grows_with_each_start_in_a_row_and_has_a_bound(tmp_path: Path) -> None:
    pauses = [Starts(tmp_path).begin() for _ in range(12)]
    assert pauses[:8] == [0, 0, 0, 10, 20, 40, 80, 160]
    assert set(pauses[8:]) == {300}


def test_who_was_steady_or_stopped_begins_anew(tmp_path: Path) -> None:
    for _ in range(8):
        Starts(tmp_path).begin()
    Starts(tmp_path).forget()
    assert Starts(tmp_path).begin() == 0


def test_without_a_runtime_directory_nobody_waits() -> None:
    assert [Starts(None).begin() for _ in range(8)] == [0] * 8


@pytest.mark.parametrize("content", ["", "many", "-5", "1e3", "\u00b2"])
def test_a_file_that_is_not_ours_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "starts").write_text(content)
    assert Starts(tmp_path).begin() == 0


def test_a_huge_number_means_the_longest_pause(tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("9" * 1000)
    assert Starts(tmp_path).begin() == 300
