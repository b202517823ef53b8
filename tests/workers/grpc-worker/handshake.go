package main

// What RFC 9113 says of connections (3.4), frames (4.1) and frame types (6).
const (
	prefaceLength = 24
	headerLength  = 9
	typeHeaders   = 1
	typeSettings  = 4
	flagAck       = 1
)

// handshake reads along what an HTTP/2 client sends, until the client shows that it has seen our SETTINGS.
type handshake struct {
	started bool
	skip    int // bytes until the next frame header
	header  [headerLength]byte
	have    int // bytes of header that are there
}

// feed takes the next bytes and returns true once the client has acknowledged our SETTINGS, or has begun a call.
func (h *handshake) feed(bytes []byte) bool {
	if !h.started {
		h.started = true
		h.skip = prefaceLength
	}
	for {
		if h.skip >= len(bytes) {
			h.skip -= len(bytes)
			return false
		}
		bytes = bytes[h.skip:]
		h.skip = 0
		n := copy(h.header[h.have:], bytes)
		h.have += n
		bytes = bytes[n:]
		if h.have < headerLength {
			return false
		}
		if h.isAnswer() {
			return true
		}
		h.have = 0
		h.skip = int(h.header[0])<<16 | int(h.header[1])<<8 | int(h.header[2])
	}
}

func (h *handshake) isAnswer() bool {
	kind, flags := h.header[3], h.header[4]
	return kind == typeHeaders || kind == typeSettings && flags&flagAck != 0
}
