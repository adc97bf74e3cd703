"""The addresses of the masters' web UIs, which serve the JSON (`GET /json/`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from ..errors import SparkConfError
from .master_url import is_standalone, standalone_addresses


class MasterConf(Protocol):
    """Spark's resolved properties; `environ` is the environment with spark-env.sh read, `master` is `spark.master`."""

    @property
    def environ(self) -> Mapping[str, str]: ...

    @property
    def master(self) -> str | None: ...

    def get(self, key: str, /) -> str | None: ...


def master_urls(conf: MasterConf, trait: str | None) -> list[str]:
    """Return the addresses of the masters' web UIs, without the final slash: those of `trait`, comma separated, if set.

    Else one for each host of `spark://h1:7077,h2:7077`; none if `spark.master` is something else. `conf` is read as a
    master reads its own: `spark.master.ui.port` before SPARK_MASTER_WEBUI_PORT before 8080 (`MasterArguments`). With
    TLS (`spark.ssl.standalone.enabled`, else `spark.ssl.enabled`) that port only redirects, and the UI is 400 above
    it or at `spark.ssl.standalone.port` (`JettyUtils.startJettyServer`, `SSLOptions.parse`).
    Raises SparkConfError for what is no port.
    """
    if trait and trait.strip():
        return [_with_scheme(url.strip()) for url in trait.split(",") if url.strip()]
    master = conf.master or ""
    if not is_standalone(master):
        return []
    port = _ui_port(conf)
    scheme = "http"
    if _tls(conf):
        scheme, port = "https", _port(conf, "spark.ssl.standalone.port") or _above(port, 400)
    return list(dict.fromkeys(f"{scheme}://{host}:{port}" for host, _ in standalone_addresses(master)))


def shown(text: str) -> str:
    """Return a URL, or a text with URLs, as errors and logs may show it: without user names and passwords."""
    return re.sub(r"//[^/\s]*@", "//", text)


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
    """Return the port `offset` above another, past the last one again above the privileged ones (`Utils.userPort`)."""
    return (port + offset - 1024) % (65536 - 1024) + 1024
