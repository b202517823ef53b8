// grpc-worker [SOCKET [ADDRESS]]: a complete worker, a gRPC server with the health service. The
// address is for a run by hand.
//
//	protoc --cpp_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(which grpc_cpp_plugin) echo.proto
//	g++ -std=c++17 -I. -I.. grpc-worker.cc echo.pb.cc echo.grpc.pb.cc -o grpc-worker
//		$(pkg-config --cflags --libs libhandover grpc++ protobuf)
#include <memory>

#include <grpcpp/grpcpp.h>

#include "echo_service.h"
#include "handover_grpc.h"

int main(int argc, char **argv)
{
	handovergrpc::Worker worker;
	grpc::EnableDefaultHealthCheckService(true);
	EchoService echo;
	grpc::ServerBuilder builder;
	builder.RegisterService(&echo);
	worker.Listen(builder, argc > 1 ? argv[1] : "", grpc::InsecureServerCredentials(),
		      argc > 2 ? argv[2] : "127.0.0.1:18950");
	worker.Count(builder);
	const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
	return server == nullptr ? 1 : worker.Run(*server);
}
