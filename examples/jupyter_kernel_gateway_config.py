"""A configuration for kg2at. `jupyter kernelgateway` reads it from the current directory or from ~/.jupyter.

Only the first setting is needed. Each can be given on the command line too (`--KG2ATPersonality.niceness=5`), and those
of kg2at as variables (`KG2AT_NICENESS=5`).
"""

c = get_config()  # noqa: F821

c.KernelGatewayApp.api = "kg2at_personality"

# Who may come in. Beyond this machine kg2at wants a token; without one it makes one and prints it.
# c.KernelGatewayApp.ip = "0.0.0.0"
# c.KernelGatewayApp.auth_token = "..."  # better: the variable KG_AUTH_TOKEN, which no file keeps
# c.KernelGatewayApp.certfile = "/etc/ssl/gateway.pem"
# c.KernelGatewayApp.keyfile = "/etc/ssl/gateway.key"
# Seconds that all kernels have to end when the gateway does, before they are killed.
# c.KG2ATPersonality.shutdown_timeout = 30.0
# Where the kernels are written down, for the next gateway to go on with them; whether they outlive this one's end.
# c.KG2ATPersonality.state_dir = "/var/lib/kg2at"
# c.KG2ATPersonality.keep_kernels_on_exit = True
# c.KG2ATPersonality.events_file = "/var/log/kg2at/events.jsonl"  # who had which cores for how long; empty: not written

# Who may use it: everybody who has the one token, or users with a token of their own (docs/users.md).
# JupyterHub's users: jupyterhub_gateway_config.py has what it takes.
# c.KG2ATPersonality.users_file = "/etc/kg2at/users.json"  # written by `jupyter kg2at users`
# c.KG2ATPersonality.admin_users = ["root"]  # beside those whom the file or JupyterHub calls so
# c.KG2ATPersonality.max_cores_per_user = 16  # 0: no bound
# c.KG2ATPersonality.max_kernels_per_user = 4  # 0: no bound
# c.KG2ATPersonality.user_limits = {"alice": {"max_cores": 32, "max_kernels": 8}}  # in the place of these two
# c.KG2ATPersonality.queue_order = None  # "fair": users in turn; "fifo"; None: fair where users have names
# c.KG2ATPersonality.allow_unauthenticated = None  # None: only where no other machine reaches it
# c.KG2ATPersonality.local_hostnames = ["localhost", "gateway.example"]  # without a token: names it is reached by
# c.KG2ATPersonality.authenticate_metrics = True  # False: /metrics without a token
# c.KG2ATPersonality.allow_remote_access = False  # without a token: by any name, and so for any web page
# c.KG2ATPersonality.listen_backlog = 1024  # connections that may wait to be accepted
# c.KG2ATPersonality.max_body_size = 1024 * 1024  # bytes
# c.KG2ATPersonality.max_message_size = 10 * 1024 * 1024  # bytes; the largest cell

# Where things are. Empty: SPARK_HOME, JAVA_HOME, TOREE_HOME, SPARK_CONF_DIR, else the embedded packages.
# c.KG2ATPersonality.spark_home = ""
# c.KG2ATPersonality.java_home = ""
# c.KG2ATPersonality.python = ""
# c.KG2ATPersonality.toree_assembly = ""
# c.KG2ATPersonality.spark_conf_dir = ""

# What Spark is told. It wins over spark-defaults.conf, spark-env.sh and the environment.
# c.KG2ATPersonality.spark_conf = {"spark.executor.memory": "2g"}
# c.KG2ATPersonality.spark_defaults_encoding = ""  # "cp1047" forces EBCDIC
# c.KG2ATPersonality.spark_env_timeout = 10.0  # seconds that spark-env.sh may run

# What is offered: the two Toree kernels, and each profile as one more of both.
# c.KG2ATPersonality.inject_kernelspecs = True
# c.KG2ATPersonality.profiles = {
#     "small": {"spark.cores.max": 1, "spark.executor.memory": "1g"},
#     "large": {"spark.cores.max": 8, "spark.executor.cores": 4, "spark.executor.memory": "4g"},
# }

# What a request may ask for at most, by KERNEL_SPARK_CORES_MAX and its like. 0 or empty: no bound.
# c.KG2ATPersonality.max_cores_per_kernel = 8
# c.KG2ATPersonality.max_executor_cores = 4
# c.KG2ATPersonality.max_executor_memory = "4g"
# c.KG2ATPersonality.max_driver_memory = "2g"
# c.KernelGatewayApp.max_kernels = 20

# When a kernel may start, on a standalone cluster.
# c.KG2ATPersonality.core_check = "wait"  # for free cores; or "reject", "off"
# c.KG2ATPersonality.core_wait_timeout = 15.0  # seconds; JupyterLab itself gives up after 42, nb2kg after 20
# c.KG2ATPersonality.core_poll_interval = 1.0  # seconds between two looks at the master while somebody waits
# c.KG2ATPersonality.core_requirement = "max"  # all of spark.cores.max free; "min": one executor's
# c.KG2ATPersonality.max_queue = 100  # requests that may wait
# c.KG2ATPersonality.master_unreachable = "wait"  # or "admit": start all the same
# c.KG2ATPersonality.master_url = ""  # http://master:8080; empty: found from spark.master
# c.KG2ATPersonality.master_timeout = 5.0  # seconds for one answer
# c.KG2ATPersonality.master_max_answer = 64 * 1024 * 1024  # bytes of one answer
# c.KG2ATPersonality.master_validate_cert = True
# c.KG2ATPersonality.master_ca_certs = ""  # PEM file; empty: the system's

# While a kernel runs.
# c.KG2ATPersonality.idle_cores_timeout = 900  # seconds without a task, then others get its cores; 0: never
# c.KG2ATPersonality.idle_cached_cores_timeout = 0  # the same for executors with cached data
# c.KG2ATPersonality.job_wait_timeout = 0.0  # seconds that a cell may wait at the master for cores; 0: for ever

# How a kernel is started.
# c.KG2ATPersonality.spark_context = "lazy"  # or "eager", "none"
# c.KG2ATPersonality.toree_options = []
# c.KG2ATPersonality.niceness = 0  # up to 19, which leaves the processor to all others
# c.KG2ATPersonality.job_name = ""  # z/OS: _BPX_JOBNAME, for workload management
# c.KG2ATPersonality.kernel_ports = "41000-41999"  # five for each kernel, for firewalls; empty: any
# c.KG2ATPersonality.max_kernel_log_size = 1024 * 1024  # bytes
# c.KG2ATPersonality.max_buffered_output = 10 * 1024 * 1024  # bytes, while no notebook is connected

# Kernels that wait for a user, started.
# c.KG2ATPersonality.warm_kernels = {"spark_python": 1}  # None: one of the default kernel; {}: none
# c.KG2ATPersonality.warm_max_age = 24 * 3600  # seconds; 0: for ever
# c.KG2ATPersonality.warm_memory_reserve = 2048  # MiB that stay free
# c.KG2ATPersonality.cache_dir = ""  # what makes starts faster; empty: ~/.cache/kg2at

# What clients may see and say.
# c.KG2ATPersonality.list_kernels = True
# c.KG2ATPersonality.env_whitelist = ["TZ"]  # of a request's env; KERNEL_* is always let through
# c.KernelGatewayApp.env_process_whitelist = ["MY_DATA"]  # of the gateway's own environment, beside what Spark needs
