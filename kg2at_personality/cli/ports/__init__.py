"""`jupyter kg2at ports`: the ports of the gateway, of Spark and of its kernels."""
