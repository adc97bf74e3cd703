# JupyterHub's side of kg2at as a service of the Hub: put it into your jupyterhub_config.py. docs/users.md explains it.
c = get_config()  # noqa: F821

GATEWAY = "https://gateway.example:8888"
SCOPE = "access:services!service=kg2at"

# The gateway runs where Spark is. The Hub neither starts it nor forwards requests to it: servers ask it directly.
c.JupyterHub.services = [{"name": "kg2at"}]

c.JupyterHub.load_roles = [
    # Who may use the gateway: all users. For some only, put here a role with a name of your own, the scope alone, and
    # their "users": [...] or "groups": [...].
    {"name": "user", "scopes": ["self", SCOPE]},
    # What a user's server may do with its token: what JupyterHub grants it, and use the gateway if its user may.
    {"name": "server", "scopes": ["users:activity!user", "access:servers!server", SCOPE]},
]

# JupyterLab's kernels are the gateway's then, and each server shows it the token that the Hub has made for it.
c.Spawner.environment = {
    "JUPYTER_GATEWAY_URL": GATEWAY,
    "JUPYTER_GATEWAY_AUTH_TOKEN": lambda spawner: spawner.api_token,
}
