"""URLs that let their holder do one request to an S3 server: signature version 4, in the query.

The client library signs URLs, too, but no headers: with such a URL one reads a whole pack, in which
there are chunks of other repositories, and puts as much as one likes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from services.chunk.stores.blob_store import SignedRequest
from services.chunk.stores.s3_client import read_credentials
from shared.runtime.store_url import S3Location

_ALGORITHM = "AWS4-HMAC-SHA256"


class S3Signer:
    """Signs requests for the objects of one place.

    Attributes:
        can_sign: whether there are keys; those of a role of the machine are not known here.
    """

    def __init__(self, where: S3Location) -> None:
        keys = read_credentials(where)
        self._key_id = keys.get("access_key_id") or os.environ.get("AWS_ACCESS_KEY_ID", "")
        self._secret = keys.get("secret_access_key") or os.environ.get("AWS_SECRET_ACCESS_KEY", "")
        own = keys.get("access_key_id")
        self._token = keys.get("session_token") or (
            "" if own else os.environ.get("AWS_SESSION_TOKEN", "")
        )
        self._region = where.region or os.environ.get("AWS_REGION", "us-east-1")
        endpoint = where.endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
        self._endpoint = (endpoint or f"https://s3.{self._region}.amazonaws.com").rstrip("/")
        self._base = f"/{where.bucket}/{where.prefix}".rstrip("/")
        self.can_sign = bool(self._key_id and self._secret)

    def sign(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str],
        lasting: timedelta,
        now: datetime | None = None,
    ) -> SignedRequest:
        """Returns a request for an object, with lower-case `headers`, that is good for so long."""
        time = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{time[:8]}/{self._region}/s3/aws4_request"
        url = urlsplit(self._endpoint)
        path = quote(f"{url.path}{self._base}/{key}")
        signed = {"host": url.netloc, **headers}
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self._key_id}/{scope}",
            "X-Amz-Date": time,
            "X-Amz-Expires": str(max(1, int(lasting.total_seconds()))),
            "X-Amz-SignedHeaders": ";".join(sorted(signed)),
        }
        if self._token:
            query["X-Amz-Security-Token"] = self._token
        text = "&".join(
            f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items())
        )
        lines = "".join(f"{name}:{value}\n" for name, value in sorted(signed.items()))
        names = query["X-Amz-SignedHeaders"]
        request = f"{method}\n{path}\n{text}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        signature = self._sign_text(f"{_ALGORITHM}\n{time}\n{scope}\n{digest}", scope)
        where = f"{url.scheme}://{url.netloc}{path}?{text}&X-Amz-Signature={signature}"
        return SignedRequest(method, where, dict(headers))

    def _sign_text(self, text: str, scope: str) -> str:
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()
