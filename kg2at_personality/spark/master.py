"""A client of the Spark master's web UI (`GET /json/`, `POST /app/kill/`, pages): asynchronous, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from tornado.httpclient import HTTPError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from ..errors import MasterUnreachable
from .cluster import ALIVE, ClusterState
from .master_answer import is_small
from .master_options import MAX_ANSWER, MasterOptions
from .master_response import read_response
from .master_ui import shown

MIN_BUFFER = 256 * 1024  # bytes
_Answer = ClusterState | MasterUnreachable


class MasterClient:
    """Asks the masters of one cluster, whose web UIs have these `urls`. It keeps which of them was ALIVE last.

    The options are those of MasterOptions; `ca_certs` None: the system's. A poll in which the remembered master hangs
    takes up to twice the `timeout`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout: float,
        validate_cert: bool = True,
        ca_certs: str | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self.urls = tuple(urls)
        self.timeout = timeout
        self.max_answer = max_answer
        self.validate_cert = validate_cert
        self.ca_certs = ca_certs
        self._alive: str | None = None
        self._client: SimpleAsyncHTTPClient | None = None

    @classmethod
    def with_options(cls, urls: Sequence[str], options: MasterOptions) -> MasterClient:
        """Return a client of the masters whose web UIs have these addresses; see `master_urls`."""
        return cls(
            urls,
            timeout=options.timeout,
            validate_cert=options.validate_cert,
            ca_certs=options.ca_certs or None,
            max_answer=options.max_answer,
        )

    async def state(self) -> ClusterState:
        """Return the ALIVE master's state; else that of one that is RECOVERING, whose workers grant nothing yet.

        The master that was ALIVE last is asked alone; if it isn't any more, all others at the same time. Raises
        MasterUnreachable with each URL and how it failed. Cancelling it leaves at most a request that ends within
        `timeout`, its result unused.
        """
        return (await self._find())[1]

    async def kill_application(self, app_id: str) -> None:
        """Have the ALIVE master, which is looked for as by `state`, end an application.

        Spark's UI redirects to its start page whether it did so or not (`MasterWebUI`, `createRedirectHandler`): it
        does nothing for an id it doesn't know, without `spark.ui.killEnabled`, and for whom its ACLs keep out. Only
        the next `state` tells. Raises MasterUnreachable as `state` does, when none is ALIVE, and for HTTP 400 and up.
        """
        url, state = await self._find()
        if state.status != ALIVE:
            raise MasterUnreachable(shown(url), f"it is {state.status} and ends no application")
        try:
            response = await self._fetch(f"{url}/app/kill/", urlencode({"id": app_id, "terminate": "true"}))
        except Exception as error:
            raise self._failed(url, error) from error
        if response.code >= 400:
            raise MasterUnreachable(shown(url), f"HTTP {response.code} {response.reason} instead of ending {app_id}")

    async def text(self, address: str, most: int) -> str:
        """Return the first `most` bytes of what is at `address`, as text; the rest is dropped.

        A path, "/...", is of the master that was ALIVE last, so `state` comes first. Another address is a worker's; the
        caller has held it against the master's answer. Raises MasterUnreachable with the address, also for a redirect.
        """
        if address.startswith("/") and self._alive is None:
            raise MasterUnreachable("(none)", "no master is known to be ALIVE")
        url = f"{self._alive}{address}" if address.startswith("/") else address
        body = bytearray()
        try:
            response = await self._fetch(url, take=lambda chunk: body.extend(chunk[: most - len(body)]))
        except Exception as error:
            raise self._failed(url, error) from error
        if response.code != 200:
            raise MasterUnreachable(shown(url), f"HTTP {response.code} {response.reason}")
        return body.decode("utf-8", "replace")

    async def _find(self) -> tuple[str, ClusterState]:
        """Return the address of the master that counts, and its state."""
        answers: dict[str, _Answer] = {}
        if self._alive is not None:
            answers[self._alive] = await self._ask(self._alive)
        if not any(map(_is_alive, answers.values())):
            answers |= await self._ask_all([url for url in self.urls if url not in answers])
        return self._best(answers)

    def close(self) -> None:
        """Close the sockets. The next `state()` opens them again. Idempotent."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _best(self, answers: Mapping[str, _Answer]) -> tuple[str, ClusterState]:
        for status in (ALIVE, "RECOVERING", "COMPLETING_RECOVERY"):
            for url, answer in answers.items():
                if isinstance(answer, ClusterState) and answer.status == status:
                    self._alive = url if status == ALIVE else self._alive
                    return url, answer
        raise _failure(answers)

    async def _ask_all(self, urls: Sequence[str]) -> dict[str, _Answer]:
        """Ask all at the same time, and don't wait for the rest when one is ALIVE."""
        tasks = {asyncio.ensure_future(self._ask(url)): url for url in urls}
        answers: dict[str, _Answer] = {}
        try:
            while len(answers) < len(tasks) and not any(map(_is_alive, answers.values())):
                waiting = [task for task, url in tasks.items() if url not in answers]
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                answers |= {tasks[task]: task.result() for task in done}
            return answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, url: str) -> _Answer:
        """Return one master's state, or how asking it failed."""
        try:
            response = await self._fetch(f"{url}/json/")
            if is_small(response.body):
                return read_response(response, shown(url))
            return await asyncio.to_thread(read_response, response, shown(url))
        except MasterUnreachable as error:
            return error
        except Exception as error:
            return self._failed(url, error)

    async def _fetch(
        self, url: str, form: str | None = None, take: Callable[[bytes], None] | None = None
    ) -> HTTPResponse:
        """Fetch a URL, posting `form` if there is one; `take` gets the body in pieces, and the response has none then.

        When nobody waits for it any more, a failure is not logged.
        """
        request = HTTPRequest(
            url,
            method="GET" if form is None else "POST",
            body=form,
            streaming_callback=take,
            connect_timeout=self.timeout,
            request_timeout=self.timeout,
            follow_redirects=False,
            decompress_response=False,
            validate_cert=self.validate_cert,
            ca_certs=self.ca_certs,
        )
        fetch = asyncio.ensure_future(self._http().fetch(request, raise_error=False))
        fetch.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        done, _ = await asyncio.wait([fetch], timeout=self.timeout + 1)
        if not done:
            raise TimeoutError
        return fetch.result()

    def _http(self) -> SimpleAsyncHTTPClient:
        """Return the client, made at the first request: tornado ties one to the running event loop."""
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True,
                max_clients=100,
                max_body_size=self.max_answer,
                # Headers come through it as well.
                max_buffer_size=max(self.max_answer, MIN_BUFFER),
            )
        return self._client

    def _failed(self, url: str, error: Exception) -> MasterUnreachable:
        failure = MasterUnreachable(shown(url), self._why(error))
        failure.__cause__ = error
        return failure

    def _why(self, error: Exception) -> str:
        if isinstance(error, (HTTPTimeoutError, TimeoutError, asyncio.TimeoutError)):
            return f"no complete answer within {self.timeout:g} s"
        if isinstance(error, HTTPError):
            return shown(str(error.message))
        return shown(str(error)) or type(error).__name__


def _is_alive(answer: _Answer) -> bool:
    return isinstance(answer, ClusterState) and answer.status == ALIVE


def _failure(answers: Mapping[str, _Answer]) -> MasterUnreachable:
    """Return one error for all masters that were asked."""
    if not answers:
        return MasterUnreachable("(none)", "no address of a web UI is known")
    failures = [
        MasterUnreachable(shown(url), f"it is {answer.status}") if isinstance(answer, ClusterState) else answer
        for url, answer in answers.items()
    ]
    if len(failures) == 1:
        return failures[0]
    problems = "; ".join(f"{failure.url}: {failure.problem}" for failure in failures)
    return MasterUnreachable(", ".join(failure.url for failure in failures), f"none of them is ALIVE ({problems})")
