"""Imports every slice's models, so that `Base.metadata` is whole: migrations and tests start from here. One line a slice."""

from __future__ import annotations

from mes_server.energy import models as energy
from mes_server.erp_sync import models as erp_sync
from mes_server.identity import models as identity
from mes_server.ingest import models as ingest
from mes_server.kit import journal
from mes_server.kit.db import Base
from mes_server.machine_states import models as machine_states
from mes_server.materials import models as materials
from mes_server.plant import models as plant
from mes_server.products import models as products
from mes_server.quality import models as quality
from mes_server.reports import models as reports
from mes_server.scans import models as scans
from mes_server.traceability import models as traceability
from mes_server.work_orders import models as work_orders

MODELS = (
    journal,
    identity,
    plant,
    products,
    machine_states,
    energy,
    work_orders,
    materials,
    traceability,
    quality,
    scans,
    erp_sync,
    ingest,
)
MODELS = (journal, identity, plant, products, machine_states, energy, work_orders, materials, traceability, scans, erp_sync, ingest, reports)
metadata = Base.metadata
