"""Run cells by nbclient through a gateway, and print the notebook with their outputs; a program of its own."""

from __future__ import annotations

import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def main(kernel_name: str, *cells: str) -> None:
    """The gateway is that of $JUPYTER_GATEWAY_URL."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    manager = "jupyter_server.gateway.managers.GatewayKernelManager"
    try:
        # GatewayKernelManager.start_kernel takes the name of its argument, and else python3.
        NotebookClient(notebook, timeout=120, kernel_manager_class=manager).execute(kernel_name=kernel_name)
    except CellExecutionError as error:
        sys.exit(f"{error.ename}: {error.evalue}")
    finally:
        print(nbformat.writes(notebook))


if __name__ == "__main__":
    main(*sys.argv[1:])
