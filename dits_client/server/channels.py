"""gRPC channels: one for each address."""

import threading

import grpc

from dits_client.server.named_channel import NamedChannel

# Room for one stored object of 16 MiB and its envelope.
MESSAGE_LIMIT = 17 << 20
_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # Large frames and windows: a chunk stream is then a third faster.
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.http2.write_buffer_size", 4 << 20),
    ("grpc.http2.lookahead_bytes", 4 << 20),
    ("grpc.enable_retries", 0),
    # A new channel means a new connection.
    ("grpc.use_local_subchannel_pool", 1),
    # A broken connection is noticed, and replaced, soon: Linux ends one whose bytes, pings too, nobody
    # acknowledges for keepalive_timeout_ms (TCP_USER_TIMEOUT). A machine on the way that acknowledges and
    # passes nothing on is found by the answer to a ping, for which gRPC waits 60 seconds. Not less, by
    # grpc.http2.ping_timeout_ms: on a slow line it comes behind megabytes that were sent before.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class Channels:
    """The open channels by address; safe to be shared between threads."""

    def __init__(self, *, tls: bool) -> None:
        self._tls = tls
        self._channels: dict[str, grpc.Channel] = {}
        self._retired: list[grpc.Channel] = []
        self._lock = threading.Lock()

    def get(self, address: str) -> grpc.Channel:
        """Return the channel to `host:port`; it connects with the first call."""
        with self._lock:
            if address not in self._channels:
                self._channels[address] = self._open(address)
            return self._channels[address]

    def retire(self) -> None:
        """Use new connections for new calls; those that run keep theirs."""
        with self._lock:
            self._retired += self._channels.values()
            self._channels.clear()

    def close(self) -> None:
        """Close every channel."""
        self.retire()
        for channel in self._retired:
            channel.close()
        self._retired.clear()

    def _open(self, address: str) -> grpc.Channel:
        if self._tls:
            from dits_client.server.trust import read_authorities

            credentials = grpc.ssl_channel_credentials(read_authorities())
            channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        else:
            channel = grpc.insecure_channel(address, options=_OPTIONS)
        return NamedChannel(channel, address)
