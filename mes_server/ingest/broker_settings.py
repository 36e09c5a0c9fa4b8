"""Where the broker is and how to sign in: the embedded one (default) or an external Mosquitto, EMQX or NATS, with TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge_agent.contract.topics import ID_PATTERN


class BrokerSettings(BaseModel):
    """`[broker]` of the server's configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["embedded", "external"] = Field("embedded", description="embedded: the server starts its own; external: it connects to yours")
    host: str = Field("127.0.0.1", description="Address of the broker; the embedded one listens here (keep loopback unless TLS stands before it)")
    port: int = Field(1883, ge=0, le=65535, description="MQTT port; 0 lets the embedded broker choose a free one")
    host_id: str = Field("gemba", pattern=f"^{ID_PATTERN}$", description="Sparkplug host id: edges wait for spBv1.0/STATE/<host_id>")
    user: str | None = Field(None, description="External broker only: user name")
    password_file: Path | None = Field(None, description="External broker only: file that holds the password (mode 0600), one line")
    tls: bool = Field(False, description="External broker only: speak TLS (usually port 8883)")
    tls_ca: Path | None = Field(None, description="CA certificate (PEM) that signed the broker's; none: the system's CAs")
    tls_cert: Path | None = Field(None, description="Client certificate (PEM) for mutual TLS")
    tls_key: Path | None = Field(None, description="Key of the client certificate (PEM)")
    keepalive_s: int = Field(20, ge=5, le=600, description="MQTT keep-alive, real seconds; a dead link is noticed within 1.5 times this")

    @model_validator(mode="after")
    def _fits(self) -> BrokerSettings:
        if self.kind == "embedded" and (self.user or self.password_file or self.tls or self.tls_ca or self.tls_cert):
            raise ValueError("user, password_file and tls belong to broker.kind = 'external'; the embedded broker makes its own")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("broker.tls_cert and broker.tls_key go together")
        if self.kind == "external" and self.port == 0:
            raise ValueError("broker.port must be given for an external broker (1883, with TLS 8883)")
        return self


class Credentials(BaseModel):
    """How one client reaches the broker; also the content of `<data>/broker/users/<user>.json`."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    user: str
    password: str
    host_id: str
