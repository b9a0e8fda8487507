"""OpenTelemetry: silent unless told, then sent where its own variables say."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ledger import Keys
from tests.api.servers import api_server
from tests.waiting import until


class Collector(ThreadingHTTPServer):
    """Takes what OTLP exporters send."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> set[str]:
        """The names of all spans."""
        requests = [ExportTraceServiceRequest.FromString(body) for path, body in self.received if path == "/v1/traces"]
        return {
            span.name
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


class _Handler(BaseHTTPRequestHandler):
    server: Collector  # pyright: ignore[reportIncompatibleVariableOverride]  no other server makes one

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at what was received."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("told", [True, False])
def test_requests_are_traced_where_that_is_told(
    redis_url: str, collector: Collector, tmp_path: Path, told: bool
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    settings = {"LOWLAND_TELEMETRY": "true"} if told else {}
    with api_server(redis_url, Keys("{ttelemetry}:"), tmp_path, port=None, **variables, **settings) as url:
        httpx2.get(f"{url}/workers").raise_for_status()
    # what is left is sent before the process ends

    if told:
        until(lambda: "GET /workers" in collector.spans(), "the span has come")
    else:
        assert collector.received == []
