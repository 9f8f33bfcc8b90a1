module hark/tests

go 1.25

require github.com/quic-go/quic-go v0.65.0
