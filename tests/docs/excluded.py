"""What of the pages does not run in the tests, and why: by page, and by a text in the block, empty for all of the page."""

from typing import Final

#: Languages of blocks that are no code to run.
NOT_RUN: Final = {
    "text": "what is printed, or drawn with letters; after a block that runs it is compared",
    "math": "formulae",
    "mermaid": "pictures",
    "diff": "two versions of a part of a program; the whole stands below",
    "nginx": "settings of a program that is not installed",
}

EXCLUDED: Final = {
    ("README.md", "make demo"): "tests/e2e/test_demo.py runs the demo; make test runs this",
    ("CONTRIBUTING.md", ""): "sets up, runs all tests, writes pages and pins",
    ("docs/how-to/monitoring.md", "run started"): "a line of a log, not a job",
    ("docs/how-to/monitoring.md", "journalctl"): "needs systemd's journal",
    ("docs/how-to/monitoring.md", "pip install"): "installs packages, and needs a collector of OpenTelemetry's",
    ("docs/reference/beside-other-libraries.md", "benchmarks/"): "needs the other libraries",
    ("docs/reference/seed-table.md", "benchmarks/"): "trains for hours",
}

#: Commands that make what a page takes for granted, by page.
GIVEN: Final = {
    "docs/how-to/rebuild-the-ledger.md": [
        "lowland serve",
        "JOB=$(curl -s localhost:8000/jobs -H 'Content-Type: application/json' -d '{\"dataset\": \"digits\", \"epochs\": 1}'"
        " | jq -r .id)",
        "curl -sN localhost:8000/jobs/$JOB/events",
        "until [ -e ~/.local/share/lowland/artifacts/jobs/$JOB/record.json ]; do sleep 0.1; done",
        "PID=$(cat ~/.local/share/lowland/lock); kill $PID; tail --pid=$PID -f /dev/null",
    ],
}
