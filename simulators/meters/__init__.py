"""Electricity meters on Modbus TCP: register maps of real makes, values computed when they are read."""

from simulators.meters.maps import MAPS, MeterMap, Register
from simulators.meters.server import MeterGateway, MeterReading

__all__ = ["MAPS", "MeterGateway", "MeterMap", "MeterReading", "Register"]
