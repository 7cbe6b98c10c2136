"""What is true of this installation and this machine; nothing here fails where something is broken: it is told."""
