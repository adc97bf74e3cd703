"""What is said while Spark starts, and what happened beside the cells."""

from __future__ import annotations

import threading

import pytest

from kg2at_personality.spark_python.notices import Notices
from kg2at_personality.spark_python.progress_line import ProgressLine


def test_a_line_is_shown_once_and_cleared() -> None:
    seen: list[str] = []
    line = ProgressLine(seen.append, lambda: seen.append("cleared"))
    line.tell("elsewhere")
    with line.place():
        thread = threading.Thread(target=line.tell, args=["in a thread"])
        thread.start()
        thread.join()
        line.tell("first")
        line.tell("second")
    with line.place():
        pass
    assert seen == ["first", "cleared"]


def test_a_line_of_a_start_that_fails() -> None:
    seen: list[str] = []
    line = ProgressLine(seen.append, lambda: seen.append("cleared"))
    with pytest.raises(KeyboardInterrupt), line.place():
        line.tell("first")
        raise KeyboardInterrupt
    assert seen == ["first", "cleared"]


def test_notices(capsys: pytest.CaptureFixture[str]) -> None:
    notices = Notices()
    assert not notices.show()
    for n in range(30):
        notices.add(str(n))
    assert notices.show() and not notices.show()
    assert capsys.readouterr().err.split() == [str(n) for n in range(10, 30)]
