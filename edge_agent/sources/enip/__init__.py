"""EtherNet/IP: Rockwell Logix controllers (ControlLogix, CompactLogix, Micro800) by tag names."""
