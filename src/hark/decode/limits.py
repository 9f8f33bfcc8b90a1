"""Every cap of the decoder: unit, why that much, and what happens past it.

May hold: numbers. May not hold: code.
"""

PARKED_BYTES = 16 << 20  # ciphertext kept a connection while its secrets are awaited; past it the connection is
#   told as closed for good. The largest bodies that a late key may still open.
PARKED_ALL_BYTES = 48 << 20  # the same over all connections; past it the one that asks for more is given up
REORDER_BYTES = 4 << 20  # TCP data kept a direction while a hole before it may still be filled; past it the hole is
#   told as lost. A receive window is seldom larger.
REORDER_SEGMENTS = 1024  # the same in segments: bounds the time that sorting them takes
SNIFF_BYTES = 16 << 10  # kept while it is open what protocol a connection speaks; past it: not HTTP
HEAD_BYTES = 1 << 20  # an HTTP/1 head, an HTTP/2 header block; past it the message is told as broken. No server
#   takes more than a few hundred KiB.
TABLE_BYTES = 1 << 20  # an HPACK dynamic table: 4 KiB is usual, browsers take 64 KiB
FRAME_BYTES = 1 << 20  # an HTTP/2 frame other than DATA (which is told as it comes); past it the direction is told as
#   broken. Header blocks have no more either.
STREAMS = 10_000  # HTTP/2 streams open at a time on a connection; past it the oldest is told as unfinished
PIPELINE = 10_000  # HTTP/1 requests without an answer on a connection
LAYERS = 16  # protocols inside each other: TLS in a tunnel in TLS …; past it what is inside is passed over
HANDSHAKE_BYTES = 1 << 18  # one TLS handshake message; certificate chains are below 64 KiB
TRANSCRIPT_BYTES = 1 << 18  # of a handshake's messages, kept until its key exchange for the extended master secret
RESYNC_TRIES = 4096  # keys tried on records behind a hole, a hole: which record it is must be guessed and is proved
SECRETS = 200_000  # secrets kept for connections that have not been seen; the oldest go. 200 bytes each.
QUIC_FLOWS = 10_000  # QUIC connections followed at a time; past it the idlest is told as unfinished
QUIC_ENDED_SECONDS = 5  # how long datagrams of a QUIC connection that is over are still known as its own; three
#   times the probe timeout is what its ends wait (RFC 9000 §10.2)
QUIC_IDS = 256  # connection ids, and addresses, remembered of one QUIC connection; later ones are not
QUIC_WAITING = 16 << 20  # bytes of a QUIC connection's streams kept behind holes; past it holes are told as lost
QUIC_STREAMS = 10_000  # streams open at a time in a QUIC connection; past it the oldest is told as unfinished
FRAGMENTED = 256  # IP packets waiting for fragments; the oldest go. Few are in the making at a time.
TUNNELS = 4  # IP in IP, GRE and VXLAN headers opened in one frame; past it the frame is left alone
FLOWS = 100_000  # TCP connections followed at a time; past it the idlest is told as unfinished
ADDRESSES = 10_000  # DNS answers remembered, to tell a connection's host
QUESTIONS = 4096  # DNS questions without an answer
PAST = 65536  # ends of TCP connections that are over, remembered to know packets that come again; the oldest go. 250
#   bytes each.
PAST_EACH = 8  # connections that are over remembered for the same ends; the oldest go
WINDOW = (
    1 << 24
)  # bytes that a direction may be ahead of what was captured of it, and BEFORE behind, for a segment to be
#   taken for its own: windows are seldom larger (RFC 7323 allows 1 GiB), and another connection's number is within
#   both directions' windows once in 60,000 times
BEFORE = 1 << 16  # bytes in front of where a direction was first seen: retransmissions, and what came out of order
UNDECIDED_BYTES = 64 << 10  # kept of a connection joined in the middle while nothing tells which end is the client;
#   past it the oldest go, which nothing could be read from
UNDECIDED_ALL_BYTES = 32 << 20  # the same over all connections; past it the larger port is taken for the client's
MESSAGE_BYTES = 1 << 20  # of a WebSocket message are told; the rest is counted
INFLATED_BYTES = 1 << 28  # out of one compressed WebSocket message; past it the direction is told as broken
SOCKET_PATH = 512  # characters of a Unix socket's path; struct sockaddr_un has 108 bytes, escaped ones four each
NOTES = 1024  # ends of connections of which notes came and no segment yet; the oldest go
NOTES_EACH = 16  # notes on one connection; past it they are let go
