package handovergrpc

import (
	"strings"
	"testing"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func frame(kind, flags byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, 0}) + payload
}

// answerEnd gives bytes to a handshake in pieces of the given size, and returns how many it had when it said yes.
func answerEnd(bytes string, size int) int {
	var h handshake
	for had := 0; had < len(bytes); {
		end := had + size
		if end > len(bytes) {
			end = len(bytes)
		}
		if h.feed([]byte(bytes[had:end])) {
			return end
		}
		had = end
	}
	return -1
}

func TestHandshake(t *testing.T) {
	settings := frame(typeSettings, 0, strings.Repeat("\x04", 12))
	ack := frame(typeSettings, flagAck, "")
	large := frame(8, 0, strings.Repeat("\x04\x01", 40000)) // a payload that looks like frames
	for _, test := range []struct{ before, answer string }{
		{preface + settings, ack},
		{preface + settings + large, ack},
		{preface + settings, frame(typeHeaders, 4, "")},
		{preface, ack},
	} {
		whole := test.before + test.answer
		for _, size := range []int{1, 2, 7, 9, 24, 33, 1000} {
			end := answerEnd(whole, size)
			if end <= len(test.before)+headerLength-1 {
				t.Errorf("pieces of %d: said yes after %d bytes of %d", size, end, len(whole))
			}
		}
		if end := answerEnd(test.before, 5); end != -1 {
			t.Errorf("said yes without an answer, after %d bytes", end)
		}
	}
}

func record(kind byte, payload string) string {
	n := len(payload)
	return string([]byte{kind, 3, 3, byte(n >> 8), byte(n)}) + payload
}

func TestHandshakeBehindTLS(t *testing.T) {
	hello := record(typeHandshake, strings.Repeat("\x17\x03\x03", 200)) + record(20, "\x01") + record(typeHandshake, "finished")
	before := hello + record(typeApplication, preface+frame(typeSettings, flagAck, ""))
	whole := before + record(typeApplication, "sealed")
	for _, size := range []int{1, 2, 5, 9, 100, 1000} {
		if end := answerEnd(whole, size); end <= len(before)+recordLength-1 {
			t.Errorf("pieces of %d: said yes after %d bytes of %d", size, end, len(whole))
		}
		if end := answerEnd(before, size); end != -1 {
			t.Errorf("pieces of %d: said yes without an answer, after %d bytes", size, end)
		}
	}
}
