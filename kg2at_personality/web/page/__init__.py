"""The page for people: `/kg2at/`."""
