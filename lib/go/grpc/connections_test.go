package handovergrpc

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// An hour stands for "never": the test would be cut off before.
const never = time.Hour

func TestSettleAllWithoutConnections(t *testing.T) {
	if silent := newConnections().settleAll(0, never); silent != 0 {
		t.Errorf("%d silent connections", silent)
	}
}

func TestSettleAllWaitsForTheHandshake(t *testing.T) {
	conns := newConnections()
	client, server := net.Pipe()
	accepted := conns.add(server)
	settled := make(chan int)
	go func() { settled <- conns.settleAll(0, never) }()
	for !conns.awaited() {
		runtime.Gosched()
	}
	go client.Write([]byte(preface + frame(typeSettings, 0, "") + frame(typeSettings, flagAck, "")))
	if _, err := accepted.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if silent := <-settled; silent != 0 {
		t.Errorf("%d silent connections", silent)
	}
}

// awaited says whether somebody waits for the handshakes.
func (c *connections) awaited() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.empty != nil
}

func TestSettleAllForgetsClosedConnections(t *testing.T) {
	conns := newConnections()
	_, server := net.Pipe()
	conns.add(server).Close()
	if silent := conns.settleAll(0, never); silent != 0 {
		t.Errorf("%d silent connections", silent)
	}
}

func TestSettleAllClosesSilentConnections(t *testing.T) {
	conns := newConnections()
	client, server := net.Pipe()
	conns.add(server)
	if silent := conns.settleAll(0, time.Millisecond); silent != 1 {
		t.Errorf("%d silent connections", silent)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}
