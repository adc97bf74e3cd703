"""What the operating system knows: processes, files, ports, time. Nothing of Spark or Jupyter."""
