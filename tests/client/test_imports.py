"""What the client costs to import."""

import subprocess
import sys

OF_THE_SERVER = {"torch", "redis", "fastapi", "starlette", "celery", "numpy", "api", "ledger", "worker", "sam"}


def test_the_client_needs_nothing_of_the_server() -> None:
    code = "import sys, lowland.client; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "lowland.client.blocking" in loaded
    assert OF_THE_SERVER.isdisjoint(loaded)
