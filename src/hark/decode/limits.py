"""Every limit of the decoder, with its unit, the reason for its size, and what happens when it is exceeded.

May hold: numbers. May not hold: code.
"""

from typing import Final

# -- ciphertext that waits for its keys --------------------------------------------------------------------------------

# Per connection, while its keys are awaited: the largest body that a late key can still decrypt. Past it the connection
# is reported as not decrypted.
PARKED_BYTES: Final = 16 << 20  # bytes
# The same over all connections. Past it the connection that needs more is reported as not decrypted.
PARKED_ALL_BYTES: Final = 48 << 20  # bytes
# TLS secrets of connections that have not been seen. Past it the oldest are dropped. Each takes about 200 bytes.
SECRETS: Final = 200_000
# Record numbers that are tried after a gap in a TLS direction; the right one is proved by the record's authentication.
# Past it the direction stays undecoded.
RESYNC_TRIES: Final = 4096

# -- IP and TCP --------------------------------------------------------------------------------------------------------

# Fragmented IP packets in reassembly. Past it the oldest is dropped. Few are in progress at a time.
FRAGMENTED: Final = 256
# Tunnel headers (IP in IP, GRE, VXLAN …) inside each other in one frame. Past it the frame is not decoded.
TUNNELS: Final = 4
# TCP connections at a time. Past it the one that has been idle for longest is reported as unfinished.
FLOWS: Final = 100_000
# TCP data per direction that waits for an earlier segment. Past it the missing bytes are reported as lost: receive
# windows are seldom larger.
REORDER_BYTES: Final = 4 << 20  # bytes
# The same in segments, which bounds the time that sorting them takes.
REORDER_SEGMENTS: Final = 1024
# Address pairs of ended TCP connections, kept to recognize packets that were captured twice. Past it the oldest are
# dropped. Each takes about 250 bytes.
PAST: Final = 65536
# Ended connections kept per address pair. Past it the oldest are dropped.
PAST_EACH: Final = 8
# How far a segment may be ahead of what was captured of its direction to be taken for the same connection. Windows are
# seldom larger (RFC 7323 allows 1 GiB), and the sequence numbers of an unrelated connection lie within the windows of
# both directions once in 60,000 cases.
WINDOW: Final = 1 << 24  # bytes
# How far it may be before the first captured byte: retransmissions and reordered segments.
BEFORE: Final = 1 << 16  # bytes
# Segments kept of a connection whose first packets were not captured, while it is unknown which end is the client. Past
# it the oldest are dropped; nothing could be decoded from them.
UNDECIDED_BYTES: Final = 64 << 10  # bytes
# The same over all connections. Past it the end with the larger port is taken for the client.
UNDECIDED_ALL_BYTES: Final = 32 << 20  # bytes
# Address pairs for which a note came before any segment. Past it the oldest are dropped.
NOTES: Final = 1024
# Notes per address pair. Past it further ones are dropped.
NOTES_EACH: Final = 16
# The path of a Unix socket. Past it the rest is cut off: struct sockaddr_un has 108 bytes, escaped ones take four each.
SOCKET_PATH: Final = 512  # characters

# -- protocols ---------------------------------------------------------------------------------------------------------

# Kept of a direction while its protocol is not detected. Past it the connection is not decoded.
SNIFF_BYTES: Final = 16 << 10  # bytes
# Protocols inside each other: TLS in a tunnel in TLS … Past it what is inside is not decoded.
LAYERS: Final = 16
# An HTTP/1 head or an HTTP/2 or HTTP/3 header block. Past it the message is reported as broken. No server accepts more
# than a few hundred KiB.
HEAD_BYTES: Final = 1 << 20  # bytes
# HTTP/1 requests without a response per connection. Past it the oldest is reported as unfinished.
PIPELINE: Final = 10_000
# An HPACK or QPACK dynamic table, whatever the peer allows: 4 KiB is usual, browsers use 64 KiB.
TABLE_BYTES: Final = 1 << 20  # bytes
# An HTTP/2 frame other than DATA, which is passed on in pieces. Past it the direction is reported as broken. No header
# block may be larger either.
FRAME_BYTES: Final = 1 << 20  # bytes
# Open HTTP/2 or HTTP/3 streams per connection. Past it the oldest is reported as unfinished.
STREAMS: Final = 10_000
# A WebSocket message. Past it bytes are counted and not kept.
MESSAGE_BYTES: Final = 1 << 20  # bytes
# One decompressed WebSocket message. Past it the direction is reported as broken.
INFLATED_BYTES: Final = 1 << 28  # bytes
# One TLS handshake message. Past it the connection is reported as not decrypted. Certificate chains are below 64 KiB.
HANDSHAKE_BYTES: Final = 1 << 18  # bytes
# The messages of a TLS handshake up to its key exchange, kept for the extended master secret (RFC 7627). Past it that
# secret cannot be computed.
TRANSCRIPT_BYTES: Final = 1 << 18  # bytes

# -- QUIC --------------------------------------------------------------------------------------------------------------

# QUIC connections at a time. Past it the one that has been idle for longest is reported as unfinished.
QUIC_FLOWS: Final = 10_000
# How long datagrams are still recognized as those of an ended QUIC connection: an endpoint waits for three times the
# probe timeout (RFC 9000 §10.2).
QUIC_ENDED_SECONDS: Final = 5
# Connection ids, and address pairs, remembered per QUIC connection. Past it ids are ignored, and the oldest pairs are
# dropped.
QUIC_IDS: Final = 256
# Stream data of a QUIC connection that waits for earlier packets. Past it the missing bytes are reported as lost.
QUIC_WAITING: Final = 16 << 20  # bytes
# Open streams per direction of a QUIC connection. Past it the oldest is reported as reset.
QUIC_STREAMS: Final = 10_000

# -- DNS ---------------------------------------------------------------------------------------------------------------

# DNS answers remembered to find the host name of an address. Past it the oldest are dropped.
ADDRESSES: Final = 10_000
# DNS questions without an answer. Past it the oldest is dropped.
QUESTIONS: Final = 4096
