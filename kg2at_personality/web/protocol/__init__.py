"""Jupyter's messages as a notebook sends and reads them on a websocket."""
