"""The people at their tablets and desks: they drive the server's public HTTP API as the scanner app does."""

from simulators.operators.api import Api, ApiError
from simulators.operators.desk import Desk
from simulators.operators.tablets import Tablets, UploadMess

__all__ = ["Api", "ApiError", "Desk", "Tablets", "UploadMess"]
