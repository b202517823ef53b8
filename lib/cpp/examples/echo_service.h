// What the example worker serves.
#ifndef ECHO_SERVICE_H
#define ECHO_SERVICE_H

#include <chrono>
#include <cstdlib>
#include <thread>

#include <unistd.h>

#include "echo.grpc.pb.h"

class EchoService final : public example::Echo::Service
{
      public:
	grpc::Status Unary(grpc::ServerContext *, const example::Request *request,
			   example::Reply *reply) override
	{
		Work(request->delay_ms());
		Answer(request->number() + 1, reply);
		return grpc::Status::OK;
	}

	grpc::Status ServerStream(grpc::ServerContext *, const example::Request *request,
				  grpc::ServerWriter<example::Reply> *writer) override
	{
		for (int64_t i = 1; i <= request->messages(); i++) {
			example::Reply reply;
			Work(request->delay_ms());
			Answer(request->number() + i, &reply);
			if (!writer->Write(reply))
				return grpc::Status::CANCELLED;
		}
		return grpc::Status::OK;
	}

	grpc::Status Hang(grpc::ServerContext *, const example::Request *,
			  grpc::ServerWriter<example::Reply> *) override
	{
		for (;;)
			pause(); // see what a drain does with it
	}

      private:
	static void Work(int64_t ms)
	{
		std::this_thread::sleep_for(std::chrono::milliseconds(ms));
	}

	static long NumberOf(const char *variable)
	{
		const char *text = getenv(variable);
		return text == nullptr ? 0 : strtol(text, nullptr, 10);
	}

	static void Answer(int64_t number, example::Reply *reply)
	{
		reply->set_number(number);
		reply->set_pid(getpid());
		reply->set_slot(NumberOf("HANDOVER_SLOT"));
		reply->set_generation(NumberOf("HANDOVER_GENERATION"));
	}
};

#endif
