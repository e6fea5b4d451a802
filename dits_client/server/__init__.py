"""The server as the client sees it: addresses, logins, calls, errors, locks."""
