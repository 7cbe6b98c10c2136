"""A world of nameable illustrated objects: categories, sprites, and videos with exact masks made from a seed."""
