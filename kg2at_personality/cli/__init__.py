"""`jupyter kg2at`: what an administrator asks and does at a terminal."""
