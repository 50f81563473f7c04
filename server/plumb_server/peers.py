"""What peers may take of the server before it knows who they are: connections, streams, time."""

import resource

_MAX_REQUEST_BYTES = 16 * 1024 * 1024
"""Well above every limit of ours, so that a request that is too large gets a sentence of ours."""

_MOST_CONNECTIONS = 4096
_MOST_STREAMS = 1024
_HANDSHAKE_MS = 20_000
_IDLE_MS = 300_000
_MOST_DESCRIPTORS = 65_536


def server_options() -> list[tuple[str, int]]:
    """The options of the gRPC server.

    A peer that says nothing is let go after the handshake's time, one without a call after some
    minutes (clients connect again by themselves), one that is gone when it answers no ping.
    """
    return [
        ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
        ("grpc.max_concurrent_streams", _MOST_STREAMS),
        ("grpc.max_allowed_incoming_connections", min(_MOST_CONNECTIONS, _descriptors() // 2)),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]


def _descriptors() -> int:
    """How many files the process may have open; the usual 1024 are made more where that is allowed.

    Half of them stay for sandboxes, whatever peers do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
