"""What a master sends that is too much, or no number that Java knows."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg2at_personality.errors import MalformedAnswer, MasterUnreachable
from kg2at_personality.spark import master_answer, master_response
from kg2at_personality.spark.cluster import ClusterState
from kg2at_personality.spark.master import MasterClient
from kg2at_personality.spark.master_answer import parse
from tests.fakes.examples import examples
from tests.fakes.master import FakeApp, FakeMaster
from tests.fakes.master_server import MasterServer

#: Text without half characters, which no UTF-8 has.
TEXT = partial(st.text, st.characters(codec="utf-8"))
#: Bytes of a small piece.
PIECE = 1024
LONG = 20.0  # seconds; time-outs that must not pass


def busy_master(apps: int) -> FakeMaster:
    master = FakeMaster()
    master.add_worker(8, 16 * 1024)
    # As if they had registered: the fake's scheduler goes through all of them for each.
    master.apps = [FakeApp(f"nightly {n}", 1, None, 1024, None, "u", 0.0, f"app-{n}") for n in range(apps)]
    return master


def asked(master: FakeMaster, **options: Any) -> ClusterState:
    async def ask() -> ClusterState:
        async with MasterServer(master) as server:
            return await MasterClient([server.url], timeout=LONG, **options).state()

    return asyncio.run(ask())


@pytest.fixture
def parsed_in(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Return the threads in which answers are made into states."""
    threads: list[threading.Thread] = []
    real: Callable[..., ClusterState] = master_response.cluster_state

    def spy(*args: Any, **kwargs: Any) -> ClusterState:
        threads.append(threading.current_thread())
        return real(*args, **kwargs)

    monkeypatch.setattr(master_response, "cluster_state", spy)
    return threads


class TestMuch:
    def test_it_is_parsed_outside_the_event_loops_thread(self, parsed_in: list[threading.Thread]) -> None:
        assert len(asked(busy_master(1000)).apps) == 1000
        assert parsed_in != [] and threading.main_thread() not in parsed_in

    def test_little_waits_for_no_thread(self, parsed_in: list[threading.Thread]) -> None:
        asked(busy_master(1))
        assert parsed_in == [threading.main_thread()]

    def test_it_is_parsed_a_piece_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Python's parser lets no other thread run meanwhile, the event loop's neither."""
        sizes = []
        real = master_answer._DECODER.raw_decode

        class Decoder:
            def raw_decode(self, text: str, at: int) -> Any:
                sizes.append(len(text))
                return real(text, at)

        monkeypatch.setattr(master_answer, "_DECODER", Decoder())
        assert len(asked(busy_master(1000)).apps) == 1000
        assert len(sizes) > 1000 and max(sizes) <= master_answer.PIECE

    def test_what_is_over_the_bound_is_no_answer(self) -> None:
        with pytest.raises(MasterUnreachable, match=r"http://127\.0\.0\.1:"):
            asked(busy_master(1000), max_answer=100_000)
        assert len(asked(busy_master(10), max_answer=100_000).apps) == 10

    def test_rows_without_end_are_malformed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(master_response, "parse", partial(parse, most=999))
        with pytest.raises(MalformedAnswer):
            asked(busy_master(1000))


class TestPieces:
    @settings(max_examples=examples(50))
    @given(
        st.dictionaries(
            TEXT(max_size=5) | st.sampled_from(sorted(master_answer.ROWS)),
            st.integers(-(10**9), 10**9)
            | TEXT(max_size=4)
            | st.none()
            | st.lists(st.dictionaries(TEXT(max_size=2), st.integers(0, 99) | st.booleans(), max_size=2), max_size=40),
        ),
        st.sampled_from([None, 0, 2, 40]),
        st.booleans(),
    )
    def test_they_say_what_the_whole_says(self, content: dict[str, Any], indent: int | None, is_ascii: bool) -> None:
        body = json.dumps(content, indent=indent, ensure_ascii=is_ascii).encode()
        lists = {key for key, value in content.items() if isinstance(value, list) and key not in master_answer.ROWS}
        kept = content | {key: [] for key in lists}
        assert parse(body, PIECE) == (content if len(body) <= PIECE else kept)

    @pytest.mark.parametrize(
        "text",
        [
            "[1]" + " " * 2000,
            '{"a": 1} {}',
            '{"a" 1}',
            '{"a": 1,}',
            "{1: 2}",
            '{"a": [1, 2',
            '{"a": [1 2]}',
            '{"workers": [{]}',
            '{"a": ' + "[" * 1000,
            '{"a": "' + "x" * 1500 + '"}',
            '{"a": ' + "1" * 1500 + "}",
            "{",
            "",
        ],
    )
    def test_what_is_no_json_or_has_a_value_of_any_length_is_told(self, text: str) -> None:
        with pytest.raises((ValueError, RecursionError)):
            parse(text.ljust(2000).encode(), PIECE)


@pytest.mark.parametrize("digits", [20, 4300, 100_000])
@pytest.mark.parametrize("key", ["cores", "memoryused"])
def test_a_number_that_no_java_has_is_malformed(digits: int, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python writes none of more than 4,300 digits, nor a sum that has one more: each would be a 500 somewhere."""
    real = FakeMaster.to_json

    def to_json(master: FakeMaster, *args: Any) -> dict[str, Any]:
        state = real(master, *args)
        state["workers"][0][key] = "NUMBER"
        return state

    monkeypatch.setattr(FakeMaster, "to_json", to_json)
    real_dumps = json.dumps
    monkeypatch.setattr(json, "dumps", lambda *a, **k: real_dumps(*a, **k).replace('"NUMBER"', "9" * digits))
    with pytest.raises(MalformedAnswer) as raised:
        asked(busy_master(1))
    assert len(str(raised.value)) < 300


def test_an_applications_age_is_by_the_masters_own_clock() -> None:
    master = busy_master(1)
    master.epoch -= 7200
    [app] = asked(master).apps
    assert app.age_s == pytest.approx(7200, abs=LONG)
