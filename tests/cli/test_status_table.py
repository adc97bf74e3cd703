"""The words of the status tables."""

from __future__ import annotations

import pytest

from kg2at_personality.cli import status_table
from kg2at_personality.cli.status_table import print_status, rows_of


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), ("soon", "soon"), (7.4, "7 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")],
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
