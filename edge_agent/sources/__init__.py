"""Where values come from. Each kind of source is a folder with its driver; `registry.py` lists them."""
