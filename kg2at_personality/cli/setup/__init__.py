"""`jupyter kg2at setup`: install kg2at and what it needs, with or without a network."""
