"""The socket that a server listens on."""

from __future__ import annotations

import socket
from typing import Final

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError

BACKLOG: Final = 1024
"""Connections that may wait to be accepted."""


def listen(settings: ServingSettings) -> socket.socket:
    """Returns a listening socket.

    It names its protocol: asyncio turns Nagle's algorithm off only on connections that say they are TCP, and with it
    on, every answer waits 40 ms for the client's delayed acknowledgement.

    Args:
      settings: With host and port; port 0 takes a free one.

    Raises:
      ConfigError: If the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Expected to listen on {settings.host} port {settings.port}, got: {error.strerror or error}. "
            "Choose another host or port; port 0 takes any free one."
        ) from error
    return listener


def url_of(host: str, listener: socket.socket) -> str:
    """Returns the base URL at which a listening socket is reached, with its real port."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
