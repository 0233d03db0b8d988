"""The command line: parse, call one verb of the application, show what it says.

Data goes to standard output, everything else to standard error. What a verb needs is imported
when it runs, so that ``jobpipe --version`` and ``--help`` answer at once.
"""

from jobpipe.cli.main import main

__all__ = ["main"]
