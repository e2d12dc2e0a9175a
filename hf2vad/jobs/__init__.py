"""The jobs: settings, and what each does with them."""
