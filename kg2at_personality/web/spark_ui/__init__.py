"""A kernel's Spark UI, shown by the gateway."""
