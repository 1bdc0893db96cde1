"""The capture is the bus: the proxy appends records, everything else reads them."""
