"""Imports every slice's models, so that `Base.metadata` is whole: migrations and tests start from here. One line a slice."""

from __future__ import annotations

from mes_server.kit import journal
from mes_server.kit.db import Base
from mes_server.plant import models as plant
from mes_server.products import models as products

MODELS = (journal, plant, products)
metadata = Base.metadata
