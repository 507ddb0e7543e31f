"""Secrets and signatures of Standard Webhooks 1.0, the symmetric scheme ``v1``."""

import base64
import binascii
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
SECRET_BYTES = 32  # the scheme allows 24 to 64


def new_secret():
    """A random secret in the form that receivers' libraries take.

    >>> new_secret().startswith("whsec_")
    True
    """
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret):
    """The bytes that sign, of a secret as :func:`new_secret` makes it.

    :raises ValueError: it is no such secret
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"A secret begins with {PREFIX}.")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as exc:
        raise ValueError("A secret is base64 after its prefix.") from exc
    if not key:
        raise ValueError("A secret may not be empty.")
    return key


def signature(secret, webhook_id, timestamp, body):
    """One signature of a message.

    :param str secret: ``whsec_…``
    :param str webhook_id: the message's id, the same for every attempt
    :param int timestamp: seconds since 1970 of this attempt
    :param str body: the text exactly as it is sent
    :return: ``v1,…``
    """
    signed = f"{webhook_id}.{timestamp}.{body}".encode()
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signature_header(secrets_, webhook_id, timestamp, body):
    """The ``webhook-signature`` header: one signature per secret, so that a receiver may have either."""
    return " ".join(signature(secret, webhook_id, timestamp, body) for secret in secrets_)
