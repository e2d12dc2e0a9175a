"""What people look at: figures in the terminal, and the report page."""
