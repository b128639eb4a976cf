"""The last program before a step of the tier ``strict``: inside bubblewrap, it adds Landlock and becomes the step.

Run as ``python -I -S inside.py FD``, where FD holds one JSON object ``{"rules", "abi", "exe", "argv", "env"}``. Bubblewrap
has made the mounts by then and loaded the seccomp program; Landlock has to come last, since it forbids mounting.
"""

from __future__ import annotations

import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from clockwork_nb.forge import landlock
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import landlock

NOT_STARTED = 127


def main(argv: list[str]) -> int:
    """Become the step; returns only when that cannot be done, with the reason on stderr."""
    fd = int(argv[1])
    with open(fd, "rb") as file:
        order = json.load(file)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # bubblewrap must outlive it, the step may not
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if order["rules"] is not None:
            landlock.carry_out(landlock.NO_NEW_PRIVILEGES)
            landlock.carry_out(landlock.restriction(landlock.build_ruleset(order["rules"], order["abi"])))
        os.execve(order["exe"], order["argv"], order["env"])  # noqa: S606 - argv was approved
    except OSError as error:
        sys.stderr.write(f"could not be started: {error.strerror}: {error.filename or order['exe']}\n")
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv))
