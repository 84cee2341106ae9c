"""The kit that gradient-estimate methods are composed from, along five axes."""
