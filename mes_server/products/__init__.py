"""What is made: items, bills of material and routings with frozen revisions. Knows no order, no lot and no count."""
