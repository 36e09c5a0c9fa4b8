"""Who may say and hear what on the broker, once for all brokers: MQTT filters of each identity, as Mosquitto's ACL and as NATS permissions. Pure.

An edge publishes under its own prefix only and hears its own commands and the host's STATE; the server reads and writes the Sparkplug namespace.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent.contract.topics import NAMESPACE, check_id

SERVER_USER = "gemba-server"
PBKDF2_ROUNDS = 20_000
_NATS_INTERNAL = ["$MQTT.sub.>", "$MQTT.deliver.>"]  # where NATS delivers an MQTT client's QoS 1 messages


@dataclass(frozen=True, slots=True)
class Rights:
    """MQTT filters."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def rights_of(user: str, host_id: str) -> Rights:
    """Of SERVER_USER, else of the edge that is called so. Raises BadTopic for an id that could hold a wildcard."""
    check_id(user, "user")
    check_id(host_id, "host id")
    if user == SERVER_USER:
        return Rights((f"{NAMESPACE}/#",), (f"{NAMESPACE}/#",))
    publish = [f"{NAMESPACE}/+/{kind}/{user}" for kind in ("NBIRTH", "NDATA", "NDEATH")]
    publish += [f"{NAMESPACE}/+/{kind}/{user}/+" for kind in ("DBIRTH", "DDATA", "DDEATH")]
    hear = (f"{NAMESPACE}/+/NCMD/{user}", f"{NAMESPACE}/+/DCMD/{user}/+", f"{NAMESPACE}/STATE/{host_id}")
    return Rights(tuple(publish), hear)


def mosquitto_acl(users: Iterable[str], host_id: str) -> str:
    """Mosquitto's acl_file. What is not named is denied."""
    lines = ["# made by gemba-server broker-credentials; it is written anew whenever that runs"]
    for user in users:
        rights = rights_of(user, host_id)
        lines += ["", f"user {user}"]
        lines += [f"topic write {one}" for one in rights.publish]
        lines += [f"topic read {one}" for one in rights.subscribe]
    return "\n".join(lines) + "\n"


def mosquitto_password(password: str, salt: bytes) -> str:
    """The hash Mosquitto 2 keeps in its password_file: PBKDF2 with SHA-512 ("$7$")."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    return f"$7${PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def mosquitto_passwords(hashes: Mapping[str, str]) -> str:
    """Mosquitto's password_file of {user: hash}."""
    return "".join(f"{user}:{one}\n" for user, one in hashes.items())


def nats_permissions(user: str, host_id: str) -> dict[str, object]:
    """The same rights in NATS' words."""
    rights = rights_of(user, host_id)
    subscribe = [_subject(one) for one in rights.subscribe]
    subscribe += [one.removesuffix(".>") for one in subscribe if one.endswith(".>")]  # "a/#" means "a" too, and NATS asks for both
    return {"publish": [_subject(one) for one in rights.publish], "subscribe": [*subscribe, *_NATS_INTERNAL]}


def _subject(mqtt_filter: str) -> str:
    """An MQTT filter as a NATS subject: levels are parted by dots, a dot inside a level becomes two slashes."""
    words = {"+": "*", "#": ">"}
    return ".".join(words.get(level, level.replace(".", "//")) for level in mqtt_filter.split("/"))
