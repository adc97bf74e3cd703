"""What a notebook is told below a cell that waits for cores, and that nothing of it stays."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kg2at_personality.web.protocol.client_message import parse
from tests.fakes.cell_pages import Pages, Websocket
from tests.fakes.front_end import merged
from tests.fakes.messages import request, v1

EMPTY = {"output_type": "display_data", "data": {"text/plain": ""}, "metadata": {}}


@pytest.fixture
def pages() -> Pages:
    return Pages("a", "b")


@pytest.fixture
def page(pages: Pages) -> Websocket:
    """A page whose cell `a` runs and has printed a line."""
    websocket = pages.open()
    websocket.send("a", "b")
    pages.begin("a")
    pages.prints("a", "one\n")
    websocket.notebook.kinds()
    return websocket


def is_clean(pages: Pages, *cells: str) -> None:
    """Nothing of any wait is left."""
    for cell in cells:
        assert pages.saved(cell) == pages.plainly_saved(cell)
    assert pages.kernel.wait_line is None


class TestTheLine:
    def test_it_is_shown_updated_and_removed(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits for 1 core")
        pages.wait("waits for 1 core, 2 s")
        assert page.notebook.kinds() == ["display_data", "update_display_data"]
        assert pages.texts("a") == ["one\n", "waits for 1 core, 2 s"]
        pages.wait("")
        assert page.notebook.kinds() == ["clear_output", "stream"]
        is_clean(pages, "a")

    def test_a_wait_that_is_known_before_the_notebook_has_heard_of_the_cell(self, pages: Pages) -> None:
        """The gateway hears a kernel by another socket than the websocket does."""
        websocket = pages.open()
        websocket.send("a")
        pages.kernel.running_cell = "a"
        pages.wait("waits")
        assert websocket.notebook.kinds() == []
        pages.deliver(pages.message("a", "status", {"execution_state": "busy"}))
        assert pages.texts("a") == ["waits"]
        pages.ends("a")
        is_clean(pages, "a")

    def test_it_goes_when_the_cell_ends(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        pages.prints("a", "two\n")
        pages.ends("a")
        assert page.notebook.kinds()[-5:] == ["clear_output", "stream", "stream", "execute_reply", "idle"]
        is_clean(pages, "a")
        pages.wait("still")
        assert page.notebook.kinds() == []

    def test_it_goes_before_an_idle_status_that_comes_before_the_reply(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        pages.says("a", "status", execution_state="idle")
        assert page.notebook.kinds()[-3:] == ["clear_output", "stream", "idle"]
        pages.says("a", "execute_reply", status="ok")
        is_clean(pages, "a")

    def test_one_that_waits_again_is_told_again(self, pages: Pages, page: Websocket) -> None:
        for number in range(3):
            pages.wait(f"waits {number}")
            assert pages.texts("a")[-1] == f"waits {number}"
            pages.wait("")
            is_clean(pages, "a")

    def test_what_it_does_not_change_is_not_sent(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        page.notebook.kinds()
        pages.kernel.core_wait = type(pages.kernel.core_wait)("waits")
        assert page.notebook.kinds() == []

    def test_the_next_cell_has_its_own(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        pages.ends("a")
        pages.begin("b")
        assert pages.texts("b") == [], "of the last one, perhaps"
        pages.wait("waits, 1 s")
        assert pages.texts("b") == ["waits, 1 s"]
        pages.ends("b")
        is_clean(pages, "a", "b")

    def test_a_kernel_that_clears_its_cell_clears_the_line(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        pages.says("a", "clear_output", wait=False)
        assert pages.texts("a") == []
        pages.wait("waits on")
        assert pages.texts("a") == ["waits on"]
        pages.says("a", "clear_output", wait=True)
        pages.prints("a", "two\n")
        assert pages.texts("a") == ["two\n"]
        pages.wait("waits, 3 s")
        assert pages.texts("a") == ["two\n", "waits, 3 s"]
        pages.ends("a")
        is_clean(pages, "a")

    def test_a_kernel_that_is_about_to_clear_its_cell_does_so(self, pages: Pages, page: Websocket) -> None:
        pages.says("a", "clear_output", wait=True)
        pages.wait("waits")
        pages.prints("a", "two\n")
        assert pages.texts("a") == ["two\n"]
        pages.ends("a")
        is_clean(pages, "a")

    @pytest.mark.parametrize("state", ["starting", "dead"])
    def test_it_goes_with_the_kernel(self, pages: Pages, page: Websocket, state: str) -> None:
        pages.wait("waits")
        pages.kernel.execution_state = state
        is_clean(pages, "a")
        pages.wait("waits on")
        pages.begin("b")
        assert pages.texts("a") == ["one\n"] and pages.texts("b") == []

    def test_more_outputs_than_are_kept_leave_an_empty_one(self) -> None:
        pages = Pages("a", limit=2000)
        websocket = pages.open()
        websocket.send("a")
        pages.begin("a")
        for number in range(3):
            pages.says("a", "display_data", data={"text/plain": str(number)}, metadata={})
        for _ in range(2):
            pages.wait("waits")
            assert pages.texts("a") == ["0", "1", "2", "waits"]
            pages.wait("")
        pages.ends("a")
        assert pages.saved("a") == [[*each, EMPTY] for each in pages.plainly_saved("a")]
        assert pages.kernel.wait_line is None

    @pytest.mark.parametrize("msg_type", ["comm_open", "comm_msg", "input_request"])
    def test_a_cell_to_which_the_front_end_adds_something_is_not_cleared(
        self, pages: Pages, page: Websocket, msg_type: str
    ) -> None:
        pages.says("a", msg_type, comm_id="1", target_name="t", data={}, prompt="", password=False)
        pages.wait("waits")
        pages.ends("a")
        assert "clear_output" not in page.notebook.kinds()
        assert pages.saved("a") == [[*each, EMPTY] for each in pages.plainly_saved("a")]

    def test_an_update_that_another_cell_sends_is_kept(self, pages: Pages, page: Websocket) -> None:
        display: dict[str, Any] = {"metadata": {}, "transient": {"display_id": "d"}}
        pages.says("a", "display_data", data={"text/plain": "old"}, **display)
        pages.says("x", "update_display_data", data={"text/plain": "new"}, **display)
        pages.wait("waits")
        pages.ends("a")
        assert pages.texts("a") == ["one\n", "new"]
        is_clean(pages, "a")


class TestWhoIsTold:
    def test_not_who_asked_for_silence(self, pages: Pages) -> None:
        websocket = pages.open()
        websocket.send("a", silent=True)
        pages.begin("a")
        pages.wait("waits")
        assert websocket.notebook.kinds() == ["busy"]

    def test_of_who_has_no_lease_nothing_is_kept(self, pages: Pages) -> None:
        """It never waits, so that none of its outputs has to be sent again."""
        websocket = pages.open()
        pages.kernel.admission = None
        websocket.send("a")
        pages.begin("a")
        pages.prints("a", "one\n")
        assert websocket.notice.running is not None and websocket.notice.running.outputs.messages == []

    def test_not_below_a_cell_with_a_header_that_no_client_sends(self, pages: Pages) -> None:
        websocket = pages.open()
        raw = v1(request("execute_request", {"code": "a"}, msg_id="a", username="u" * 5000))
        websocket.notice.note_sent(parse(raw, True))
        pages.begin("a")
        pages.wait("waits")
        assert websocket.notebook.kinds() == ["busy"]

    def test_not_the_next_cell_of_the_error_of_the_last(self, pages: Pages, page: Websocket) -> None:
        pages.wait("It has waited too long.", is_over=True)
        pages.ends("a", "error")
        pages.begin("b")
        pages.wait("")
        pages.says("b", "error", ename="E", evalue="its own", traceback=[])
        pages.ends("b", "error")
        is_clean(pages, "b")

    def test_not_another_session(self, pages: Pages) -> None:
        websocket, others = pages.open(), [pages.open("s2"), pages.open("")]
        websocket.send("a")
        pages.begin("a")
        pages.wait("waits")
        pages.wait("")
        pages.ends("a")
        for other in others:
            assert other.notebook.kinds() == ["busy", "execute_reply", "idle"]

    def test_each_websocket_of_the_session_once(self, pages: Pages) -> None:
        websockets = [pages.open(), pages.open()]
        websockets[0].send("a")
        pages.kernel.core_note = "2 cores given back"
        pages.begin("a")
        pages.wait("waits")
        pages.wait("")
        for websocket in websockets:
            assert websocket.notebook.kinds() == [
                "busy",
                "display_data",
                "display_data",
                "clear_output",
                "display_data",
            ]

    def test_one_that_reads_slowly_gets_the_last_line_only(self, pages: Pages, page: Websocket) -> None:
        page.notebook.is_ready = False
        pages.wait("waits")
        pages.wait("waits, 1 s")
        assert page.notebook.kinds() == []
        page.notebook.is_ready = True
        assert pages.texts("a") == ["one\n", "waits, 1 s"]
        page.notebook.is_ready = False
        pages.wait("waits, 2 s")
        pages.wait("waits, 3 s")
        pages.wait("")
        assert page.notebook.kinds() == ["display_data", "clear_output", "stream"]
        is_clean(pages, "a")

    def test_a_cell_that_waits_behind_another_is_told_nothing(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        assert pages.texts("b") == []

    def test_a_cell_is_told_nothing_while_the_kernel_runs_one_of_another(self, pages: Pages, page: Websocket) -> None:
        pages.kernel.running_cell = "another"
        pages.wait("waits")
        assert page.notebook.kinds() == []

    def test_nothing_is_recorded_where_nothing_waits(self, pages: Pages, page: Websocket) -> None:
        pages.ends("a")
        pages.begin("b")
        pages.ends("b")
        assert pages.kernel.written == []


class TestReconnects:
    @pytest.mark.parametrize("session", ["s1", ""])
    def test_the_next_websocket_goes_on(self, pages: Pages, session: str) -> None:
        first = pages.open(session)
        first.send("a", "b")
        pages.begin("a")
        pages.prints("a", "one\n")
        pages.wait("waits")
        pages.close(first)
        pages.wait("waits, 2 s")
        foreign = pages.open("s2", is_read=False)
        second = pages.open(session)
        assert pages.texts("a") == ["one\n", "waits, 2 s"]
        pages.wait("waits, 3 s")
        assert pages.texts("a") == ["one\n", "waits, 3 s"]
        pages.ends("a")
        pages.begin("b")
        pages.wait("waits, 4 s")
        assert pages.texts("b") == ["waits, 4 s"]
        pages.ends("b")
        is_clean(pages, "a", "b")
        assert second.notebook.kinds()[-1] == "idle" and "display_data" not in foreign.notebook.kinds()

    @pytest.mark.parametrize("session", ["s1", ""])
    def test_a_wait_that_ended_meanwhile_is_taken_away(self, pages: Pages, session: str) -> None:
        first = pages.open(session)
        first.send("a")
        pages.begin("a")
        pages.wait("waits")
        pages.close(first)
        pages.wait("")
        pages.ends("a")
        pages.open(session)
        is_clean(pages, "a")

    def test_the_other_websocket_of_the_session_goes_on(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        page.notebook.front_ends = []
        second = pages.open()
        assert second.notebook.kinds() == ["clear_output", "stream", "display_data"]
        pages.close(page)
        pages.wait("waits, 2 s")
        assert pages.texts("a") == ["one\n", "waits, 2 s"]
        pages.ends("a")
        is_clean(pages, "a")

    def test_one_that_was_open_before_the_first_closed_takes_over_without_a_session(self, pages: Pages) -> None:
        earlier, first = pages.open("", is_read=False), pages.open("")
        first.send("a")
        pages.begin("a")
        pages.wait("waits")
        first.notebook.front_ends = []
        pages.open("")
        pages.prints("a", "two\n")
        pages.close(first)
        pages.wait("waits, 2 s")
        assert pages.texts("a") == ["waits, 2 s", "two\n"]
        pages.ends("a")
        assert pages.saved("a") == [[EMPTY, *each] for each in pages.plainly_saved("a")]
        assert "display_data" not in earlier.notebook.kinds()

    def test_one_that_was_behind_leaves_its_outputs_alone(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        page.is_behind, page.notebook.front_ends = True, []
        second = pages.open()
        pages.ends("a")
        assert "clear_output" not in second.notebook.kinds()

    @pytest.mark.parametrize("session", ["s1", ""])
    @pytest.mark.parametrize("text", ["", "one\n"])
    def test_the_next_gateway_tells_it_again(self, pages: Pages, session: str, text: str) -> None:
        first = pages.open(session)
        first.send("a")
        pages.begin("a")
        if text:
            pages.prints("a", text)
        pages.wait("waits")
        line = pages.kernel.written[-1]
        assert line is not None and (line.session, line.is_alone) == (session, not text)
        pages.kill()
        foreign = pages.open("s2", is_read=False)
        pages.open(session)
        pages.wait("waits, 9 s")
        pages.wait("waits, 10 s")
        assert pages.texts("a") == [*([text] if text else []), "waits, 10 s"]
        pages.prints("a", "two\n")
        pages.ends("a")
        assert [without_empty(each) for each in pages.saved("a")] == pages.plainly_saved("a")
        assert (EMPTY in pages.saved("a")[0]) is bool(text) and pages.kernel.wait_line is None
        assert "display_data" not in foreign.notebook.kinds()

    def test_an_output_beside_the_line_is_recorded_before_it_is_shown(self, pages: Pages) -> None:
        websocket = pages.open()
        websocket.send("a")
        pages.begin("a")
        pages.wait("waits")
        for _ in range(3):
            pages.prints("a", "one\n")
        assert [line and line.is_alone for line in pages.kernel.written] == [True, False]
        pages.kill()
        pages.open()
        pages.ends("a")
        assert [without_empty(each) for each in pages.saved("a")] == pages.plainly_saved("a")

    @pytest.mark.parametrize("has_failed", [True, False])
    def test_the_next_gateway_replies_to_one_that_fails(self, pages: Pages, has_failed: bool) -> None:
        """The kernel's reply goes to the socket of the last one."""
        pages.open().send("a")
        pages.begin("a")
        pages.wait("waits")
        pages.kill()
        websocket = pages.open()
        pages.wait("It has waited too long.", is_over=True)
        if has_failed:
            pages.says("a", "error", ename="KeyboardInterrupt", evalue="", traceback=[])
        pages.says("a", "status", execution_state="idle")
        replies = [each["content"] for each in websocket.notebook.read if each["msg_type"] == "execute_reply"]
        assert [reply["evalue"] for reply in replies] == ["It has waited too long."] * has_failed
        assert websocket.notebook.read[-1]["msg_type"] == "status"
        assert websocket.notebook.kinds().count("error") == has_failed


