"""Imports every slice's models, so that `Base.metadata` is whole: migrations and tests start from here. One line a slice."""

from __future__ import annotations

from mes_server.energy import models as energy
from mes_server.kit import journal
from mes_server.kit.db import Base
from mes_server.machine_states import models as machine_states
from mes_server.plant import models as plant
from mes_server.products import models as products

MODELS = (journal, plant, products, machine_states, energy)
metadata = Base.metadata
