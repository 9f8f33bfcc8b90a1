"""Formats: bytes to values and values to bytes.

Takes  bytes.
Gives  tuples and frozen values; bytes again.
Never  keeps state, asks the world anything, or imports another room of hark.
"""
