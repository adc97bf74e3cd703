"""Reading one response of a master: the clock it tells, and what is no answer."""

from __future__ import annotations

import io
import json

import pytest
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from kg2at_personality.errors import MalformedAnswer, MasterUnreachable
from kg2at_personality.spark.master_response import read_response

URL = "http://m:8080"
#: One application that began 2026-01-01T00:00:00Z.
STATE = {
    "status": "ALIVE",
    "workers": [],
    "aliveworkers": 0,
    "activeapps": [{"id": "app-1", "starttime": 1767225600000}],
}


def response(code: int = 200, body: str | None = None, **headers: str) -> HTTPResponse:
    content = json.dumps(STATE) if body is None else body
    return HTTPResponse(HTTPRequest(URL), code, HTTPHeaders(headers), io.BytesIO(content.encode()))


def test_an_applications_age_is_by_the_date_of_the_response() -> None:
    [app] = read_response(response(Date="Thu, 01 Jan 2026 00:01:00 GMT"), URL).apps
    assert app.age_s == 60.0


@pytest.mark.parametrize("date", ["", "now", "Thu, 99 Jan 2026 00:01:00 GMT", "0"])
def test_without_a_date_no_age_is_known(date: str) -> None:
    assert read_response(response(Date=date), URL).apps[0].age_s is None
    assert read_response(response(), URL).apps[0].age_s is None


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (response(302, Location="https://u:p@m:8480/json/"), MasterUnreachable, "redirects to https://m:8480/json/"),
        (response(302), MasterUnreachable, "redirects to nowhere"),
        (response(503), MasterUnreachable, "HTTP 503"),
        (response(body="<html>"), MalformedAnswer, "not JSON but 6 bytes of no content type"),
        (response(body="[]"), MalformedAnswer, "expected an object, got an array"),
        (response(body="{}"), MalformedAnswer, "no 'status' in it"),
    ],
)
def test_what_is_no_answer(answer: HTTPResponse, kind: type[MasterUnreachable], message: str) -> None:
    with pytest.raises(MasterUnreachable, match=message) as raised:
        read_response(answer, URL)
    assert (type(raised.value), raised.value.url) == (kind, URL)
