"""Composed views. They ask other slices' services and add nothing of their own but the actions."""

from mes_server.reports.service.actions import change_action, make_action
from mes_server.reports.service.health import progress, system_health
from mes_server.reports.service.machine_day import machine_day
from mes_server.reports.service.now import plant_now, wall
from mes_server.reports.service.probes import Probes
from mes_server.reports.service.yesterday import yesterday

__all__ = ["Probes", "change_action", "machine_day", "make_action", "plant_now", "progress", "system_health", "wall", "yesterday"]
