"""The settings of how a kernel starts, waits for its user, and ends."""

from __future__ import annotations

from traitlets import Bool, Dict, Enum, Float, HasTraits, Int, List, Unicode

from .kernels.port_range import PortRange
from .setting_types import ParsedText


class KernelSettings(HasTraits):
    """A part of Settings."""

    # How it starts and ends.

    spark_context = Enum(
        ["lazy", "eager", "none"],
        "lazy",
        help="""When a kernel creates its SparkContext: lazy at the first use of `sc` or `spark` (a notebook that needs
        no Spark takes no cores), eager at the start (the first job begins sooner), none never.""",
    ).tag(config=True)
    toree_options = List(
        Unicode(), help="""More options for Toree's own command line, a list of strings. Empty: none."""
    ).tag(config=True)
    niceness = Int(
        0,
        min=0,
        max=19,
        help="""Added to the nice value of each kernel, 0 to 19. Higher leaves the machine's processor to others; 0
        leaves the priority as the gateway's.""",
    ).tag(config=True)
    job_name = Unicode(
        "",
        help="""z/OS: job name (_BPX_JOBNAME, up to 8 characters) of each kernel, so that workload management can
        classify it. Empty: the system's choice.""",
    ).tag(config=True)
    kernel_ports = ParsedText(
        PortRange.parse,
        help="""Range of ports for the kernels' five ZeroMQ sockets each, as in 41000-41999, so that a firewall can let
        them through. It bounds the number of kernels to a fifth of its size. Empty: any free ports.""",
    ).tag(config=True)
    max_kernel_log_size = Int(
        1024 * 1024,
        min=0,
        help="""Bytes of output kept for each kernel in its own log file, beside its connection file; the older half
        goes when it is full, and a small process for each kernel (3 MB) sees to that. More helps to find what went
        wrong hours ago; 0 keeps all of it, without that process, which can fill the disk. A kernel keeps the bound it
        was started with.""",
    ).tag(config=True)
    max_buffered_output = Int(
        10 * 1024 * 1024,
        min=0,
        help="""Bytes of messages kept for each kernel while no notebook is connected to it; ten times as much for each
        one that is connected and reads slowly. The oldest output goes first, and the notebook is told how much;
        replies, errors and states are kept. More keeps more of a long output, in the gateway's memory; 0 keeps all, so
        that a kernel that prints can take all memory.""",
    ).tag(config=True)
    shutdown_timeout = Float(
        30.0,
        min=0,
        help="""Seconds that all kernels together have to end when the gateway does, before they are killed. Longer lets
        Spark tidy up; an init system that kills the gateway sooner leaves them behind. 0 kills at once.""",
    ).tag(config=True)
    state_dir = Unicode(
        "",
        help="""Directory in which this gateway records its kernels, so that a gateway which is started again with the
        same directory takes them over. It can't be shared. Empty: kg2at-PORT in the Jupyter runtime directory, so that
        a gateway on another port begins anew.""",
    ).tag(config=True)
    keep_kernels_on_exit = Bool(
        False,
        help="""Whether kernels go on when the gateway ends, for the next one with the same state_dir: notebooks outlive
        an upgrade, but kernels hold their cores when none comes. False: they end with it.""",
    ).tag(config=True)

    events_file = Unicode(
        "",
        help="""File to which a line of JSON is appended for each kernel that is admitted, refused, started, dead or
        stopped, with its user, cores and seconds. kg2at never shortens it. Empty: none, unless the config file gives
        EventLogger handlers.""",
    ).tag(config=True)

    # Kernels that wait for a user.

    warm_kernels = Dict(
        value_trait=Int(min=0),
        key_trait=Unicode(),
        default_value=None,
        allow_none=True,
        help="""How many kernels wait started for a user, a count by kernelspec, as in {"apache_toree_scala": 2,
        "spark_python": 1}. A notebook that gets one is ready at once. One serves all profiles, sizes and users whose
        driver has the same memory and Java options. Each takes memory (a Toree 500 MiB, a Python 60), five of
        kernel_ports, and no core of the cluster. None: one of the default kernel. {}: none waits.""",
    ).tag(config=True)
    warm_max_age = Float(
        24 * 3600.0,
        min=0,
        help="""Seconds after which a kernel that waits for a user is replaced by a new one. Shorter keeps what users
        get fresh, for the processor's time of more starts. 0: it may wait for ever.""",
    ).tag(config=True)
    warm_memory_reserve = Int(
        2048,
        min=0,
        help="""MiB of this machine's memory that stay free: no kernel is started to wait for a user while there is
        less, with what it takes itself. More leaves room for the kernels in use, less lets more wait. 0: no reserve.
        It means nothing where the system does not tell what is free (z/OS).""",
    ).tag(config=True)
    cache_dir = Unicode(
        "",
        help="""Directory for what makes starts faster and is made once by kg2at itself: parts of Toree's jar, and
        archives of Java's classes; 300 MB for each Spark and Java. It may be removed at any time. Empty: kg2at in
        $XDG_CACHE_HOME, else in ~/.cache.""",
    ).tag(config=True)
