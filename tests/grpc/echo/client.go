package echo

import (
	"context"
	"io"

	"google.golang.org/grpc"
)

// Unary makes one call.
func Unary(ctx context.Context, conn *grpc.ClientConn, req *Request, options ...grpc.CallOption) (*Reply, error) {
	reply := new(Reply)
	if err := conn.Invoke(ctx, UnaryMethod, req, reply, options...); err != nil {
		return nil, err
	}
	return reply, nil
}

// Stream is the client's end of a ServerStream or Hang call.
type Stream struct {
	grpc.ClientStream
}

// Open starts a ServerStream or Hang call.
func Open(ctx context.Context, conn *grpc.ClientConn, method string, req *Request) (*Stream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	// io.EOF says that the call has failed already; why, only Recv knows.
	if err := stream.SendMsg(req); err != nil && err != io.EOF {
		return nil, err
	}
	return &Stream{stream}, stream.CloseSend()
}

// Recv returns the next message, or io.EOF after the last one.
func (s *Stream) Recv() (*Reply, error) {
	reply := new(Reply)
	if err := s.RecvMsg(reply); err != nil {
		return nil, err
	}
	return reply, nil
}
