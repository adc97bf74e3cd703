"""The durable record of kernels: what the next gateway finds there."""
