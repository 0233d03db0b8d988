"""The application that supervised workers import; its tasks write to the ledger of the round."""

from __future__ import annotations

import os
from pathlib import Path

from tests.process.ledger import Ledger
from tests.process.torture.house import LEDGER
from tests.process.workload import application, log_to

ledger = Ledger(Path(os.environ[LEDGER]))
log_to(ledger)
jp = application(os.environ["JOBPIPE_URL"], ledger)
