"""What the suites share: timing, candidates in processes of their own, machine and metadata."""
