"""What any package needs and none is about: lazy names, plugins, progress."""
