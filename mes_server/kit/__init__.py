"""Domain-free machinery of the server: the one door for acts, the only commit, journal, errors, ids, live, HTTP helpers.

Knows no slice. Time comes from edge_agent.contract.clock.
"""
