"""A program that answers as a driver's web UI does (Spark 3.5): `python -m tests.fakes.driver_ui [ADDRESS]`.

It prints its port, and ends with its standard input. What it is told to have at `/set/PATH` it answers at PATH from
then on; `/asked` has all requests that came to it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

APP = "app-20261126-0001"
ASKED: list[dict[str, Any]] = []
MADE: dict[str, bytes] = {}
#: What a cell of a kernel runs, so that the program is a process of the kernel's; it prints the port.
CELL = f"""
import subprocess, sys
ui = subprocess.Popen([sys.executable, "-m", "tests.fakes.driver_ui"], cwd={str(Path(__file__).parents[2])!r},
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(ui.stdout.readline().decode(), end="")
"""
PAGE = """<html><head><script>setUIRoot('{root}')</script><link href="{root}/static/webui.css"></head>
<body class="x"><a href="{root}/jobs/job/?id=1">one</a><a href="{root}/jobs/job/kill/?id=1">(kill)</a></body></html>"""
JOB = {
    "jobId": 3,
    "name": "count at <console>:24",
    "submissionTime": "2026-11-26T22:15:30.307GMT",
    "stageIds": [4, 5],
    "status": "RUNNING",
    "numTasks": 10,
    "numSkippedTasks": 2,
    "numCompletedTasks": 4,
    "numCompletedIndices": 4,
    "numFailedTasks": 1,
    "numCompletedStages": 1,
    "numSkippedStages": 0,
}


class _Any(RequestHandler):
    def prepare(self) -> None:
        request = self.request
        ASKED.append(
            {
                "method": request.method,
                "uri": request.uri,
                "headers": dict(request.headers),
                "body": request.body.decode(),
            }
        )
        self.set_header("Set-Cookie", "driver=1")
        self.set_header("X-Frame-Options", "SAMEORIGIN")

    async def get(self, path: str) -> None:
        if path in MADE:
            self.finish(MADE[path])
        elif path in ("/jobs/job/kill/", "/stages/stage/kill/", "/"):
            self._redirect(f"{self.request.full_url().split('/', 3)[0]}//{self.request.host}/jobs/")
        else:
            await getattr(self, "_" + path.strip("/").replace("/", "_").replace(".", "_"), self._nothing)()

    head = post = get

    def _redirect(self, target: str) -> None:
        self.set_status(302)
        self.set_header("Location", target)

    async def _nothing(self) -> None:
        self.set_status(404)
        self.finish("<html><body>HTTP ERROR 404</body></html>")

    async def _jobs(self) -> None:
        self.finish(PAGE.format(root=self.request.headers.get("X-Forwarded-Context", "")))

    async def _proxied(self) -> None:
        """As with spark.ui.reverseProxy, which the header does not change."""
        self.finish(PAGE.format(root=f"https://elsewhere/proxy/{APP}"))

    async def _elsewhere(self) -> None:
        self._redirect(f"https://elsewhere:8443/proxy/{APP}/jobs/?id=1")

    async def _static_webui_css(self) -> None:
        self.set_header("Content-Type", "text/css")
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(gzip.compress(b"a {}" * 1000))
        else:
            self.finish(b"a {}" * 1000)

    async def _asked(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(ASKED))

    async def _slow(self) -> None:
        await asyncio.Event().wait()

    async def _large(self) -> None:
        for _ in range(64):
            self.write(b" " * 1024 * 1024)
            await self.flush()

    async def _api_v1_applications(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps([{"id": APP, "name": "a"}]))


class _Set(RequestHandler):
    def post(self, path: str) -> None:
        MADE[path] = self.request.body


async def main(address: str) -> None:
    """Serve until standard input ends."""
    sockets = bind_sockets(0, address)
    server = HTTPServer(Application([("/set(/.*)", _Set), ("(/.*)", _Any)]))
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"))
