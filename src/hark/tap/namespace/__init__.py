"""The rootless tap: the program in a network namespace whose interfaces are devices that hark reads.

Takes  packets from the devices, connections from the namespace's own TCP.
Gives  frames as the program sees them, the process of each connection; bytes relayed to the real network.
Never  decodes above TCP and UDP headers, needs a capability of the host, or leaves anything to clean up.

setup.py builds the namespace from inside, with the network that host.py has read and mirror.py makes there, and the ids
of idmap.py; follow.py keeps it so. tap.py serves what was built: tun/ carries packets, hostside.py answers the agent.
"""
