"""`spark.master`: its forms, the addresses in it, and what a wrong one was probably meant to be."""

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

STANDALONE = "spark://"  # SparkMasterRegex.SPARK_REGEX
SHAPES = "spark://HOST:PORT (more masters as spark://HOST:PORT,HOST:PORT), local, local[N], local[*], yarn or k8s://..."
PORT, WEB_PORT = 7077, 8080


def is_standalone(master: str) -> bool:
    """Tell whether `master` names standalone masters: `spark://HOST:PORT[,HOST:PORT...]`."""
    return master.startswith(STANDALONE)


def standalone_addresses(master: str) -> list[tuple[str, int]]:
    """Return host and port of each master in `spark://h1:7077,[::1]:7078`; [] for any other kind of master.

    IPv6 hosts keep their brackets (`Utils.parseStandaloneMasterUrls`). A port that is left out is 7077.
    """
    if not is_standalone(master):
        return []
    addresses = [address.strip() for address in master.removeprefix(STANDALONE).split(",")]
    matches = [re.fullmatch(r"(.+):([0-9]{1,5})", address) for address in addresses]
    return [
        (found[1], int(found[2])) if found else (each, PORT) for each, found in zip(addresses, matches, strict=True)
    ]


def is_local(master: str) -> bool:
    """Tell whether all runs on the driver's machine: `local`, `local[N]`, `local[*]`, `local-cluster[N,C,M]`."""
    return master.startswith("local")


def local_cores(master: str) -> int | None:
    """Return the threads of a local master; None for `local[*]` and for clusters (`SparkMasterRegex`)."""
    if master == "local":
        return 1
    match = re.fullmatch(r"local\[\s*(\d+)\s*(?:,\s*\d+\s*)?\]", master)
    return int(match[1]) if match else None


def is_host(text: str) -> bool:
    """Tell whether Spark takes `text` for the host of a master."""
    return re.fullmatch(_HOST, text, re.ASCII) is not None


def parse_master(text: str) -> str:
    """Return `text` when Spark takes it as `spark.master`; no master is contacted.

    Raises ValueError with what it must be; `hint` has the rest of that sentence. Used as the parsers in `values`.
    """
    if not text:
        raise ValueError("set to something, or not be there at all")
    if not _fits(text):
        raise ValueError(SHAPES)
    return text


def hint(text: str) -> str:
    """Return what is wrong with a `text` that `parse_master` refuses, and the likely right value; "" for neither."""
    likely = _likely(text)
    write = f" (write {likely})" if likely else ""
    if not is_standalone(text):
        return write
    wrong = next((each for each in text.removeprefix(STANDALONE).split(",") if not _is_address(each)), "")
    return f"{_complaint(wrong)}{write}"


def without_wrapping(text: str) -> str:
    """Return `text` without what a shell removes and Spark does not: quotes around it, a comment, a line's end."""
    return re.sub(r"\s#.*", "", text, flags=re.DOTALL).strip().strip("\"'`").strip()


def _fits(text: str) -> bool:
    if not is_standalone(text):
        return _OTHER.fullmatch(text) is not None
    return all(map(_is_address, text.removeprefix(STANDALONE).split(",")))


def _is_address(text: str) -> bool:
    match = _ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match["port"]) < 65536


def _complaint(address: str) -> str:
    host, _, port = address.rpartition(":")
    if "_" in host and re.fullmatch("[0-9]+", port):
        return "; Java takes no host name with an underscore"
    return f"; {address!r} is no HOST:PORT"


def _likely(text: str) -> str:
    """Return the value that was probably meant; "" when nothing is likely."""
    bare = without_wrapping(text)
    if _fits(bare):
        return bare
    if not re.match(r"(?i)(?:spark|https?|tcp):", bare) and not _is_address(bare.rstrip("/")):
        return bare.lower() if _fits(bare.lower()) else ""
    web = bare.lower().startswith("http")
    made = STANDALONE + ",".join(_address(each, web) for each in bare.split(","))
    return made if _fits(made) else ""


def _address(text: str, web: bool) -> str:
    """Return HOST:PORT made of what was written for it; `web`: `text` is the address of the master's web page."""
    address = _SCHEMES.sub("", text.strip(), count=1).partition("/")[0].rstrip(":")
    if web:
        address = address.removesuffix(f":{WEB_PORT}")
    return f"{address}:{PORT}" if is_host(address) else address
