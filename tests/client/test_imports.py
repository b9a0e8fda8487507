"""What the client costs to import."""

import subprocess
import sys
from pathlib import Path

import lowland

OF_THE_SERVER = {"torch", "redis", "fastapi", "starlette", "celery", "numpy", "api", "ledger", "worker", "sam"}
#: What loading the weights of a job needs.
OF_THE_NETWORKS = {"torch", "torchvision", "safetensors", "numpy", "lowland.networks"}


def _loaded_by(*modules: str) -> list[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_client_needs_nothing_of_the_server() -> None:
    loaded = _loaded_by("lowland.client")

    assert "lowland.client.blocking" in loaded
    assert OF_THE_SERVER.isdisjoint(loaded)


def test_all_of_lowland_but_its_networks_does_without_torch() -> None:
    root = Path(lowland.__file__).parent
    files = [path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py") if path.stem != "__init__"]
    modules = [".".join(path.parts) for path in files if "networks" not in path.parts]

    loaded = _loaded_by(*modules)

    assert "lowland.client.weights" in loaded
    assert OF_THE_NETWORKS.isdisjoint(loaded)
