"""The words of the status tables."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from kg2at_personality.cli import status_table
from kg2at_personality.cli.status_table import print_status, rows_of


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), ("soon", "soon"), (7.4, "7 s"), (119, "119 s"), (120, "2 min"), (600, "10 min"), (9000, "2.5 h")],
)
def test_spans(seconds: object, said: str) -> None:
    assert status_table._span(seconds) == said


@pytest.mark.parametrize("since", ["", "yesterday", None, 5])
def test_what_is_no_time_stays(since: object) -> None:
    assert status_table._clock(since) == since


@pytest.mark.parametrize(("part", "rows"), [(None, []), (5, []), ({"a": 1}, [{"a": 1}]), ([{"a": 1}, 5], [{"a": 1}])])
def test_rows_of_a_part(part: object, rows: list[dict[str, int]]) -> None:
    assert rows_of({"part": part}, "part") == rows


def test_a_cluster_that_says_little(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = {"master": "http://m:8080", "error": "no answer", "memory_total_mib": 1024}
    print_status("http://g", {"kernels": [{"kernel_id": "a"}], "queue": [{"cores": "x"}], "cluster": cluster})
    out = capsys.readouterr().out
    assert "MASTER         ERROR" in out and "KERNEL\na\n" in out and "WAITS FOR\nx\n" in out


def test_columns_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has given cores back; and an older gateway says nothing of cores held and admitted."""
    plain = {"kernel_id": "a", "cores": 2, "cores_held": 0, "cores_admitted": 0, "given_back": 0, "idle_since": None}
    print_status("http://g", {"kernels": [plain, {"kernel_id": "b", "cores": 1}], "queue": [{"app_id": None}]})
    out = capsys.readouterr().out
    assert "KERNEL  CORES\na       2\nb       1\n" in out and "APPLICATION" not in out


def test_cores_held_of_those_admitted_and_how_long_it_is_idle(capsys: pytest.CaptureFixture[str]) -> None:
    since = datetime.now(timezone.utc) - timedelta(minutes=15)
    row = {"cores": 2, "cores_held": 0, "cores_admitted": 2, "given_back": 2, "idle_since": since.isoformat()}
    print_status("http://g", {"kernels": [row], "queue": [{"position": 1, "app_id": "app-7"}]})
    out = capsys.readouterr().out
    assert "CORES   IDLE FOR\n0 of 2  15 min\n" in out and "PLACE  APPLICATION\n1      app-7\n" in out


def test_the_last_failures(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"time": None, "name": "n", "user": "ann", "what": "refused", "message": f"busy {i}"} for i in range(50)]
    print_status("http://g", {"failures": rows})
    out = capsys.readouterr().out
    assert "The last failures and refusals\nKERNEL  USER  WHAT     WHY\nn       ann   refused  busy 0\n" in out
    assert "busy 4" in out and "busy 5" not in out


@pytest.mark.parametrize(("since", "said"), [(None, ""), ("yesterday", ""), (7, ""), ("2999-01-01T00:00:00Z", "0 s")])
def test_how_long_ago_is_no_time(since: object, said: str) -> None:
    assert status_table._span_since(since) == said
