"""Become another program that dies with the supervisor: `python child.py PARENT_PID PROGRAM [ARGUMENT...]`.

Python code between fork and exec is unsafe beside threads, so that the death signal is asked for here, after one exec
and before the next. It survives the second one. Elsewhere than on Linux there is no such signal, and a supervisor
that is killed with SIGKILL leaves its children running.
"""

import ctypes
import os
import signal
import sys

#: From linux/prctl.h.
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the death signal, make sure that the parent was still there then, and exec."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(f"{program}: the supervisor {parent} is gone")
    os.execv(program, sys.argv[2:])


if __name__ == "__main__":
    main()
