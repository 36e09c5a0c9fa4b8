"""Who acts and what they may do: people, roles × areas, badges, PINs, passwords, sessions, devices, API tokens. Knows no order and no machine."""
