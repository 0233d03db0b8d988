"""``python -m bench.profile drain|enqueue|bulk|pickup|busy``: print the profile's tables.

It wants a Python that has this tree and its extra ``postgres``; the drain wants py-spy too, and
the awaited enqueue uvloop. Figures are medians and ranges of alternating rounds.
"""

from __future__ import annotations

import sys

from bench.profile import bulk, busy, drain, enqueue, pickup

PROFILES = {
    "drain": drain.profile,
    "enqueue": enqueue.profile,
    "bulk": bulk.profile,
    "pickup": pickup.profile,
    "busy": busy.profile,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PROFILES:
        sys.exit(f"usage: python -m bench.profile {'|'.join(PROFILES)}")
    PROFILES[sys.argv[1]]()
