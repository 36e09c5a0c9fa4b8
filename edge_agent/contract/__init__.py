"""The wire between edge agents, the server and the simulators: topics, payloads, names, delivery marks, plant time.

Knows neither server nor drivers, and imports nothing heavy: protobuf, pydantic and the standard library alone.
"""
