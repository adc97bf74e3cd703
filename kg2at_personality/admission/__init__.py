"""What a kernel asks for, and whether it may have it now."""
