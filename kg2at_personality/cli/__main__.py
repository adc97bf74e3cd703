"""`python -m kg2at_personality.cli` is `jupyter kg2at`."""

from .app import main

if __name__ == "__main__":
    main()
