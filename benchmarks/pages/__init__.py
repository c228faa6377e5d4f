"""Pages, tables and plots made from the committed result files."""
