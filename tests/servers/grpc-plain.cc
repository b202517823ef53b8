// grpc-plain ADDRESS: a gRPC server that binds its address itself and knows nothing of a supervisor
// but systemd's READY=1. It serves what the example worker of lib/cpp serves.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <sys/socket.h>
#include <sys/un.h>

#include <grpcpp/grpcpp.h>

#include "echo_service.h"

static void SayReady()
{
	struct sockaddr_un address = {AF_UNIX, {}};
	const char *name = getenv("NOTIFY_SOCKET");
	const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (name == nullptr || fd < 0)
		return;
	strncpy(address.sun_path, name, sizeof address.sun_path - 1);
	const socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(address.sun_path);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	if (sendto(fd, "READY=1", 7, 0, reinterpret_cast<struct sockaddr *>(&address), length) != 7)
		perror("READY=1");
	close(fd);
}

int main(int, char **argv)
{
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, nullptr); // before gRPC makes threads
	EchoService echo;
	grpc::ServerBuilder builder;
	builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials());
	builder.RegisterService(&echo);
	const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
	if (server == nullptr)
		return 1;
	SayReady();
	int got;
	sigwait(&term, &got);
	server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(4));
	return 0;
}
