"""A client of one driver's web UI: asynchronous, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from ..errors import SparkUiSilent
from ..json_fields import FieldError, Fields, parse

MIB = 1024 * 1024
#: Bytes of an answer about applications or jobs.
MAX_JSON = 2 * MIB


@dataclass(frozen=True)
class UiRequest:
    """A request to a driver's web UI; `path` begins with "/" and has the query. Times in seconds, sizes in bytes."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout: float = 30.0
    max_answer: int = 16 * MIB


@dataclass(frozen=True)
class DriverUi:
    """The web UI that listens at `address` on this machine, on a port of the driver's application `app_id`."""

    address: str
    port: int
    has_https: bool = False
    app_id: str = ""

    @property
    def url(self) -> str:
        """Return where it is, without a path."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.has_https else 'http'}://{host}:{self.port}"

    async def fetch(self, request: UiRequest) -> HTTPResponse:
        """Return the answer, whatever its status; redirects are not followed, and nothing is unzipped.

        Raises SparkUiSilent. Cancelling it leaves at most a request that ends within its `timeout`, its result unused.
        """
        asked = HTTPRequest(
            self.url + request.path,
            method=request.method,
            headers=dict(request.headers),
            body=request.body,
            connect_timeout=request.timeout,
            request_timeout=request.timeout,
            follow_redirects=False,
            decompress_response=False,
            # Who listens there was found out: its certificate says nothing more, and is for another name.
            validate_cert=False,
            allow_nonstandard_methods=True,
        )
        client = SimpleAsyncHTTPClient(
            force_instance=True, max_body_size=request.max_answer, max_buffer_size=request.max_answer + MIB
        )
        try:
            return await client.fetch(asked, raise_error=False)
        except Exception as error:
            raise SparkUiSilent(f"The web UI of the kernel's Spark driver does not answer: {error}") from error
        finally:
            client.close()

    async def has_application(self, app_id: str) -> bool:
        """Return whether its REST API names this application. Raises SparkUiSilent."""
        answer = await self.fetch(UiRequest("/api/v1/applications", timeout=5.0, max_answer=MAX_JSON))
        try:
            rows = parse(answer.body.decode()) if answer.code == 200 else None
            return isinstance(rows, list) and any(Fields(row).text("id") == app_id for row in rows)
        except (ValueError, FieldError):
            return False

    async def running_jobs(self, timeout: float) -> bytes:
        """Return what its REST API says of the jobs that run; see `driver_jobs`. Raises SparkUiSilent."""
        path = f"/api/v1/applications/{quote(self.app_id, safe='')}/jobs?status=running"
        answer = await self.fetch(UiRequest(path, timeout=timeout, max_answer=MAX_JSON))
        if answer.code != 200:
            raise SparkUiSilent(f"The web UI of the kernel's Spark driver answers {answer.code} about its jobs.")
        return answer.body
