package main

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
