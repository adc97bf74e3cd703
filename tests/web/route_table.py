"""The gateway's routes, and who gets what of them."""

from __future__ import annotations

from typing import Any

KERNEL, SESSION = "/api/kernels/{kernel}", "/api/sessions/{session}"
OF_PAGE = "/kg2at/kernels/{kernel}"
SPARK_UI = "/kg2at/kernels/{kernel}/spark/jobs/"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATCHED = {"path": "renamed.ipynb"}
#: Path, where a route's pattern matches it -> method -> body, and what owner, other user and administrator get.
#: Ids of kernels and sessions are of those that exist.
TABLE: dict[str, dict[str, tuple[Any, tuple[int, int, int]]]] = {
    "/api": {"GET": (None, (200, 200, 200)), "HEAD": (None, (200, 200, 200))},
    "/api/swagger.json": {"GET": (None, (200, 200, 200)), "HEAD": (None, (200, 200, 200))},
    "/api/swagger.yaml": {"GET": (None, (200, 200, 200)), "HEAD": (None, (200, 200, 200))},
    "/api/kernels": {
        "GET": (None, (200, 200, 200)),
        "POST": ({"name": "python3"}, (201, 201, 201)),
    },
    KERNEL: {"GET": (None, (200, 404, 200)), "DELETE": (None, (204, 404, 204))},
    f"{KERNEL}/interrupt": {"POST": (None, (204, 404, 204))},
    f"{KERNEL}/restart": {"POST": (None, (200, 404, 200))},
    f"{KERNEL}/channels": {"GET": (None, (101, 404, 101))},
    "/api/kernelspecs": {"GET": (None, (200, 200, 200))},
    "/api/kernelspecs/python3": {"GET": (None, (200, 200, 200))},
    "/kernelspecs/apache_toree_scala/logo-64x64.png": {
        "GET": (None, (200, 200, 200)),
        "HEAD": (None, (200, 200, 200)),
    },
    "/api/sessions": {
        "GET": (None, (200, 200, 200)),
        "POST": ({"path": "b.ipynb", "type": "notebook", "kernel": {"name": "python3"}}, (201, 201, 201)),
    },
    SESSION: {
        "GET": (None, (200, 404, 200)),
        "PATCH": (PATCHED, (200, 404, 200)),
        "DELETE": (None, (204, 404, 204)),
    },
    "/kg2at/status": {"GET": (None, (200, 200, 200))},
    # Both lead to the page.
    "/": {"GET": (None, (200, 200, 200))},
    "/kg2at": {"GET": (None, (200, 200, 200))},
    "/kg2at/": {"GET": (None, (200, 200, 200))},
    # Of a form's token alone, which a body as JSON does not have.
    "/kg2at/sign-in": {"POST": (None, (401, 401, 401))},
    "/kg2at/sign-out": {"POST": (None, (200, 200, 200))},
    OF_PAGE: {"GET": (None, (200, 404, 200)), "DELETE": (None, (204, 404, 204))},
    "/kg2at/live": {"GET": (None, (200, 200, 200)), "HEAD": (None, (200, 200, 200))},
    "/kg2at/ready": {"GET": (None, (200, 200, 200)), "HEAD": (None, (200, 200, 200))},
    # python3 has no Spark.
    SPARK_UI: {"GET": (None, (404, 404, 404)), "HEAD": (None, (404, 404, 404)), "POST": ({}, (403, 404, 403))},
    "/metrics": {"GET": (None, (200, 200, 200))},
    "/nothing": {},
}
#: Those that answer anybody, by the same.
FOR_ANYBODY = ("/kg2at/live", "/kg2at/ready")
