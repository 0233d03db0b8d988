"""Read by Python at its start: libfaketime makes ``time.sleep`` fail, so another call sleeps."""

import threading
import time


def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = sleep
