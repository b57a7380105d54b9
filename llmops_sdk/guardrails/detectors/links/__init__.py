"""Find links, images and scripts that can carry data to other hosts."""
