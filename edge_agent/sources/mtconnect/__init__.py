"""MTConnect: machine tools, through an agent (HTTP) or straight from an adapter (SHDR)."""
