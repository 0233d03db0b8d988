"""``python -m jobpipe`` is the command ``jobpipe``."""

from __future__ import annotations

from jobpipe.cli import main

if __name__ == "__main__":
    main()
