"""`jupyter kg2at check`. Each check is a function that takes the Subject and yields findings."""
