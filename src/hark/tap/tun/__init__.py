"""Packets from TUN and TAP devices: rewritten onto sockets of ours, relayed, recorded.

Takes  devices and sockets in the program's network namespace; packets from them.
Gives  frames as the program sees them, the process of each connection; bytes relayed to the real network.
Never  makes a namespace or a device, or decodes above TCP and UDP headers.

plane.py has the parts; tun.py moves packets, nat.py rewrites them, tcp.py and relay.py carry TCP, datagrams.py, udp.py
and groups.py the rest, owners.py finds the process.
"""
