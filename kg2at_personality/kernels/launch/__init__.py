"""How kernels are launched: a module for each kind of kernel, and what all kinds have in common."""
