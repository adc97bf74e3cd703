"""A `spark-class` that takes milliseconds: a master that serves its JSON, and workers that register by a file.

`make` writes it. `MODE` is a file beside it: `fail` ends every process with an error, `bind` lets the first master say
that its port is taken, `mute` lets no process do anything.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = """#!{python}
import http.server, json, os, pathlib, sys, time

here = pathlib.Path(__file__).parent
mode = (here / "MODE").read_text() if (here / "MODE").exists() else ""
option = dict(zip(sys.argv[2:], sys.argv[3:]))
if mode == "fail":
    sys.exit("it went wrong")
if mode == "mute":
    time.sleep(300)
if mode == "bind":
    (here / "MODE").unlink()
    sys.exit("java.net.BindException: Address already in use")
if sys.argv[1].endswith("Worker"):
    (here / f"worker-{{os.getpid()}}").write_text(json.dumps([option["-c"], option["-m"], sys.argv[-1]]))
    time.sleep(300)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        workers = [{{"state": "ALIVE", "size": json.loads(each.read_text())}} for each in here.glob("worker-*")]
        content = json.dumps({{"url": f"spark://127.0.0.1:{{option['-p']}}", "workers": workers}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


http.server.HTTPServer(("127.0.0.1", int(option["--webui-port"])), Handler).serve_forever()
"""


def make(home: Path, mode: str = "") -> Path:
    """Write a Spark installation of this one program; return its directory."""
    program = home / "bin" / "spark-class"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    (program.parent / "MODE").write_text(mode)
    return home
