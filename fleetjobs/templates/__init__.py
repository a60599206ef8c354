"""Templates: plans, or single actions, that are kept under a name, with parameters left open."""
