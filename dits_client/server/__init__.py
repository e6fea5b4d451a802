"""The server as the client sees it: addresses, calls, errors, locks."""
