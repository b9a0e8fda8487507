"""Whether keeper or worker is at work: `python -m worker.alive keeper` or `worker`, for health checks.

The ledger says it, not the process list: a process that hangs, or has lost Redis, is not at work. Exit code 0, or 1
with one line that says why; 2 where a setting is wrong.

    keeper    one has looked at the leases a moment ago, here or elsewhere; that another hangs is not seen
    worker    one of this machine's name is heard; that it is being drained does not matter
"""

import argparse
import socket

from ledger import Keys, Ledger, LedgerError, LedgerSettings, presence


def main() -> None:
    """Ask, and exit."""
    parser = argparse.ArgumentParser(prog="python -m worker.alive")
    parser.add_argument("who", choices=["keeper", "worker"])
    who = parser.parse_args().who
    settings = LedgerSettings.of_process()
    try:
        with Ledger(settings.redis_url, Keys(settings.redis_prefix)) as ledger:
            found = ledger.run(presence.is_attended()) if who == "keeper" else _is_heard(ledger, socket.gethostname())
    except LedgerError as error:
        raise SystemExit(f"{who}: {error}") from error
    if not found:
        raise SystemExit(f"{who}: the ledger has not heard of one in time")


def _is_heard(ledger: Ledger, machine: str) -> bool:
    return any(one.alive and one.id.rpartition("@")[2] == machine for one in ledger.run(presence.list_workers()))


if __name__ == "__main__":
    main()
