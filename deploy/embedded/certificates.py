"""Certificates of a private authority, for mutual TLS between the components of one server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from infra.process.private_files import write_private_file

LIFETIME = timedelta(days=3650)
# A certificate stays valid when the clock is set back a little.
CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Three PEM files: the authority's certificate, a certificate that it signed, and its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(
    folder: Path, name: str, addresses: Sequence[str] = ("127.0.0.1",)
) -> Certificates:
    """Write certificates for `name` in a folder; the key of their authority is not kept."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"{name} authority")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ip_address(each)) for each in addresses])
    certificate = (
        _builder(_name(name), authority_name, key.public_key())
        .add_extension(hosts, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    made = Certificates(*(folder / f"{name}.{end}" for end in ("ca.pem", "pem", "key")))
    write_private_file(made.authority, authority.public_bytes(Encoding.PEM).decode())
    write_private_file(made.certificate, certificate.public_bytes(Encoding.PEM).decode())
    unencrypted = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private_file(made.key, key.private_bytes(*unencrypted).decode())
    return made


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
