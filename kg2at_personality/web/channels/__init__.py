"""The websocket between a notebook and its kernel (`/api/kernels/ID/channels`)."""
