"""The program of a worker: ``python -m tests.process.worker --ledger FOLDER``.

Settings come from JOBPIPE_*. ``--plant`` names a planted bug, ``--fault`` a fault of its
surroundings.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from tests.process import faults
from tests.process.ledger import Ledger
from tests.process.workload import application, log_to


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--plant")
    parser.add_argument("--fault", choices=faults.FAULTS)
    parser.add_argument("--burst", action="store_true")
    parser.add_argument("--without-new", action="store_true")
    given = parser.parse_args()
    ledger = Ledger(given.ledger)
    log_to(ledger)
    if given.fault:
        faults.FAULTS[given.fault]()
    if given.plant:
        import_module(f"tests.process.planted.{given.plant}").plant()
    jp = application(os.environ["JOBPIPE_URL"], ledger, without_new=given.without_new)
    return jp.run_worker(burst=given.burst)


if __name__ == "__main__":
    sys.exit(main())
