"""Bells: Celery messages without content that tell a worker to look into the ledger.

A bell may get lost or ring twice; the keeper counts them and rings again, and the claim decides who gets what. So bells
are acknowledged at once, carry nothing, have no result, and are never revoked.
"""

from collections.abc import Sequence
from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import SentinelTransport, Transport
from redis import RedisError

from ledger import LedgerSettings, LedgerUnavailable
from ledger.address import Address
from ledger.keys import bell_queue

#: The one task there is.
ANSWER: Final = "lowland.answer"


class _WritableTransport(Transport):
    """Connects to a server that takes writes.

    One may be there and refuse them for a while: its replicas or its master are away, its disk is full. Celery would
    notice once it is connected, connect again at once, and close nothing; so it waits in between, as for one that is
    away.
    """

    def create_channel(self, connection: Any) -> Any:
        channel: Any = super().create_channel(connection)
        try:
            channel.client.delete("bells")  # there is no such key
        except RedisError:
            channel.close()
            raise
        return channel


class _WritableMasterTransport(_WritableTransport, SentinelTransport):
    """The same where Sentinels name the server."""


# kombu goes by the scheme of each URL, and drops a transport that it was given when it turns to the next Sentinel
TRANSPORT_ALIASES["redis"] = f"{__name__}:{_WritableTransport.__name__}"
TRANSPORT_ALIASES["sentinel"] = f"{__name__}:{_WritableMasterTransport.__name__}"


def bell_app(settings: LedgerSettings) -> Celery:
    """Celery, configured to carry bells and nothing else."""
    broker = Address.read(settings.redis_url).broker(
        socket_timeout=5,
        socket_connect_timeout=2,
        retry_on_timeout=False,
    )
    app = Celery("lowland", broker=broker.url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_hijack_root_logger=True,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # what the server refuses while it is connected; `_WritableTransport` sees to the rest
        broker_channel_error_retry=True,
        broker_use_ssl=broker.tls,
        broker_transport_options={"global_keyprefix": settings.redis_prefix, **broker.options},
    )
    return app


def listen(app: Celery, device_classes: Sequence[str]) -> None:
    """Make a worker of this app hear the bells of these device classes."""
    queues = [bell_queue(name) for name in device_classes]
    # without an exchange of its own a queue would hear the bells of the first one too
    app.conf.task_queues = [Queue(name, Exchange(name), routing_key=name) for name in queues]
    app.conf.task_default_queue = queues[0]


def ring(app: Celery, device_class: str, times: int) -> None:
    """Ring for a device class.

    Raises:
        LedgerUnavailable: Redis did not take the bell.
    """
    try:
        for _ in range(times):
            app.send_task(ANSWER, queue=bell_queue(device_class), ignore_result=True, retry=False)
    except OperationalError as error:
        raise LedgerUnavailable(f"no bell could be rung: {error}") from error
