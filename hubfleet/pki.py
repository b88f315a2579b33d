"""The deployment's own certificate authority, its server certificates, and keys of Chef clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hubfleet.errors import PreconditionError
from hubfleet.state import write_private

AUTHORITY_LIFE = timedelta(days=3652)
SERVER_LIFE = timedelta(days=397)
"""Browsers refuse those that live longer than 398 days (CA/Browser Forum, BR 6.3.2)."""

RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(hours=1)
"""How far a certificate starts in the past, for nodes whose clocks are behind."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
RSA_BITS = 2048


@dataclass(frozen=True)
class CertificateInfo:
    """What a person wants to know of a certificate."""

    name: str
    not_after: datetime
    names: tuple[str, ...]

    @property
    def days_left(self) -> int:
        """Whole days until it ends."""
        return (self.not_after - datetime.now(UTC)).days


@dataclass(frozen=True)
class Authority:
    """A certificate authority: signs server certificates of one deployment."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def ensure(cls, certificate_file: Path, key_file: Path, name: str) -> Self:
        """Return the authority of these files, made on the first call; it is never replaced.

        Raises PreconditionError where the files are broken or do not belong together.
        """
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(key_file, _private_pem(key))
            write_private(certificate_file, _pem(_self_signed(key, name)))
        try:
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            loaded = load_pem_private_key(key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise PreconditionError(
                f"certificate authority {certificate_file} cannot be used: {error}"
            ) from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or (
            loaded.public_key() != certificate.public_key()
        ):
            raise PreconditionError(
                f"{key_file} is not the key of {certificate_file}",
                "after a rotation that was cut off: ./invoke chef.rotate ca",
            )
        return cls(certificate, loaded)

    def issue(self, names: Sequence[str]) -> tuple[str, str]:
        """Return a new server certificate for `names`, DNS or addresses, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(names[0], self.certificate.subject, key, SERVER_LIFE)
        certificate = (
            builder.add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
            )
            .sign(self.key, hashes.SHA256())
        )
        return _pem(certificate).decode(), _private_pem(key).decode()

    def accepts(self, certificate_pem: str, key_pem: str, names: Sequence[str]) -> bool:
        """Say whether a certificate is ours, for just `names`, of this key, and lasts a while."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
            key = load_pem_private_key(key_pem.encode(), password=None)
            certificate.verify_directly_issued_by(self.certificate)
        except Exception:  # whatever is wrong with it, it is replaced
            return False
        return (
            key.public_key() == certificate.public_key()
            and set(_names(certificate)) == set(names)
            and certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE
        )


def certificates_in(file: Path) -> list[str]:
    """Return the certificates of a file, each as PEM; raise PreconditionError where it has none."""
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise PreconditionError(f"certificates in {file} cannot be read: {error}") from error
    return [_pem(certificate).decode() for certificate in found]


def describe(name: str, file: Path) -> CertificateInfo:
    """Return what a certificate file holds; raise PreconditionError where it holds none."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise PreconditionError(f"certificate {file} cannot be read: {error}") from error
    return CertificateInfo(name, certificate.not_valid_after_utc, _names(certificate))


def of_der(name: str, content: bytes) -> CertificateInfo:
    """Return what a certificate in DER holds; raise PreconditionError where it is none."""
    try:
        certificate = x509.load_der_x509_certificate(content)
    except ValueError as error:
        raise PreconditionError(f"certificate {name} cannot be read: {error}") from error
    return CertificateInfo(name, certificate.not_valid_after_utc, _names(certificate))


def ensure_rsa_key(file: Path) -> rsa.RSAPrivateKey:
    """Return the RSA key of a Chef client, made on the first call."""
    if not file.exists():
        write_private(file, _private_pem(rsa.generate_private_key(65537, RSA_BITS)))
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise PreconditionError(f"key {file} is broken: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PreconditionError(f"key {file} is not an RSA key")
    return key


def public_pem(key: rsa.RSAPrivateKey) -> str:
    """Return the public half of a key, PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint(public: str) -> str:
    """Return the SHA-256 sum of a public key (PEM) in hexadecimal; ValueError where it is none."""
    key = load_pem_public_key(public.encode())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(der).hexdigest()


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        _builder(name, subject, key, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _usage(
    digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    names = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return (*names, *(str(address) for address in addresses))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
