"""Make pages, tables and plots from the committed result files."""
