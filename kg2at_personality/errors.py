"""The errors a user of kg2at can meet.

Each carries the HTTP status it maps to (`status`), the short `reason` that Jupyter clients show, and a message that
says what to do. `web` turns them into answers in one place; no other module knows HTTP.
"""

from __future__ import annotations


class KG2ATError(Exception):
    """Base of everything kg2at raises on purpose. `str(error)` is a sentence for a user."""

    status = 500
    reason = "kg2at error"


# What the client asked for.


class RequestError(KG2ATError):
    """The request itself is wrong; sending it again unchanged fails again."""

    status = 400
    reason = "Bad request"


class UnknownKernelSpec(RequestError):
    """No kernelspec has this name."""

    status = 404
    reason = "No such kernelspec"


class UnknownKernel(RequestError):
    """No kernel that runs has this id."""

    status = 404
    reason = "No such kernel"


class CulledKernel(UnknownKernel):
    """It was shut down because nobody used it (cull_idle_timeout)."""

    reason = "Kernel was not used"


class OutOfBounds(RequestError):
    """A requested size is above what the administrator allows."""

    reason = "Request out of bounds"


class TooManyKernels(KG2ATError):
    """`max_kernels` is reached. 403 as in the stock gateway."""

    status = 403
    reason = "Resource Limit"


class AccessNotGranted(KG2ATError):
    """JupyterHub knows the user, whose token lacks the scope that opens the gateway."""

    status = 403
    reason = "Access not granted"


# What the administrator has to mend.


class ConfigError(KG2ATError):
    """The gateway's own set-up is broken: new kernels are refused, running ones go on."""

    status = 503
    reason = "kg2at is misconfigured"


class SparkConfError(ConfigError):
    """A value or a file of Spark's configuration can't be used.

    `where` names the file and line (or the trait, variable or profile), `problem` what is wrong there.
    """

    reason = "Spark's configuration is broken"

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class InstallationError(ConfigError):
    """Spark, Java, Toree or Python is missing, or they don't fit together."""

    reason = "Spark, Java, Toree or Python is missing"


class WrongPlace(InstallationError):
    """A place that a person set holds nothing of what it should: the gateway does not start with it."""


class LaunchFailed(ConfigError):
    """The system refused to write a kernel's files or to start its process."""

    reason = "Kernel could not be launched"


class StateDirInUse(ConfigError):
    """Another gateway keeps its records in the directory (`state_dir`)."""

    reason = "State directory in use"


class SeedFailed(ConfigError):
    """A cell of the seed notebook (`seed_uri`) fails, so that no kernel is what it should be."""

    reason = "Seed notebook failed"


class NoFreePort(ConfigError):
    """Every port of `kernel_ports` is in use."""

    reason = "No free kernel port"


class HubUnreachable(KG2ATError):
    """JupyterHub does not say whose token a request has: it is away, hangs, or is no Hub."""

    status = 503
    reason = "JupyterHub unreachable"


# What happened to a kernel.


class NoRoom(KG2ATError):
    """The gateway has no more file descriptors, or ZeroMQ no more sockets."""

    status = 503
    reason = "Gateway is full"


class KernelDied(KG2ATError):
    """The kernel's process ended before it ever answered; the message ends with its last lines, redacted."""

    status = 503
    reason = "Kernel died at start"


class KernelSilent(KG2ATError):
    """The kernel's process runs but has not answered in time."""

    status = 503
    reason = "Kernel does not answer"


class StartEnded(KG2ATError):
    """Somebody shut the kernel down while it was started, or waited for cores."""

    status = 409
    reason = "Kernel was shut down"


class NoSparkUi(KG2ATError):
    """The kernel has no web UI of Spark's: no application, none that shows one, or a dead process."""

    status = 404
    reason = "No Spark UI"


class SparkUiSilent(KG2ATError):
    """A driver's web UI is not there yet or not any more, does not answer, or answers with too much."""

    status = 503
    reason = "Spark UI does not answer"


class ReadOnly(KG2ATError):
    """Only the kernel's owner may change something by its Spark UI, and only from there."""

    status = 403
    reason = "Read only"


# What the cluster answered.


class MasterUnreachable(KG2ATError):
    """No Spark master gave a usable answer. `url` is the address that was asked, `problem` how that failed."""

    status = 503
    reason = "Spark master unreachable"

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"Spark master {url}: {problem}")
        self.url = url
        self.problem = problem


class MalformedAnswer(MasterUnreachable):
    """Something answered that is not a Spark master, or not one that kg2at understands."""

    reason = "Spark master's answer is malformed"


class StillUnreachable(MasterUnreachable):
    """A kernel waited for the master in vain. `retry_after` is in seconds."""

    def __init__(self, failure: MasterUnreachable, retry_after: float) -> None:
        super().__init__(failure.url, failure.problem)
        self.reason = failure.reason
        self.retry_after = retry_after


class NeverFits(RequestError):
    """This cluster can't grant the request even when nothing else runs."""

    reason = "The cluster is too small"


class Refused(KG2ATError):
    """Not now; the same request may succeed in `retry_after` seconds."""

    status = 503
    reason = "Not now"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClusterBusy(Refused):
    """The cores were not free in time."""

    reason = "Cluster is busy"


class QueueFull(Refused):
    """`max_queue` notebooks wait already."""

    status = 429
    reason = "Too many notebooks are waiting"


class ShareUsed(Refused):
    """The user's notebooks have, or wait for, all of `max_cores_per_user`."""

    status = 429
    reason = "Your share of cores is used"


class GatewayEnds(Refused):
    """The gateway shuts down and admits nobody any more."""

    reason = "Gateway is shutting down"


class KernelIdTaken(RequestError):
    """A kernel with this id waits, or has its cores, already."""

    status = 409
    reason = "Kernel id in use"
