"""Where entries are stored: a protocol that each kind of store implements, the disk, and what all stores share."""
