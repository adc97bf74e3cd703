"""Which of the gateway's own environment a kernel inherits."""

from __future__ import annotations

from collections.abc import Collection, Mapping

#: What programs, Java, Spark, Hadoop and z/OS' Language Environment need to run at all.
NEEDED = frozenset(
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR TERM PYTHONPATH JAVA_HOME JRE_HOME KRB5CCNAME KRB5_CONFIG "
    "YARN_CONF_DIR HIVE_CONF_DIR LD_LIBRARY_PATH LIBPATH STEPLIB JUPYTER_PATH".split()
)
NEEDED_PREFIXES = ("LC_", "SPARK_", "HADOOP_", "IBM_JAVA_", "_BPX", "_CEE", "_TAG", "_EDC")
#: Characters.
LONG_TOKEN = 16
#: The gateway's own settings, its token among them; what JupyterHub told it, with a token for the Hub, and that of the
#: Hub's proxy; and what a Jupyter that started it told it of itself: with JPY_PARENT_PID an ipykernel would end when
#: that does.
OWN_PREFIXES = ("KG_", "KG2AT_", "JUPYTERHUB_", "CONFIGPROXY_", "JPY_")


def kernel_environment(
    environ: Mapping[str, str], env: Mapping[str, str] | None, inherited: Collection[str] = (), token: str = ""
) -> dict[str, str]:
    """Return what a kernel's process sees.

    `environ` is the gateway's own environment, `env` what the client sent (None when it sent none: then the whole
    environment is inherited, as in the stock gateway), `inherited` the names an administrator lets through. Neither
    the gateway's settings nor anything that holds its `token` is ever passed.
    """
    if env is None:
        passed = dict(environ)
    else:
        passed = {name: value for name, value in environ.items() if _is_needed(name) or name in inherited}
    passed = {name: value for name, value in passed.items() if not name.startswith(OWN_PREFIXES)}
    passed = {name: value for name, value in passed.items() if not _holds(value, token)}
    return passed | dict(env or {})


def _holds(value: str, token: str) -> bool:
    """Return whether `value` is the token, or an option that holds it, which is too long to be there by chance."""
    return bool(token) and (value == token or (len(token) >= LONG_TOKEN and token in value))


def _is_needed(name: str) -> bool:
    return name in NEEDED or name.startswith(NEEDED_PREFIXES)
