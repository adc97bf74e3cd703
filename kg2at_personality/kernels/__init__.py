"""The life of a kernel."""
