package echo

import (
	"context"

	"google.golang.org/grpc"
)

// ServiceName is the name under which the service is registered, also with the health service.
const ServiceName = "handover.test.Echo"

// Full names of the methods.
const (
	UnaryMethod        = "/" + ServiceName + "/Unary"
	ServerStreamMethod = "/" + ServiceName + "/ServerStream"
	HangMethod         = "/" + ServiceName + "/Hang"
)

// Keys of the initial metadata, which a worker sends before it starts on the call, so that the client knows who
// has its call even if no reply ever comes.
const (
	PidKey        = "handover-pid"
	GenerationKey = "handover-generation"
)

// Server is what a worker implements.
type Server interface {
	// Unary waits for the delay and answers Number+1. It gives up when ctx ends.
	Unary(ctx context.Context, req *Request) (*Reply, error)
	// ServerStream calls send for each message, one after each delay.
	ServerStream(ctx context.Context, req *Request, send func(*Reply) error) error
	// Hang never answers and ignores ctx.
	Hang(ctx context.Context) error
}

// Register makes server answer the calls that s receives.
func Register(s *grpc.Server, server Server) {
	s.RegisterService(&serviceDesc, server)
}

var serviceDesc = grpc.ServiceDesc{
	ServiceName: ServiceName,
	HandlerType: (*Server)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: handleUnary}},
	Streams: []grpc.StreamDesc{
		{StreamName: "ServerStream", Handler: handleServerStream, ServerStreams: true},
		{StreamName: "Hang", Handler: handleHang, ServerStreams: true},
	},
}

func handleUnary(srv interface{}, ctx context.Context, decode func(interface{}) error,
	interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	req := new(Request)
	if err := decode(req); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(Server).Unary(ctx, req.(*Request))
	}
	if interceptor == nil {
		return handler(ctx, req)
	}
	return interceptor(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: UnaryMethod}, handler)
}

func handleServerStream(srv interface{}, stream grpc.ServerStream) error {
	req := new(Request)
	if err := stream.RecvMsg(req); err != nil {
		return err
	}
	send := func(reply *Reply) error { return stream.SendMsg(reply) }
	return srv.(Server).ServerStream(stream.Context(), req, send)
}

func handleHang(srv interface{}, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(new(Request)); err != nil {
		return err
	}
	return srv.(Server).Hang(stream.Context())
}
