package handover

import "encoding/json"

const (
	// maxMessage and maxDescriptors bound what one message of the supervisor can be: see handover-worker(7).
	maxMessage     = 16 * 1024
	maxDescriptors = 253
)

// message is one of the channel's, in either direction. What does not belong to its kind is left out.
type message struct {
	Version  int      `json:"version"`
	Kind     string   `json:"kind"`
	Names    []string `json:"names,omitempty"`
	Set      uint64   `json:"set,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Deadline uint64   `json:"deadline_usec,omitempty"` // of CLOCK_MONOTONIC
	Answers  bool     `json:"answers,omitempty"`
}

// parseMessage returns false for what cannot be understood. Members and kinds that are not known mean nothing.
func parseMessage(data []byte) (message, bool) {
	var m message
	if json.Unmarshal(data, &m) != nil || m.Version != 1 || m.Kind == "" {
		return message{}, false
	}
	return m, true
}

func (m message) text() []byte {
	m.Version = 1
	data, _ := json.Marshal(m)
	return data
}

// reasonOf knows whether somebody serves on when we are gone.
func reasonOf(word string) Reason {
	switch word {
	case "stop", "removed":
		return Stop
	case "reload", "restart", "recycle", "scale", "undo":
		return Reload
	}
	return Unknown
}
