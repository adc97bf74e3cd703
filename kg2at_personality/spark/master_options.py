"""How the masters are asked: the settings of `MasterClient`, and their defaults."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes of the largest answer; 1,000 workers and 1,000 applications are 0.7 MB.
MAX_ANSWER = 64 * 1024 * 1024


@dataclass(frozen=True)
class MasterOptions:
    """How masters are asked. The traits of KG2ATPersonality named master_* explain each, and have these defaults.

    `urls` are the web UIs, comma separated; "": those of `spark.master`. `timeout` is in seconds, for one request from
    name look-up to the last byte. `validate_cert` and `ca_certs` (a file of PEM certificates, "": the system's) are
    for https masters. An answer of more than `max_answer` bytes is none.
    """

    urls: str = ""
    timeout: float = 5.0
    validate_cert: bool = True
    ca_certs: str = ""
    max_answer: int = MAX_ANSWER
