"""Requests that a signature proves, not a header that stays the same: AWS's Signature Version 4, by botocore."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from zoo_opt.core.errors import NotServed
from zoo_opt.support import secrets
from zoo_opt.support.loading import require
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.remote.addresses import is_safe_for_secrets

Signer = Callable[[str, str, bytes, dict[str, str]], dict[str, str]]
"""Takes method, address, body and the headers that are signed; returns those that are added. It raises NotServed where
credentials cannot be renewed."""

_AWS = re.compile(r"aws:([a-z0-9-]+)")
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d+)\.(?:(?:vpce\.)?amazonaws\.com(?:\.cn)?|api\.aws|on\.aws)$")


def signer(how: str, url: str) -> Signer:
    """Return what signs the requests of a service.

    Credentials are those that AWS's own tools find: the environment, the profile, the machine's role. They are asked
    for at each request, so that those that expire are renewed.

    Parameters
    ----------
    how : str
        ``aws:SERVICE``, as in ``aws:sagemaker``.
    url : str
        Of the service; its host names the region, else ``AWS_REGION`` or the profile does.

    Raises
    ------
    ValueError
        If it is another kind of signature, there are no credentials or no region, or others could read what is sent.
    ImportError
        If the extra ``aws`` is not installed.
    """
    known = _AWS.fullmatch(how)
    if not known:
        raise ValueError(f"sign must be aws:SERVICE, got {how!r:.40}")
    if known[1] in ("s3", "s3-outposts", "s3-object-lambda"):  # other rules for paths and bodies
        raise ValueError(
            f"sign must be of another service than {known[1]}, whose rules differ: give a presigned address"
        )
    parts = urlsplit(url)
    if not is_safe_for_secrets(parts):
        raise ValueError(f"sign: requests to {parts.netloc} would go by http, where others can read them")
    session = require("botocore.session", "botocore", "aws").get_session()
    from botocore.exceptions import BotoCoreError

    in_host = _REGION.search(parts.hostname or "")
    try:
        credentials = session.get_credentials()
        region = in_host.group(1) if in_host else _region(session)
    except BotoCoreError as error:
        raise ValueError(f"sign: AWS's credentials cannot be read: {hidden(str(error))}") from None
    if credentials is None:
        raise ValueError("sign: AWS's credentials must be set, in the environment or by aws configure; there are none")
    return _aws(credentials, known.group(1), region)


def _region(session: Any) -> str:
    import os

    region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    if not region:
        raise ValueError("sign: the region must be set, as AWS_REGION, as the address does not name it")
    return str(region)


def _aws(credentials: Any, service: str, region: str) -> Signer:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError

    def signed(method: str, url: str, content: bytes, headers: dict[str, str]) -> dict[str, str]:
        try:
            now = credentials.get_frozen_credentials()
        except (BotoCoreError, RuntimeError) as error:  # of a role that is gone, or a login that is over
            raise NotServed(f"AWS's credentials cannot be renewed: {hidden(str(error))}") from None
        for secret in (now.secret_key, now.token):
            secrets.remember(secret or "")
        request = AWSRequest(method=method, url=url, data=content, headers=headers)
        SigV4Auth(now, service, region).add_auth(request)
        return {name: str(value) for name, value in request.headers.items() if name not in headers}

    return signed
