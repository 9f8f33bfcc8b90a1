"""The kernel's interfaces that taps and key sources share: system calls without a name in Python, netlink, sock_diag.

Takes  numbers, names and bytes.
Gives  descriptors, answers of the kernel; OSError where it refuses.
Never  decides what is done with them.
"""
