"""What kg2at knows of Spark."""
