"""DL/T 645-2007 meters (the Chinese utility protocol) over RS-485 or a TCP gateway."""
