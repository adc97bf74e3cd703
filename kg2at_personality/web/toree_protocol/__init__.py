"""What a Toree does otherwise than Jupyter's message protocol asks, and how its notebooks are spared it."""