class TestItsEnd:
    def test_the_cell_fails(self, pages: Pages, page: Websocket) -> None:
        pages.wait("waits")
        pages.wait("It has waited too long.", is_over=True)
        pages.wait("")
        pages.says("a", "error", ename="KeyboardInterrupt", evalue="", traceback=[])
        pages.says("a", "execute_reply", status="error", ename="KeyboardInterrupt", execution_count=3)
        reply = page.notebook.read[-1]["content"]
        pages.says("a", "status", execution_state="idle")
        failed(pages)
        assert reply["status"] == "error" and reply["ename"] == "SparkWaitTimeout" and reply["execution_count"] == 3
        assert reply["evalue"] == "It has waited too long." and len(reply["traceback"]) == 1

    def test_a_toree_says_its_error_after_its_reply(self, pages: Pages, page: Websocket) -> None:
        pages.wait("It has waited too long.", is_over=True)
        pages.says("a", "execute_reply", status="error", ename="java.lang.InterruptedException")
        pages.says("a", "error", ename="java.lang.InterruptedException", evalue="", traceback=[])
        pages.says("a", "status", execution_state="idle")
        failed(pages)

    def test_a_kernel_that_shows_no_error(self, pages: Pages, page: Websocket) -> None:
        pages.wait("It has waited too long.", is_over=True)
        pages.ends("a", "aborted")
        failed(pages)

    def test_a_reply_after_the_idle_status(self, pages: Pages, page: Websocket) -> None:
        pages.wait("It has waited too long.", is_over=True)
        pages.says("a", "error", ename="KeyboardInterrupt", evalue="", traceback=[])
        pages.says("a", "status", execution_state="idle")
        pages.says("a", "execute_reply", status="error", ename="KeyboardInterrupt")
        failed(pages)
        assert page.notebook.read[-1]["content"]["ename"] == "SparkWaitTimeout"

    def test_a_job_that_got_its_cores_at_that_moment(self, pages: Pages, page: Websocket) -> None:
        pages.wait("It has waited too long.", is_over=True)
        pages.prints("a", "done\n")
        pages.ends("a")
        is_clean(pages, "a")

    def test_the_next_cell_fails_for_itself(self, pages: Pages, page: Websocket) -> None:
        pages.wait("It has waited too long.", is_over=True)
        pages.wait("")
        pages.ends("a", "error")
        pages.begin("b")
        pages.says("b", "error", ename="E", evalue="its own", traceback=[])
        pages.ends("b", "error")
        is_clean(pages, "b")

    @pytest.mark.parametrize("session", ["s1", ""])
    def test_it_ended_while_nobody_was_connected(self, pages: Pages, page: Websocket, session: str) -> None:
        pages.close(page)
        pages.wait("It has waited too long.", is_over=True)
        pages.wait("")
        pages.open()
        pages.says("a", "error", ename="KeyboardInterrupt", evalue="", traceback=[])
        pages.ends("a", "error")
        failed(pages)


