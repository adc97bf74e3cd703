# The gateway's side of kg2at as a service of JupyterHub: jupyter kernelgateway --config=THIS_FILE
c = get_config()  # noqa: F821

c.KernelGatewayApp.api = "kg2at_personality"
c.KernelGatewayApp.ip = "0.0.0.0"
c.KernelGatewayApp.port = 8888
c.KernelGatewayApp.certfile = "/etc/kg2at/gateway.pem"
c.KernelGatewayApp.keyfile = "/etc/kg2at/gateway.key"
c.KernelGatewayApp.identity_provider_class = "kg2at_personality.web.identity.hub.JupyterHubIdentityProvider"

# The Hub's API, at the address where browsers reach the Hub.
c.HubAuth.api_url = "https://hub.example/hub/api"
c.HubAuth.access_scopes = {"access:services!service=kg2at"}
# Seconds for which the Hub's answers are believed: so long a token goes on that the Hub has revoked.
c.HubAuth.cache_max_age = 300

# How much each user may have; see docs/users.md.
c.KG2ATPersonality.max_cores_per_user = 8
c.KG2ATPersonality.max_kernels_per_user = 4
