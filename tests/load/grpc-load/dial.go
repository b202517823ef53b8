package main

import (
	"fmt"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/health" // makes clients obey healthCheckConfig
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"handover/tests/grpc/echo"
)

// dial opens a channel with one connection, and does not wait for it.
func dial(options options) (*grpc.ClientConn, error) {
	return grpc.Dial("passthrough:///"+options.target, dialOptions(options)...)
}

// dialRoundRobin opens a channel that spreads its calls over several connections to the target, and watches the
// health of what is behind each.
func dialRoundRobin(options options, connections int) (*grpc.ClientConn, error) {
	names := manual.NewBuilderWithScheme("target")
	var addresses []resolver.Address
	for i := 0; i < connections; i++ {
		// The balancer keeps one connection for each different address. Without TLS a server name means nothing.
		addresses = append(addresses, resolver.Address{Addr: options.target, ServerName: fmt.Sprintf("connection-%d", i)})
	}
	names.InitialState(resolver.State{Addresses: addresses})
	config := fmt.Sprintf(`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": %q}}`,
		echo.ServiceName)
	return grpc.Dial("target:///", append(dialOptions(options),
		grpc.WithResolvers(names), grpc.WithDefaultServiceConfig(config))...)
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

func newChannels(options options, size int) (*channels, error) {
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
