"""`jupyter kg2at warm`: which kernels of a running gateway wait for their users, and which starts found none."""

from __future__ import annotations

from .command import OK
from .gateway_options import GatewayCommand
from .output import print_json
from .status_table import print_warm, warm_of


class WarmApp(GatewayCommand):
    """`warm`: the kernels that wait started, for users who come."""

    name = "jupyter-kg2at-warm"
    description = (
        "The kernels that a running gateway has started before a user asks: what waits, for how long, how many users "
        "got one, and why the others did not."
    )
    examples = "jupyter kg2at warm\njupyter kg2at warm --url http://gateway:8888 --json"

    def run(self) -> int:
        """Print it as tables, or with --json as the gateway says it. Called for `warm`. Raises KG2ATError."""
        client = self.client()
        warm = warm_of(client.status(), client.url)
        if self.as_json:
            print_json(warm)
        else:
            print_warm(client.url, warm)
        return OK
