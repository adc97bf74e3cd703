"""The Spark properties of one launch."""

from __future__ import annotations

import re

from ...spark.java_options import DRIVER, DRIVER_DEFAULT, EXECUTOR, EXECUTOR_DEFAULT
from ...spark.properties import trimmed
from .java_options import executor_options, written_options
from .plan import Plan
from .process_environment import PYTHON_UTF_8

#: Spark hands them to a JVM as they are, or takes a bare number for bytes (Utils.memoryStringToMb).
JVM_SIZES = ("spark.executor.memory", "spark.driver.memory")

#: A user's name that the master shows as it is, by which it is found again.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,100}")


def properties(plan: Plan, kernel_id: str, java_options_file: str) -> dict[str, str]:
    """Return the Spark properties of one launch. They name `java_options_file` when `java_options` needs it."""
    conf = plan.conf
    known = {key: value for key, value in conf.items() if key.startswith("spark.")}
    known |= {key: f"{conf.memory_mib(key, 0)}m" for key in JVM_SIZES if key in known}
    known["spark.master"] = conf.master
    known["spark.submit.deployMode"] = "client"
    known["spark.app.name"] = application_name(plan, kernel_id)
    known[DRIVER] = written_options(plan, java_options_file)
    known[EXECUTOR] = executor_options(plan)
    for name, value in PYTHON_UTF_8.items():
        known.setdefault(f"spark.executorEnv.{name}", value)
    for folded in (DRIVER_DEFAULT, EXECUTOR_DEFAULT):
        known.pop(folded, None)
    return known


def application_name(plan: Plan, kernel_id: str) -> str:
    """Return `spark.app.name`: what, whose, which. Without the blanks around it, as Spark (Utils.trimExceptCRLF)."""
    default = plan.runtime.application(plan.interpreter)
    owner = f" {plan.owner}" if PLAIN_NAME.fullmatch(plan.owner) else ""
    return trimmed(f"{plan.conf.get('spark.app.name', default)}{owner} {kernel_id}")
