package main

import (
	"fmt"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/health" // makes clients obey healthCheckConfig

	"handover/tests/grpc/echo"
)

// dial opens a channel with one connection, and does not wait for it.
func dial(options options) (*grpc.ClientConn, error) {
	return grpc.Dial("passthrough:///"+options.target, dialOptions(options)...)
}

// dialRoundRobin opens a channel with the round_robin balancer, which watches the health of what it is connected to.
//
// Its one address is its one connection, as for every client of a service on one host. Its calls wait for ready, as
// such a client's must: grpc-go 1.33 has two races of its own at every GOAWAY, which no server can close. The end of
// the health watch makes the connection count as failed for a moment, before it counts as connecting again; and with
// several connections, a call that two of them refuse in the same instant is moved once only (grpc-go issue 2767).
func dialRoundRobin(options options) (*grpc.ClientConn, error) {
	config := fmt.Sprintf(`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": %q}}`,
		echo.ServiceName)
	return grpc.Dial("passthrough:///"+options.target,
		append(dialOptions(options), grpc.WithDefaultServiceConfig(config),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))...)
}

func dialOptions(options options) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithInsecure(),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(options.waitForReady)),
	}
}

// channels are a number of connections that calls take in turn.
type channels struct {
	each []*grpc.ClientConn
}

func newChannels(options options, size int, dial func(options) (*grpc.ClientConn, error)) (*channels, error) {
	c := &channels{}
	for i := 0; i < size; i++ {
		channel, err := dial(options)
		if err != nil {
			return nil, err
		}
		c.each = append(c.each, channel)
	}
	return c, nil
}

func (c *channels) at(n int64) *grpc.ClientConn {
	return c.each[n%int64(len(c.each))]
}
