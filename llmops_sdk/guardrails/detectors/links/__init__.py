"""Find links, images and scripts that can carry data to other hosts.

Doors for other packages: `_exfiltration`.
"""
