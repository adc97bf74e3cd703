"""What `spark.master` may be, and what a wrong one was probably meant to be."""

from __future__ import annotations

import re

# SparkMasterRegex and SparkSubmit.prepareSubmitEnvironment of Spark 3.5; yarn-client and yarn-cluster are of Spark 1.
_LOCAL = r"local|local\[(?:0*[1-9][0-9]*|\*)(?:\s*,\s*[0-9]+)?\]"
_CLUSTERS = r"local-cluster\[\s*[0-9]+\s*,\s*[0-9]+\s*,\s*[0-9]+\s*\]|yarn(?:-client|-cluster)?|(?:k8s|mesos)://\S+"
_OTHER = re.compile(f"{_LOCAL}|{_CLUSTERS}")
# The host of a java.net.URI, which Utils.extractHostPortFromSparkUrl parses each address with: no underscore, and the
# last label of a name begins with a letter.
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = rf"(?:{_LABEL}\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?"
_HOST = rf"{_NAME}|[0-9]+(?:\.[0-9]+){{3}}|\[[0-9A-Fa-f:.%a-z]+\]"
_ADDRESS = re.compile(rf"(?P<host>{_HOST}):(?P<port>[0-9]{{1,5}})", re.ASCII)
_SCHEMES = re.compile(r"(?:(?:spark|https?|tcp):/*)+", re.IGNORECASE)

SHAPES = "spark://HOST:PORT (more masters as spark://HOST:PORT,HOST:PORT), local, local[N], local[*], yarn or k8s://..."
PORT, WEB_PORT = 7077, 8080
#: What the URL of a standalone master begins with (SparkMasterRegex.SPARK_REGEX).
STANDALONE = "spark://"


def is_standalone(master: str) -> bool:
    """Return whether `spark.master` names a standalone cluster (`SparkMasterRegex`: `spark://` and anything)."""
    return master.startswith(STANDALONE)


def standalone_addresses(master: str) -> list[tuple[str, int]]:
    """Return host and port of each master in `spark://h1:7077,[::1]:7077`, in order; [] for any other master.

    IPv6 hosts keep their brackets (`Utils.parseStandaloneMasterUrls`). An address without a port has Spark's, 7077.
    """
    return (
        [_host_and_port(each.strip()) for each in master[len(STANDALONE) :].split(",")] if is_standalone(master) else []
    )


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return (host, int(port)) if host and port.isascii() and port.isdigit() else (address, PORT)


def is_host(text: str) -> bool:
    """Whether Spark takes `text` for the host of a master."""
    return re.fullmatch(_HOST, text, re.ASCII) is not None


def master(text: str) -> str:
    """A parser of `spark.master`, as those in `setting`: ValueError says what it must be, and `hint` the rest.

    What passes here, Spark takes; whether anybody is there, only asking tells.
    """
    if not text:
        raise ValueError("set to something, or not be there at all")
    if not _fits(text):
        raise ValueError(SHAPES)
    return text


def hint(text: str) -> str:
    """What is wrong with a `text` that `master` refuses, and the likely right value; "" when neither can be told."""
    likely = _likely(text)
    write = f" (write {likely})" if likely else ""
    if not text.startswith("spark://"):
        return write
    wrong = next((each for each in text.removeprefix("spark://").split(",") if not _is_address(each)), "")
    return f"{_complaint(wrong)}{write}"


def without_wrapping(text: str) -> str:
    """`text` without what a shell would take away and Spark does not: quotes around it, a comment, a line's end."""
    return re.sub(r"\s#.*", "", text, flags=re.DOTALL).strip().strip("\"'`").strip()


def _fits(text: str) -> bool:
    if not text.startswith("spark://"):
        return _OTHER.fullmatch(text) is not None
    return all(map(_is_address, text.removeprefix("spark://").split(",")))


def _is_address(text: str) -> bool:
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match["port"]) < 65536


def _complaint(address: str) -> str:
    host, _, port = address.rpartition(":")
    if "_" in host and re.fullmatch("[0-9]+", port):
        return "; Java takes no host name with an underscore"
    return f"; {address!r} is no HOST:PORT"


def _likely(text: str) -> str:
    """The value that was probably meant; "" when nothing is likely."""
    bare = without_wrapping(text)
    if _fits(bare):
        return bare
    if not re.match(r"(?i)(?:spark|https?|tcp):", bare) and not _is_address(bare.rstrip("/")):
        return bare.lower() if _fits(bare.lower()) else ""
    web = bare.lower().startswith("http")
    made = "spark://" + ",".join(_address(each, web) for each in bare.split(","))
    return made if _fits(made) else ""


def _address(text: str, web: bool) -> str:
    """HOST:PORT from what was written for it; `web`: as the address of the master's page."""
    address = _SCHEMES.sub("", text.strip(), count=1).partition("/")[0].rstrip(":")
    if web:
        address = address.removesuffix(f":{WEB_PORT}")
    return f"{address}:{PORT}" if is_host(address) else address
