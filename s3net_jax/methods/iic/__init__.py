"""IIC: clusters that a random crop and its transformed copy share, by mutual information."""
