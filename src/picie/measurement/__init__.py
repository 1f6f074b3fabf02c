"""Tables of what masks hold: areas, regions, sizes in real units."""
