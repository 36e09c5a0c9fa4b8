"""How to reach a broker: the embedded one or an external Mosquitto, EMQX or NATS, with TLS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Credentials(BaseModel):
    """How one client signs in; also the content of `<data>/broker/users/<user>.json`."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    user: str
    password: str
    host_id: str


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """The embedded broker's own certificate. `client_ca` set: clients must show a certificate that it signed."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def nats(self) -> dict[str, object]:
        """NATS' `tls` block."""
        found: dict[str, object] = {"cert_file": str(self.certificate.resolve()), "key_file": str(self.key.resolve())}
        if self.client_ca is not None:
            found |= {"ca_file": str(self.client_ca.resolve()), "verify": True}
        return found


@dataclass(frozen=True, slots=True)
class BrokerLink:
    """One MQTT connection of the server. `tls_ca` set: TLS, and the broker's certificate must be signed by it and bear the host's name."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    client_id: str = "gemba-server"
    keepalive_s: int = 30
    tls_ca: Path | None = None
    tls_cert: Path | None = None  # client certificate and key for mutual TLS
    tls_key: Path | None = None
