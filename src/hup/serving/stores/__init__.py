"""Where the service keeps what it knows of users and items, so that a machine may die."""
