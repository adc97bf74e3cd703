"""A client of the Spark master's web UI (`GET /json/`, `POST /app/kill/`), asynchronous, bounded in time and size."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlencode

from tornado.httpclient import HTTPError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from ..errors import MalformedAnswer, MasterUnreachable, SparkConfError
from .cluster import ALIVE, ClusterState
from .master_answer import is_small, parse
from .master_state import cluster_state
from .master_url import standalone_addresses

MAX_ANSWER = 64 * 1024 * 1024  # bytes; 1,000 workers and 1,000 applications are 0.7 MB
MIN_BUFFER = 256 * 1024  # bytes
_Answer = ClusterState | MasterUnreachable


class MasterConf(Protocol):
    """Spark's resolved properties; `environ` is the environment with spark-env.sh read, `master` is `spark.master`."""

    @property
    def environ(self) -> Mapping[str, str]: ...

    @property
    def master(self) -> str | None: ...

    def get(self, key: str, /) -> str | None: ...


class MasterClient:
    """Asks the masters of one cluster. It keeps which of them was ALIVE last, and nothing else.

    `timeout` is in seconds, for one request from name look-up to the last byte; a poll in which the remembered master
    hangs takes up to two. `validate_cert` and `ca_certs` (a file of PEM certificates, None: the system's) are for
    https masters. An answer of more than `max_answer` bytes is none.
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

    async def state(self) -> ClusterState:
        """The ALIVE master's state; else that of one that is RECOVERING, whose workers grant nothing yet.

        The master that was ALIVE last is asked alone; if it isn't any more, all others at the same time. Raises
        MasterUnreachable with each URL and how it failed. Cancelling it leaves at most a request that ends unheard
        within `timeout`.
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

    async def _find(self) -> tuple[str, ClusterState]:
        """The address of the master that counts, and its state."""
        answers: dict[str, _Answer] = {}
        if self._alive is not None:
            answers[self._alive] = await self._ask(self._alive)
        if not any(map(_is_alive, answers.values())):
            answers |= await self._ask_all([url for url in self.urls if url not in answers])
        return self._best(answers)

    def close(self) -> None:
        """Let go of sockets and resolvers. The next `state()` opens them again."""
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
        """Ask all at once, and don't wait for the rest when one is ALIVE."""
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
        """One master's state, or how asking it failed."""
        try:
            response = await self._fetch(f"{url}/json/")
            if is_small(response.body):
                return _read(response, shown(url))
            return await asyncio.to_thread(_read, response, shown(url))
        except MasterUnreachable as error:
            return error
        except Exception as error:
            return self._failed(url, error)

    async def _fetch(self, url: str, form: str | None = None) -> HTTPResponse:
        """Like the client's own fetch, but a cancelled or abandoned request fails in silence. `form` is posted."""
        request = HTTPRequest(
            url,
            method="GET" if form is None else "POST",
            body=form,
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
        """Made at the first request: tornado ties a client to the running event loop."""
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


def master_urls(conf: MasterConf, trait: str | None) -> list[str]:
    """The addresses of the masters' web UIs, without the final slash: those of `trait`, comma separated, if set.

    Else one for each host of `spark://h1:7077,h2:7077`; none if `spark.master` is something else. `conf` is read as a
    master reads its own: `spark.master.ui.port` before SPARK_MASTER_WEBUI_PORT before 8080 (`MasterArguments`). With
    TLS (`spark.ssl.standalone.enabled`, else `spark.ssl.enabled`) that port only redirects, and the UI is 400 above
    it or at `spark.ssl.standalone.port` (`JettyUtils.startJettyServer`, `SSLOptions.parse`).
    Raises SparkConfError for what is no port.
    """
    if trait and trait.strip():
        return [_with_scheme(url.strip()) for url in trait.split(",") if url.strip()]
    addresses = standalone_addresses(conf.master or "")
    if not addresses:
        return []
    port = _ui_port(conf)
    scheme = "http"
    if _tls(conf):
        scheme, port = "https", _port(conf, "spark.ssl.standalone.port") or _above(port, 400)
    return list(dict.fromkeys(f"{scheme}://{host}:{port}" for host, _ in addresses))


def shown(text: str) -> str:
    """A URL, or a text with URLs, as errors and logs may show it: without user names and passwords."""
    return re.sub(r"//[^/\s]*@", "//", text)


# Answers.


def _is_alive(answer: _Answer) -> bool:
    return isinstance(answer, ClusterState) and answer.status == ALIVE


def _failure(answers: Mapping[str, _Answer]) -> MasterUnreachable:
    """One error for all that was asked."""
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


def _read(response: HTTPResponse, url: str) -> ClusterState:
    """What a master says; in a thread where it says much. Raises MasterUnreachable."""
    if 300 <= response.code < 400:
        where = shown(response.headers.get("Location", "nowhere"))
        raise MasterUnreachable(url, f"it redirects to {where}: the master's own address is needed")
    if response.code != 200:
        raise MasterUnreachable(url, f"HTTP {response.code} {response.reason}")
    try:
        payload = parse(response.body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(url, f"not JSON but {_looks_like(response)}") from error
    return cluster_state(payload, url, _clock_of(response))


def _clock_of(response: HTTPResponse) -> float | None:
    """What the master's clock said, in seconds since the epoch; None for an answer without a date."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _looks_like(response: HTTPResponse) -> str:
    kind = response.headers.get("Content-Type", "no content type").partition(";")[0]
    return f"{len(response.body)} bytes of {kind}"


# Addresses.


def _with_scheme(url: str) -> str:
    url = url.rstrip("/").removesuffix("/json")
    return url if "://" in url else f"http://{url}"


def _ui_port(conf: MasterConf) -> int:
    name = "SPARK_MASTER_WEBUI_PORT"
    return _port(conf, "spark.master.ui.port") or _parse_port(name, conf.environ.get(name)) or 8080


def _tls(conf: MasterConf) -> bool:
    value = conf.get("spark.ssl.standalone.enabled")
    value = conf.get("spark.ssl.enabled") if value is None else value
    return (value or "").strip().lower() == "true"


def _port(conf: MasterConf, name: str) -> int | None:
    return _parse_port(name, conf.get(name))


def _parse_port(name: str, value: str | None) -> int | None:
    if value is None or not value.strip():
        return None
    if not value.strip().isascii() or not value.strip().isdigit() or not 0 < int(value) < 65536:
        raise SparkConfError(name, f"{value!r} is not a port from 1 to 65535")
    return int(value)


def _above(port: int, offset: int) -> int:
    """`Utils.userPort`: wraps round above the privileged ports."""
    return (port + offset - 1024) % (65536 - 1024) + 1024
