// Package echo is the service that the grpc-go worker serves and the load client calls.
//
// Messages and service are written by hand, so that no code generator is needed to build the tests. On the wire
// they are ordinary protocol buffers: proto3, package handover.test, with the field numbers of the tags below.
package echo

import "github.com/golang/protobuf/proto"

// Request is what all methods take.
type Request struct {
	Number   int64 `protobuf:"varint,1,opt,name=number,proto3"`                 // to be echoed, plus one
	DelayMs  int64 `protobuf:"varint,2,opt,name=delay_ms,json=delayMs,proto3"`  // before the reply, or between two
	Messages int64 `protobuf:"varint,3,opt,name=messages,json=messages,proto3"` // ServerStream: how many replies
}

// Reply is the answer to Unary, and each message of a ServerStream, whose numbers count up from Number+1.
type Reply struct {
	Number     int64  `protobuf:"varint,1,opt,name=number,proto3"`
	Pid        int64  `protobuf:"varint,2,opt,name=pid,proto3"`
	Slot       int64  `protobuf:"varint,3,opt,name=slot,proto3"`
	Generation int64  `protobuf:"varint,4,opt,name=generation,proto3"`
	Version    string `protobuf:"bytes,5,opt,name=version,proto3"`
}

func (m *Request) Reset()         { *m = Request{} }
func (m *Request) String() string { return proto.CompactTextString(m) }
func (*Request) ProtoMessage()    {}

func (m *Reply) Reset()         { *m = Reply{} }
func (m *Reply) String() string { return proto.CompactTextString(m) }
func (*Reply) ProtoMessage()    {}
