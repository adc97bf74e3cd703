from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session

from kg2at_personality.web.toree_protocol import cell_substitute as substitute


@given(st.text())
def test_a_cell_is_found_again_whatever_it_holds(cell: str) -> None:
    scala = substitute.blank(cell)
    assert scala.isascii() and "\n" not in scala.split("\n", 1)[1]
    assert substitute.original(scala) == cell.encode("utf-8", "replace").decode()


def test_what_is_no_substitute() -> None:
    for code in (
        "",
        "println(1)",
        f"{substitute.MARK}\n",
        f'{substitute.MARK}\n() // "a"',
        f"x\n{substitute.blank('y')}",
    ):
        assert substitute.original(code) is None


@pytest.mark.parametrize(
    "code",
    ["", " \n\t", "// one", "// one\n\n  // two", "/* a */", "/* a /* nested */ b */ // c", "/***/", "//\n/**/\n"],
)
def test_blank_cells(code: str) -> None:
    assert substitute.is_blank(code)


@pytest.mark.parametrize(
    "code", ["1", "// one\n2", "/* a */ 1", "/* open", "/* a /* b */", "/ /", "%%html", '"//"', "*/", "/* a */ */"]
)
def test_cells_that_say_something(code: str) -> None:
    assert not substitute.is_blank(code)


def message(session: Session, msg_type: str, **content: Any) -> list[Any]:
    """The parts of a kernel's message, signature first."""
    return list(session.feed_identities(session.serialize(session.msg(msg_type, content)))[1])


def test_a_notebook_is_told_of_its_own_cell() -> None:
    kernel, ours = Session(key=b"key"), Session(key=b"key")
    told = message(kernel, "execute_input", code=substitute.blank("// mine é"), execution_count=7)
    restored = substitute.restored(ours, told)
    assert restored is not None
    content = ours.deserialize(ours.feed_identities(restored)[1])["content"]
    assert content == {"code": "// mine é", "execution_count": 7}


def test_other_messages_are_left_alone() -> None:
    kernel, ours = Session(key=b"key"), Session(key=b"key")
    assert substitute.restored(ours, message(kernel, "execute_input", code="1 + 1", execution_count=7)) is None
    assert substitute.restored(ours, message(kernel, "stream", name="stdout", text=substitute.blank("x"))) is None
    forged = message(Session(key=b"another"), "execute_input", code=substitute.blank("x"), execution_count=7)
    assert substitute.restored(ours, forged) is None
