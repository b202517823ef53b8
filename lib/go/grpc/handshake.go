package handovergrpc

// What RFC 9113 says of connections (3.4), frames (4.1) and frame types (6).
const (
	prefaceLength = 24
	headerLength  = 9
	typeHeaders   = 1
	typeSettings  = 4
	flagAck       = 1
)

// What RFC 8446 says of records (5.1).
const (
	recordLength    = 5
	typeHandshake   = 22
	typeApplication = 23
)

// sealedAnswer is how many records of application data make the client's answer behind TLS, where its frames cannot
// be read. In TLS 1.2 the first one is the preface and the second the answer; in TLS 1.3 both come one later, which
// the time that follows a handshake makes up for.
const sealedAnswer = 2

// handshake reads along what an HTTP/2 client sends, until the client shows that it has seen our SETTINGS.
type handshake struct {
	started bool
	sealed  bool // by TLS: what follows are its records, and not frames
	records int  // of application data
	skip    int  // bytes until the next header
	header  [headerLength]byte
	have    int // bytes of header that are there
}

// feed takes the next bytes and returns true once the client has acknowledged our SETTINGS, or has begun a call.
func (h *handshake) feed(bytes []byte) bool {
	if !h.started && len(bytes) > 0 {
		h.started = true
		h.sealed = bytes[0] == typeHandshake
		if !h.sealed {
			h.skip = prefaceLength
		}
	}
	for {
		if h.skip >= len(bytes) {
			h.skip -= len(bytes)
			return false
		}
		bytes = bytes[h.skip:]
		h.skip = 0
		n := copy(h.header[h.have:h.length()], bytes)
		h.have += n
		bytes = bytes[n:]
		if h.have < h.length() {
			return false
		}
		if h.isAnswer() {
			return true
		}
		h.have = 0
		h.skip = h.payload()
	}
}

func (h *handshake) length() int {
	if h.sealed {
		return recordLength
	}
	return headerLength
}

func (h *handshake) payload() int {
	if h.sealed {
		return int(h.header[3])<<8 | int(h.header[4])
	}
	return int(h.header[0])<<16 | int(h.header[1])<<8 | int(h.header[2])
}

func (h *handshake) isAnswer() bool {
	if h.sealed {
		if h.header[0] == typeApplication {
			h.records++
		}
		return h.records == sealedAnswer
	}
	kind, flags := h.header[3], h.header[4]
	return kind == typeHeaders || kind == typeSettings && flags&flagAck != 0
}
