"""OPC UA: asyncua connects, secures and browses; the publish loop and the decoder of data changes are our own."""
