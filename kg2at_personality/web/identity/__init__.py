"""Who is there: Jupyter Server's identity providers for the gateway, and what its handlers make of their users."""
