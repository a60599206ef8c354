"""Node: take deliveries, act on them once, and answer for each."""
