"""Write, check and resume the results in an output folder."""
