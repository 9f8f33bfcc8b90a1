"""Formats: bytes to values and values to bytes.

Takes  bytes.
Gives  tuples and frozen values; bytes again.
Never  keeps state, uses the operating system, or imports another package of hark.
"""
