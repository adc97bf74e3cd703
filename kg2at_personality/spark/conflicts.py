"""Combinations of properties that Spark refuses."""

from __future__ import annotations

from ..errors import SparkConfError
from .conf import SparkConf
from .units import parse_time

TIMEOUT, HEARTBEAT = "spark.network.timeout", "spark.executor.heartbeatInterval"
ENCRYPTIONS = ("spark.network.crypto.enabled", "spark.authenticate.enableSaslEncryption")


def check_together(conf: SparkConf) -> None:
    """Raise SparkConfError for a combination with which no SparkContext starts (`SparkConf.validateSettings`)."""
    _check_encryption(conf)
    _check_heartbeat(conf)


def _check_encryption(conf: SparkConf) -> None:
    on = next((key for key in ENCRYPTIONS if conf.boolean(key, False)), None)
    if on and not conf.boolean("spark.authenticate", False):
        raise SparkConfError(conf.entry(on).where, f"{on} is true: Spark wants spark.authenticate to be true as well")


def _check_heartbeat(conf: SparkConf) -> None:
    # Spark rounds the time-out down to whole seconds. A bare number is seconds there, milliseconds in the interval.
    timeout, interval = conf.seconds(TIMEOUT, 120.0) // 1, parse_time(conf.get(HEARTBEAT, "10s"), "ms")
    if timeout <= interval:
        key = HEARTBEAT if HEARTBEAT in conf else TIMEOUT
        problem = f"{TIMEOUT} ({timeout:g} s) must be longer than {HEARTBEAT} ({interval:g} s)"
        raise SparkConfError(conf.entry(key).where, problem)
