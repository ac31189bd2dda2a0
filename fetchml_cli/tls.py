"""Look at a certificate file and a key file, as a door would use them.

Layer 5. `cryptography` comes with paramiko and is slow to import, so it is imported when a pair is looked at. Nothing
of a key is kept or told.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from attrs import evolve

from fetchml_core.config.rules.base import TlsPair
from fetchml_core.config.source import SourceError, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
    from cryptography.x509 import Certificate

MAX_BYTES = 1 << 20
_KEY_MARK = b"PRIVATE KEY-----"
_CERT_MARK = b"-----BEGIN CERTIFICATE-----"


class _Unusable(Exception):  # noqa: N818 - not an error of ours: a sentence for a finding
    """Why a file cannot be used, to follow its name."""


def tls_pair(cert: Path, key: Path) -> TlsPair:
    """Return what is to be said about a certificate file and a key file; never raises for what they hold.

    Args:
        cert: PEM file; the first certificate is the server's own, others lead to its root.
        key: PEM file with the private key, without a passphrase; may be *cert* itself.
    """
    pair = TlsPair()
    certified = own = b""
    try:
        certificate = _leaf(_read(cert)[0])
        certified = _der(certificate.public_key())
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        pair = evolve(pair, not_before=begin.timestamp(), not_after=end.timestamp())
    except _Unusable as problem:
        pair = evolve(pair, cert_problem=str(problem))
    try:
        data, mode = _read(key)
        pair = evolve(pair, key_mode=mode)
        own = _der(_public_key(data))
    except _Unusable as problem:
        pair = evolve(pair, key_problem=str(problem))
    return evolve(pair, matching=certified == own)


def _read(path: Path) -> tuple[bytes, int]:
    try:
        return read_bytes(path, limit=MAX_BYTES)
    except SourceError as error:
        words = {"file-missing": "does not exist", "not-a-file": error.message.replace("this is", "is")}
        raise _Unusable(words.get(error.code, error.message.replace("the file is", "is"))) from None


def _leaf(data: bytes) -> Certificate:
    """The first certificate of a PEM file."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    if _CERT_MARK not in data:
        what = "holds a key, no certificate" if _KEY_MARK in data else "is no PEM certificate"
        raise _Unusable(what)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd serial numbers and the like: a door takes them
            certificate = x509.load_pem_x509_certificates(data)[0]
            certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _Unusable("is a damaged PEM certificate, or of a kind that is not known") from None
    return certificate


def _public_key(data: bytes) -> PublicKeyTypes:
    """The public half of the private key in a PEM file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if _KEY_MARK not in data:
        what = "holds a certificate, no key" if _CERT_MARK in data else "is no PEM private key"
        raise _Unusable(what)
    try:
        return load_pem_private_key(data, password=None).public_key()
    except TypeError:
        raise _Unusable("is protected by a passphrase, which nobody can type for a door") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _Unusable("is a damaged PEM private key, or of a kind that is not known") from None


def _der(key: PublicKeyTypes | CertificatePublicKeyTypes) -> bytes:
    """A public key in the form in which two can be compared."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
