"""A kernel's messages, changed or sent once more."""

from __future__ import annotations

from jupyter_client.session import Session

from kg2at_personality.kernels.message import repeated
from tests.fakes.messages import SESSION


def test_what_is_sent_once_more_has_a_signature_of_its_own() -> None:
    """A client refuses one that it has seen."""
    message = SESSION.serialize(SESSION.msg("stream", {"text": "ä"}, parent={"msg_id": "cell"}), ident=b"topic")
    message.append(b"buffer")
    client = Session(key=b"key")
    read = [client.deserialize(client.feed_identities(each)[1]) for each in (message, *_repeated(message, 2))]
    assert len({each["header"]["msg_id"] for each in read}) == 3
    for name in ("parent_header", "metadata", "content", "buffers", "msg_type"):
        assert read[0][name] == read[1][name] == read[2][name]


def _repeated(message: list[bytes], count: int) -> list[list[bytes]]:
    return [repeated(SESSION, message) for _ in range(count)]


def test_a_wrong_signature_is_not_made_right() -> None:
    message = Session(key=b"wrong").serialize(SESSION.msg("stream", {}))
    assert repeated(SESSION, message) is message
