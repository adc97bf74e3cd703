"""What `jupyter kg2at check` looks at. Each check is a function of the Subject that yields findings."""
