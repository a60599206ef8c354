"""The Celery app of a node: its queue, no results, no pool, events for Flower."""

from typing import Any

from celery import Celery

from fleetjobs.broker.connections import node_queue_name, queues_of, transport_options

PREFETCH = 64  #: messages a node holds before it has spooled the first


class NodeApp(Celery):
    """A Celery app that carries the parts of its node: Celery itself makes the consumer."""

    node: Any = None


def make_app(url: str, node: str) -> NodeApp:
    """Celery bound to the queue of one node.

    There is no result backend: Celery's own publishing of results turns a success into a failure
    when the broker is away for longer than its retries. Replies go through the outbox.
    """
    name = node_queue_name(node)
    app = NodeApp(f"fleetjobs-{node}", broker=url, set_as_current=True)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=5,
        broker_transport_options=transport_options(url),
        event_queue_expires=60.0,
        result_backend=None,
        task_create_missing_queues=False,
        task_default_queue=name,
        task_ignore_result=True,
        task_queues=queues_of(name, url),
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_concurrency=1,
        worker_consumer="fleetjobs.node.consumer:NodeConsumer",
        worker_detect_quorum_queues=True,
        worker_enable_prefetch_count_reduction=False,
        worker_hijack_root_logger=False,
        worker_pool="solo",
        worker_prefetch_multiplier=PREFETCH,
        worker_redirect_stdouts=False,
        worker_send_task_events=True,
    )
    return app
