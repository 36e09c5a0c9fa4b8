"""The tablets' door: acts one by one or a whole offline shift at once, what a scanned code means, the station's home, the decide list, labels.

Stands above the doing slices and calls them through their services only.
"""
