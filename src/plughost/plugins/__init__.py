"""First-party plugins: strangers who live here. They are found through entry points; nobody imports them."""