def failed(pages: Pages) -> None:
    """The cell has printed a line, and failed."""
    for saved in pages.saved("a"):
        assert [each["output_type"] for each in saved] == ["stream", "error"]
        assert (saved[1]["ename"], saved[1]["evalue"]) == ("SparkWaitTimeout", "It has waited too long.")
    assert pages.kernel.wait_line is None


class TestTheNote:
    def test_it_is_told_once_and_stays(self, pages: Pages) -> None:
        websocket = pages.open()
        websocket.send("x", silent=True)
        websocket.send("a", "b")
        pages.kernel.core_note = "idle for 15 min: 2 cores given back"
        pages.begin("x")
        pages.ends("x")
        assert pages.kernel.core_note
        pages.begin("a")
        pages.wait("waits")
        pages.prints("a", "one\n")
        pages.ends("a")
        pages.begin("b")
        pages.ends("b")
        assert pages.texts("a") == ["idle for 15 min: 2 cores given back", "one\n"] and pages.texts("b") == []
        assert pages.kernel.core_note == ""


def without_empty(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs without those that a line has left empty."""
    return merged([each for each in outputs if each != EMPTY])


class Chance:
    """Drives pages by a seeded random number generator."""

    KINDS = ("stream", "stream", "display", "named", "update", "foreign update", "clear", "clear later", "result")

    def __init__(self, seed: int, limit: int, session: str) -> None:
        self.random, self.session = random.Random(seed), session
        self.pages = Pages("a", "b", limit=limit)
        self.page = self.pages.open(session)
        self.page.send("a", "b")
        self.count = 0

    def run(self, *steps: str) -> None:
        for cell in ("a", "b"):
            self.pages.begin(cell)
            for _ in range(self.random.randrange(25)):
                getattr(self, self.random.choice(steps))(cell)
            last = ["reply", "idle"]
            self.random.shuffle(last)
            for each in last:
                if each == "reply":
                    self.pages.says(cell, "execute_reply", status="ok")
                else:
                    self.pages.says(cell, "status", execution_state="idle")
                self.random.choice([self.wait, lambda cell: None])(cell)

    def output(self, cell: str) -> None:
        self.count += 1
        data = {"data": {"text/plain": f"d{self.count}"}, "metadata": {}}
        named = data | {"transient": {"display_id": self.random.choice("xyz")}}
        match self.random.choice(self.KINDS):
            case "stream":
                self.pages.prints(cell, f"s{self.count}\n")
            case "display":
                self.pages.says(cell, "display_data", **data)
            case "named":
                self.pages.says(cell, "display_data", **named)
            case "update":
                self.pages.says(cell, "update_display_data", **named)
            case "foreign update":
                self.pages.says("elsewhere", "update_display_data", **named)
            case "clear":
                self.pages.says(cell, "clear_output", wait=False)
            case "clear later":
                self.pages.says(cell, "clear_output", wait=True)
            case "result":
                self.pages.says(cell, "execute_result", execution_count=1, **data)

    def wait(self, cell: str) -> None:
        self.count += 1
        self.pages.wait(self.random.choice(["", f"waits {self.count}"]))

    def told(self, cell: str) -> None:
        """Whoever waits is told so, once."""
        self.count += 1
        self.page.notebook.is_ready = True
        self.pages.wait(f"waits {self.count}")
        assert [text for text in self.pages.texts(cell) if text.startswith("waits")] == [f"waits {self.count}"]

    def slow(self, cell: str) -> None:
        self.page.notebook.is_ready = not self.page.notebook.is_ready

    def again(self, cell: str) -> None:
        """The page connects anew."""
        self.pages.close(self.page)
        self.wait(cell)
        self.page = self.pages.open(self.session)

    def away(self, cell: str) -> None:
        """The kernel goes on while the page has no websocket."""
        self.pages.close(self.page)
        for _ in range(self.random.randrange(4)):
            self.random.choice([self.wait, self.output])(cell)
        self.page = self.pages.open(self.session)

    def second(self, cell: str) -> None:
        """The page connects anew while its last websocket is open still."""
        old, self.page.notebook.front_ends = self.page, []
        self.page = self.pages.open(self.session)
        self.random.choice([self.wait, self.output])(cell)
        self.pages.close(old)

    def kill(self, cell: str) -> None:
        self.pages.kill()
        self.page = self.pages.open(self.session)
        self.page.send("b") if cell == "a" else None

    def saved(self) -> list[list[dict[str, Any]]]:
        assert self.pages.kernel.wait_line is None
        return [saved for cell in "ab" for saved in self.pages.saved(cell)]

    def plain(self) -> list[list[dict[str, Any]]]:
        return [saved for cell in "ab" for saved in self.pages.plainly_saved(cell)]


@pytest.mark.parametrize("session", ["s1", ""])
@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_when_nothing_of_it_is_saved(seed: int, session: str) -> None:
    chance = Chance(seed, 2**20, session)
    chance.run("output", "output", "wait", "wait", "told", "slow", "again", "away")
    assert chance.saved() == chance.plain()


@pytest.mark.parametrize("session", ["s1", ""])
@pytest.mark.parametrize("limit", [2**20, 2500])
@pytest.mark.parametrize("seed", range(30))
def test_where_it_can_not_be_taken_away_an_empty_output_is_left(seed: int, limit: int, session: str) -> None:
    chance = Chance(seed, limit, session)
    chance.run("output", "output", "wait", "wait", "slow", "again", "away", "second", "kill")
    assert [without_empty(each) for each in chance.saved()] == [merged(each) for each in chance.plain()]
