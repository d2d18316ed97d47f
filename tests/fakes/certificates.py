"""Certificates for tests: self-signed, one good for a hundred years, one long expired.

The keys protect nothing.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, as PEM text."""

    chain: str
    key: str

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both into ``folder`` and return the paths of certificate and key."""
        paths = folder / "cert.pem", folder / "key.pem"
        for path, text in zip(paths, (self.chain, self.key), strict=True):
            path.write_text(text)
        return paths


LOCALHOST = Certificate(
    chain="""\
-----BEGIN CERTIFICATE-----
MIIBXjCCAQSgAwIBAgIUKdfMulXDxrC9xsXyKNbS+lLGepMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MDEwMTAwMDAwMFoYDzIxMjYwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQSLW80y1HD9yvEbX3QzHyoqo12Fbkmz+bEVvDT9nlWXmWkii5QcFex
lb7HWD0jum6n1BeKvJaq3DCvgkbT+htdozIwMDAaBgNVHREEEzARgglsb2NhbGhv
c3SHBH8AAAEwEgYDVR0TAQH/BAgwBgEB/wIBADAKBggqhkjOPQQDAgNIADBFAiEA
hIMAxCWxr5yCD6ZgjhvdV6CRNNdfoSNK4pHGAuDS1NsCIH7S5B2NPKZ9DdBWeFzt
BTpA9khvRYH4/iBHMlBuzOS+
-----END CERTIFICATE-----
""",
    key="""\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqDronkgOEj6JlPkW
OudwQq2RTA7jnbYVxXgt/SK7SW+hRANCAAQSLW80y1HD9yvEbX3QzHyoqo12Fbkm
z+bEVvDT9nlWXmWkii5QcFexlb7HWD0jum6n1BeKvJaq3DCvgkbT+htd
-----END PRIVATE KEY-----
""",
)
"""For localhost and 127.0.0.1, until 2126."""

EXPIRED = Certificate(
    chain="""\
-----BEGIN CERTIFICATE-----
MIIBXDCCAQKgAwIBAgIUTEbAw/5Uc4R6SFD9QNA6301W2EgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MB4XDTE5MDEwMTAwMDAwMFoXDTIwMDEwMTAw
MDAwMFowFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEVFrM9+XgaijLpuegwWnF56ndksk1+57FGfZL4QpmimyoDmnSw5xxsfzV
+N9wL+Qns9XuNbcQArjUC/Mzp+w8xqMyMDAwGgYDVR0RBBMwEYIJbG9jYWxob3N0
hwR/AAABMBIGA1UdEwEB/wQIMAYBAf8CAQAwCgYIKoZIzj0EAwIDSAAwRQIgQK9X
/xZ+stAAhESPXmWOZ4AWWJ2BUT1vo/T1fS6B5x0CIQCP5KgV79uCpFXD0hTbQRly
Ymfqjj6nePguOWP1Am+DXw==
-----END CERTIFICATE-----
""",
    key="""\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSAv9a0fX82NVu7U5
TdRaYLByWzDtdCGDuj+3QNwPJ/2hRANCAARUWsz35eBqKMum56DBacXnqd2SyTX7
nsUZ9kvhCmaKbKgOadLDnHGx/NX433Av5Cez1e41txACuNQL8zOn7DzG
-----END PRIVATE KEY-----
""",
)
"""For localhost, until 2020."""

OTHER = Certificate(
    chain="""\
-----BEGIN CERTIFICATE-----
MIIBZDCCAQqgAwIBAgIURGj5W6FP4xfNHk73QgjAMVk1C1swCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTAgFw0yNjAxMDEwMDAwMDBaGA8yMTI2
MDEwMTAwMDAwMFowGDEWMBQGA1UEAwwNb3RoZXIuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABPlAgo4ePiTxd0nCjE4iz0uPqBP3RfgUuPa74ot1IKB4
ENPymIuRweEtHS1Ouhuuhkpqnw+z0tqc/1S//EIjreujMDAuMBgGA1UdEQQRMA+C
DW90aGVyLmV4YW1wbGUwEgYDVR0TAQH/BAgwBgEB/wIBADAKBggqhkjOPQQDAgNI
ADBFAiAYq8oRdtMZB6USUKcr6b/Aou0l535NjJIoNkXQYyi4AwIhALS+Xtczeydb
TVqmwiGFnnSvINo/3/SinlUj4wLCVo20
-----END CERTIFICATE-----
""",
    key="""\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrBiEf45FsgrIPeCi
hg+xZyiSJpvnQLjxDgjURZErUFKhRANCAAT5QIKOHj4k8XdJwoxOIs9Lj6gT90X4
FLj2u+KLdSCgeBDT8piLkcHhLR0tTrobroZKap8Ps9LanP9Uv/xCI63r
-----END PRIVATE KEY-----
""",
)
"""For other.example, until 2126."""
