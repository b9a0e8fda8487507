"""What of the pages does not run in the tests, and why; and what pages take for granted."""

from typing import Final

#: Languages of blocks that are no code to run.
NOT_RUN: Final = {
    "text": "what is printed, or drawn with letters; after a block that runs it is compared",
    "math": "formulae",
    "mermaid": "pictures",
    "diff": "two versions of a part of a program; the whole stands below",
    "acl": "a line of Redis's settings; tests/deploy reads it from there and runs all of Lowland as that user",
    "caddy": "settings of a program that is not installed",
    "conf": "settings of Redis",
    "fstab": "settings of a machine",
    "ini": "settings in the environment",
    "nginx": "settings of a program that is not installed",
    "sh": "examples of a reference page, for what is called ID there; tests/cli runs every command",
    "yaml": "settings of a program that is not installed",
}

#: Why, by page and by a text in the block, which is empty for all of the page.
EXCLUDED: Final = {
    ("README.md", "make demo"): "tests/e2e/test_demo.py runs the demo; make test runs this",
    ("README.md", "benchmarks/"): "trains for minutes on data from the network",
    ("CONTRIBUTING.md", ""): "sets up, runs all tests, writes pages and pins",
    ("docs/how-to/keys-and-quotas.md", "API_KEYS="): "another start; tests/stack/test_keys.py does it",
    ("docs/how-to/keys-and-quotas.md", "RATE_LIMIT="): "another start; tests/api/test_limits.py does it",
    ("docs/how-to/rebuild-the-ledger.md", "--redis-url"): "needs a Redis; tests/stack/test_rebuild.py has one",
    ("docs/how-to/monitoring.md", "run started"): "a line of a log, not a job",
    ("docs/how-to/monitoring.md", "journalctl"): "needs systemd's journal",
    ("docs/how-to/monitoring.md", "pip install"): "installs packages, and needs a collector of OpenTelemetry's",
    ("docs/how-to/back-up-and-restore.md", "docker compose"): "needs Docker",
    ("docs/how-to/from-a-plain-script.md", "pip "): "installs packages; tests/deploy/test_wheel.py does it",
    ("docs/how-to/run-in-production.md", ""): "needs Docker; tests/deploy runs what the containers run",
    ("docs/how-to/several-machines.md", ""): "needs systemd as root; tests/deploy runs what the units run",
    ("docs/how-to/use-a-trained-model.md", ""): "tests/docs/test_trained_page.py runs it on what a job has left behind",
    ("docs/how-to/upgrade.md", "git fetch"): "takes another version from the network",
    ("docs/tutorial/first-model.md", "make setup"): "installs packages; whoever tests has done it",
    ("docs/tutorial/first-model.md", "data get"): "downloads; tests/worker/engine/test_datasets.py has a mirror",
    ("docs/reference/beside-other-libraries.md", "benchmarks/"): "needs the other libraries",
    ("docs/reference/seed-table.md", "benchmarks/"): "trains for hours",
}


def _submitted(variable: str, spec: str) -> list[str]:
    """Commands that submit a job, put its id into a variable, and wait for its end."""
    post = f"curl -s localhost:8000/jobs -H 'Content-Type: application/json' -d '{spec}'"
    return [f"{variable}=$({post} | jq -r .id)", f"curl -sN localhost:8000/jobs/${variable}/events"]


#: Servers that train nothing are ready sooner without torch.
_QUICKER: Final = "export LOWLAND_ENGINE_START=subprocess"
#: A server that has finished a job and recorded it.
_WITH_A_JOB: Final = [
    "lowland serve",
    *_submitted("JOB", '{"dataset": "digits", "epochs": 1}'),
    "until [ -e ~/.local/share/lowland/artifacts/jobs/$JOB/record.json ]; do sleep 0.1; done",
    _QUICKER,
]
#: Commands that make what a page takes for granted, by page.
GIVEN: Final = {
    "docs/reference/api.md": [
        "lowland serve",
        *_submitted("JOB", '{"dataset": "digits", "epochs": 1}'),
        *_submitted("FAILED", '{"dataset": {"name": "folder", "path": "nowhere"}}'),
    ],
    "docs/how-to/back-up-and-restore.md": _WITH_A_JOB,
    "docs/how-to/keys-and-quotas.md": [_QUICKER],
    "docs/how-to/upgrade.md": [_QUICKER, "lowland serve"],
    "docs/how-to/rebuild-the-ledger.md": [
        *_WITH_A_JOB,
        "PID=$(cat ~/.local/share/lowland/lock); kill $PID; tail --pid=$PID -f /dev/null",
    ],
    "docs/how-to/webhooks.md": _submitted(
        "ID", '{"dataset": "digits", "epochs": 1, "webhook": {"url": "https://nobody.invalid/hook"}}'
    ),
}
#: What stands in for what takes too long or is not there, by page: in what is run, and in what is printed.
STAND_INS: Final = {"docs/tutorial/first-model.md": {"kmnist": "digits", "(1, 28, 28)": "(1, 8, 8)"}}
